// The documents about protocol and errors name everything that the code has.

import { readFileSync } from 'node:fs';
import test from 'ava';
import { FAULT_KEYS } from '../../daemon/faults/spec.js';
import { ERROR_CODES } from '../../daemon/protocol/errors.js';
import { FRAME } from '../../daemon/protocol/frame.js';
import { METHODS } from '../../daemon/protocol/methods.js';
import { DISTRIBUTIONS, ERRNO, FAULT_OPS, KEPT_PARTS } from '../../engine/block/faults/index.js';

const WHEN: readonly string[] = ['range', 'rate', 'nth', 'once', 'seed'];

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

test('docs/disk-faults.md has each kind of layer with its keys, and each value', (t) => {
  const text = read('disk-faults.md').replaceAll(/ +/g, ' ');
  for (const [kind, keys] of FAULT_KEYS) {
    const row = text.split('\n').find((line) => line.startsWith(`| \`${kind}\` |`)) ?? '';
    const told = row.includes('_when_') ? WHEN : [];
    t.deepEqual(
      keys.filter((key) => !row.includes(`\`${key}\``) && !told.includes(key)),
      [],
      kind,
    );
  }
  const values = [...FAULT_OPS, ...Object.keys(ERRNO), ...KEPT_PARTS, ...DISTRIBUTIONS];
  t.deepEqual(
    values.filter((value) => !text.includes(`\`${value}\``)),
    [],
  );
});
