// The hazards of files on persistent memory (H2-a to H2-m): what each kernel and proposal makes of them.

import test from 'ava';
import type { FindingKind } from '../../engine/finding.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { check } from '../../lab/checker.js';
import { explore, replay } from '../../lab/explore.js';
import { LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { h2a } from '../../lab/hazards/h2-a.js';
import { h2b } from '../../lab/hazards/h2-b.js';
import { h2f } from '../../lab/hazards/h2-f.js';
import { hazardByName } from '../../lab/hazards/index.js';

const BUDGET = 300_000;

const P13 = 'linux-6.12+P13-evict-under-locks';
const P14 = 'linux-6.12+P14-break-final';
const P15 = 'linux-6.12+P15-busy-inode';
const P16 = 'linux-6.12+P16-failure-notification';
const P17 = 'linux-6.12+P17-pin-keeps-vma';
const P18 = 'linux-6.12+P18-pin-keeps-inode';
const P18_FILE = 'linux-6.12+P18-pin-keeps-file';
const P19 = 'linux-6.12+P19-writeback-will-free';
const P20 = 'linux-6.12+P20-write-inode-now';
const P21 = 'linux-6.12+P21-layout-lease';
const P22 = 'linux-6.12+P22-no-dax-vmsplice';

const CORRUPTS: readonly FindingKind[] = ['foreign-write', 'warn'];
const SAFE: readonly FindingKind[] = [];

/** Hazard, profile, and the kinds of what goes wrong in all schedules there are; none: safe. */
const OUTCOMES: readonly (readonly [string, string, readonly FindingKind[]])[] = [
  ['H2-a', 'linux-4.11', ['foreign-write']],
  ['H2-a', 'linux-4.18', CORRUPTS],
  ['H2-a', 'linux-6.12', CORRUPTS],
  ['H2-a', 'linux-6.15', SAFE],
  ['H2-a', 'linux-7.0', SAFE],
  ['H2-a', P13, SAFE],
  ['H2-a', P14, SAFE],
  ['H2-a', P15, ['bug']],
  ['H2-a', P17, SAFE],
  ['H2-a', P18, SAFE],
  // Refuted: an unlinked inode is dropped without a last writeback (kernel.md 4.11).
  ['H2-a', P19, CORRUPTS],
  ['H2-a', P20, CORRUPTS],
  ['H2-b', 'linux-6.12', CORRUPTS],
  ['H2-b', 'linux-6.15', SAFE],
  ['H2-b', P13, SAFE],
  ['H2-b', P14, SAFE],
  ['H2-b', P17, SAFE],
  ['H2-b', P18, SAFE],
  // Refuted: the LRU is pruned without a last writeback.
  ['H2-b', P19, CORRUPTS],
  ['H2-b', P20, CORRUPTS],
  ['H2-c', 'linux-6.12', CORRUPTS],
  ['H2-c', 'linux-6.15', SAFE],
  // Not enough: a reference to an inode does not keep its file system mounted.
  ['H2-c', P18, ['bug', 'warn']],
  ['H2-c', P18_FILE, SAFE],
  ['H2-c', P20, CORRUPTS],
  ['H2-c-removal', 'linux-6.15', ['foreign-write']],
  ['H2-c-removal', P16, SAFE],
  ['H2-d', 'linux-6.12', SAFE],
  ['H2-d', P13, ['lockdep']],
  ['H2-d', P14, SAFE],
  ['H2-e', 'linux-6.12', ['warn']],
  ['H2-e', 'linux-6.15', ['hang', 'lockdep']],
  ['H2-e', P13, ['hang', 'lockdep']],
  ['H2-e', P14, ['hang', 'lockdep']],
  ['H2-e', P17, SAFE],
  ['H2-e', P18, SAFE],
  ['H2-f', P13, ['hang']],
  ['H2-f', P14, SAFE],
  ['H2-g', 'linux-6.12', SAFE],
  ['H2-g', P15, ['bug']],
  ['H2-h', P14, SAFE],
  ['H2-h', P15, ['bug', 'leak']],
  ['H2-h', P18, SAFE],
  ['H2-i', 'linux-6.12', ['leak', 'warn']],
  ['H2-i', 'linux-6.15', SAFE],
  ['H2-i', P18, ['leak', 'warn']],
  ['H2-i', P22, SAFE],
  ['H2-j', 'linux-4.17', ['warn']],
  ['H2-j', 'linux-4.18', ['hang']],
  ['H2-j', 'linux-6.15', ['hang']],
  ['H2-j', P21, SAFE],
  ['H2-j', P22, SAFE],
  ['H2-k', 'linux-4.17', CORRUPTS],
  // A passing reference of a fast GUP that gives up looks like a pin to the WARN: a false alarm.
  ['H2-k', 'linux-4.18', ['warn']],
  ['H2-k', 'linux-6.12', ['warn']],
  // While truncate waits without invalidate_lock the page is mapped again, and is not idle at 0.
  ['H2-k', 'linux-6.15', ['hang']],
  ['H2-k', P18, SAFE],
  ['H2-m', 'linux-4.17', CORRUPTS],
  ['H2-m', 'linux-4.18', SAFE],
  ['H2-m', 'linux-6.15', SAFE],
];

for (const [id, name, kinds] of OUTCOMES) {
  const outcome = kinds.length === 0 ? 'safe' : `unsafe: ${kinds.join(', ')}`;
  test(`${id} under ${name} is ${outcome}`, (t) => {
    const profile = profileByName(name);
    const program = hazardByName(id).program(profile, LAB_PAGE_BYTES);
    const result = explore(program, profile, { budget: BUDGET });
    t.deepEqual([...new Set(result.failures.map((f) => f.finding.kind))].sort(), [...kinds]);
    t.is(result.verdict, kinds.length === 0 ? 'safe' : 'unsafe');
    t.true(result.exhaustive);
    for (const { finding, schedule } of result.failures) {
      const again = replay(program, profile, schedule).findings;
      t.true(
        again.some((f) => f.message === finding.message),
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

test('an inode that is not cached and not unlinked gets its last writeback, and there P19 and P20 help', (t) => {
  for (const name of [P19, P20])
    t.is(explore(h2b(true), profileByName(name)).verdict, 'safe', name);
  t.is(explore(h2b(true), profileByName('linux-6.12')).verdict, 'unsafe');
});

test('a layout lease that holds its file, as in Linux, is never met by eviction: H2-f can not happen', (t) => {
  const result = explore(h2f(true), profileByName(P13));
  t.is(result.verdict, 'safe');
  t.true(result.exhaustive);
});

test('with the references looked at before the unmapping a fast GUP slips in (H2-k)', (t) => {
  const profile = { ...profileByName('linux-6.12'), daxBusyScan: 'before-unmap' } as const;
  const result = explore(hazardByName('H2-k').program(profile, LAB_PAGE_BYTES), profile);
  t.true(result.failures.some(({ finding }) => finding.kind === 'foreign-write'));
});

test('lockdep names the two sides of H2-d and H2-e', (t) => {
  for (const [id, name, cycle] of [
    ['H2-d', P13, 'i_rwsem(dir) -> fs_reclaim -> i_rwsem(dir)'],
    ['H2-e', 'linux-6.15', 'page_idle -> fs_reclaim -> page_idle'],
  ] as const) {
    const profile = profileByName(name);
    const { failures } = explore(hazardByName(id).program(profile, LAB_PAGE_BYTES), profile);
    t.true(
      failures.some(({ finding }) => finding.message.endsWith(cycle)),
      id,
    );
  }
});

test('before there was DAX its hazards do not apply', (t) => {
  t.regex(
    hazardByName('H2-a').notApplicable?.(profileByName('linux-2.6.30')) ?? '',
    /persistent memory/,
  );
});
