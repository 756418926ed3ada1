// Control payloads: what is packed comes back, and malformed bytes are refused before anything is built from them.

import test from 'ava';
import fc from 'fast-check';
import { packControl, unpackControl } from '../../../daemon/protocol/control.js';
import { PinfoldError } from '../../../daemon/protocol/errors.js';

const value = fc.letrec((tie) => ({
  leaf: fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double({ noNaN: true }).filter((n) => !Object.is(n, -0)),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
  ),
  tree: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.array(tie('tree'), { maxLength: 20 }),
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('tree'),
      { maxKeys: 20, noNullPrototype: true },
    ),
  ),
})).tree;

test('a value comes back as it was', (t) => {
  fc.assert(
    fc.property(value, (each) => {
      t.deepEqual(unpackControl(packControl(each)), each);
    }),
  );
});

test('any bytes give a value or EBADMSG', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        unpackControl(bytes);
      } catch (error) {
        t.true(error instanceof PinfoldError && error.code === 'EBADMSG');
      }
    }),
    { numRuns: 5000 },
  );
});

const malformed: Readonly<Record<string, readonly number[]>> = {
  'no value': [],
  'a string that is cut short': [0xa5, 0x61],
  'an array that announces 4 billion elements': [0xdd, 0xff, 0xff, 0xff, 0xff],
  'a map that announces 4 billion entries': [0xdf, 0xff, 0xff, 0xff, 0xff],
  'bytes after the value': [0xc0, 0xc0],
  'the reserved type': [0xc1],
  'an extension': [0xd4, 0x01, 0x00],
  'nesting of a hundred levels': [...Array.from({ length: 100 }, () => 0x91), 0xc0],
};

for (const [what, bytes] of Object.entries(malformed)) {
  test(`refused: ${what}`, (t) => {
    const error = t.throws(() => unpackControl(Uint8Array.from(bytes)), {
      instanceOf: PinfoldError,
    });
    t.is(error.code, 'EBADMSG');
  });
}
