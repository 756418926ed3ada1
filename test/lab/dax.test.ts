// The hazards of files on persistent memory (H2-a to H2-m): what each kernel and proposal makes of them.

import test from 'ava';
import type { FindingKind } from '../../engine/finding.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { check } from '../../lab/checker.js';
import { explore, replay } from '../../lab/explore.js';
import { LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { h2a } from '../../lab/hazards/h2-a.js';
import { hazardByName } from '../../lab/hazards/index.js';

const BUDGET = 20_000;

/** Hazard, profile, and the kinds of what goes wrong: none of them is safe, exhaustively. */
const OUTCOMES: readonly (readonly [string, string, readonly FindingKind[]])[] = [
  ['H2-a', 'linux-4.18', ['foreign-write', 'warn']],
  ['H2-a', 'linux-6.12', ['foreign-write', 'warn']],
  ['H2-a', 'linux-6.15', []],
  ['H2-a', 'linux-7.0', []],
  ['H2-a', 'linux-6.12+P13-evict-under-locks', []],
  ['H2-a', 'linux-6.12+P14-break-final', []],
  ['H2-a', 'linux-6.12+P15-busy-inode', ['bug']],
  ['H2-a', 'linux-6.12+P17-pin-keeps-vma', []],
  ['H2-a', 'linux-6.12+P18-pin-keeps-inode', []],
  // Refuted: an unlinked inode is dropped without a last writeback (kernel.md 4.11).
  ['H2-a', 'linux-6.12+P19-writeback-will-free', ['foreign-write', 'warn']],
  ['H2-a', 'linux-6.12+P20-write-inode-now', ['foreign-write', 'warn']],
  ['H2-m', 'linux-4.17', ['foreign-write', 'warn']],
  ['H2-m', 'linux-4.18', []],
  ['H2-m', 'linux-6.15', []],
];

for (const [id, name, kinds] of OUTCOMES) {
  const outcome = kinds.length === 0 ? 'safe' : `unsafe: ${kinds.join(', ')}`;
  test(`${id} under ${name} is ${outcome}`, (t) => {
    const profile = profileByName(name);
    const program = hazardByName(id).program(profile, LAB_PAGE_BYTES);
    const result = explore(program, profile, { budget: BUDGET });
    t.deepEqual([...new Set(result.failures.map((f) => f.finding.kind))].sort(), kinds);
    t.is(result.verdict, kinds.length === 0 ? 'safe' : 'unsafe');
    t.true(result.exhaustive);
    for (const { finding, schedule } of result.failures) {
      const again = replay(program, profile, schedule);
      t.true(
        again.findings.some((f) => f.message === finding.message),
        schedule,
      );
    }
    t.deepEqual(check(program, profile, 1, 50), []);
  });
}

test('H2-a in the other direction, a direct write, leaks what the new owner of the block stored', (t) => {
  const program = h2a('write');
  const before = explore(program, profileByName('linux-6.12'), { budget: BUDGET });
  t.true(before.failures.some(({ finding }) => finding.kind === 'leak'));
  t.is(explore(program, profileByName('linux-6.15'), { budget: BUDGET }).verdict, 'safe');
});
