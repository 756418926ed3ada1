// The documents about protocol and errors name everything that the code has.

import { readFileSync } from 'node:fs';
import test from 'ava';
import { ERROR_CODES } from '../../daemon/protocol/errors.js';
import { FRAME } from '../../daemon/protocol/frame.js';
import { METHODS } from '../../daemon/protocol/methods.js';

const read = (name: string): string =>
  readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');

test('docs/errors.md has each error code', (t) => {
  const text = read('errors.md');
  t.deepEqual(
    ERROR_CODES.filter((code) => !text.includes(`\`${code}\``)),
    [],
  );
});

test('docs/protocol.md has each frame type by its number, and each method', (t) => {
  // Tables are aligned with spaces.
  const text = read('protocol.md').replaceAll(/ +/g, ' ');
  t.deepEqual(
    Object.entries(FRAME).filter(([name, type]) => !text.includes(`| ${type} ${name} |`)),
    [],
  );
  t.deepEqual(
    Object.values(METHODS).filter(({ name }) => !text.includes(`\`${name}\``)),
    [],
  );
});
