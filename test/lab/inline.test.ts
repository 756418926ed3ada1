// H4-a to H4-i, the hazards of inline data: what each rule on conversion comes to.

import test from 'ava';
import type { FindingKind } from '../../engine/finding.js';
import type { Profile } from '../../engine/profile/profile.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { check } from '../../lab/checker.js';
import { type Exploration, explore, replay, SAFE_BOUND } from '../../lab/explore.js';
import { LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { HAZARDS, hazardByName, NOT_REAL } from '../../lab/hazards/index.js';
import type { Program } from '../../lab/program.js';

const P24 = 'linux-6.12+P24-inode-lock-in-mkwrite';
const P25 = 'linux-6.12+P25-convert-in-mmap';
const P26 = 'linux-6.12+P26-pre-mmap';
const P27 = 'linux-6.12+P27-copy-in-writepages';
const P28 = 'linux-6.12+P28-inode-lock-in-writepages';
const POSTED = 'linux-6.12+P29-retry-as-posted';
const MENDED = 'linux-6.12+P29-retry';
const W5 = 'linux-6.12+W5-destroy-at-growth';
const MAINLINE = ['linux-4.17', 'linux-5.2', 'linux-6.12', 'linux-7.0'];

/** All schedules of up to SAFE_BOUND preemptions. */
const BOUNDED = { bounds: [0, 1, 2, SAFE_BOUND], budget: 300_000 };

const INLINE = HAZARDS.filter((hazard) => hazard.id.startsWith('H4-'));

/** What each rule comes to: the kinds of its failures, none where it is safe. */
const EXPECTED: readonly (readonly [string, readonly string[], readonly FindingKind[]])[] = [
  ['H4-a', MAINLINE, ['bug']],
  ['H4-a', ['linux-4.11', P27, P28], ['lost-write']],
  ['H4-a', [P24, P25, P26, POSTED, MENDED, 'best-known'], []],
  ['H4-b', [P25], ['hang', 'lockdep']],
  ['H4-b', ['linux-4.11', ...MAINLINE, P24, P26, P27, P28, POSTED, MENDED, 'best-known'], []],
  ['H4-c', [P24], ['hang', 'lockdep']],
  ['H4-c', ['linux-6.12', P25, MENDED, 'best-known'], []],
  ['H4-d', ['linux-4.11'], ['bug']],
  ['H4-d', [...MAINLINE, P24, P25, P26, P27, P28, POSTED, MENDED, 'best-known'], []],
  ['H4-e', ['linux-4.11', ...MAINLINE, P24, P25, P26, POSTED, MENDED], ['bug']],
  ['H4-e', [P27], ['lost-write']],
  ['H4-e', [P28], ['lockdep']],
  ['H4-e', [W5, 'best-known'], []],
  ['H4-f', [POSTED], ['spurious-error']],
  ['H4-f', ['linux-6.12', P25, P28, MENDED, 'best-known'], []],
  ['H4-h', MAINLINE, ['bug']],
  ['H4-h', ['linux-4.11', P27, P28], ['lost-write']],
  ['H4-h', [P24, P25, P26, POSTED, MENDED, 'best-known'], []],
  ['H4-i', [POSTED], ['bug', 'spurious-error']],
  ['H4-i', ['linux-4.11', ...MAINLINE, P24, P27, P28, MENDED, 'best-known'], []],
];

function programOf(id: string, profile: Profile): Program {
  return hazardByName(id).program(profile, LAB_PAGE_BYTES);
}

function search(id: string, name: string): Exploration {
  const profile = profileByName(name);
  return explore(programOf(id, profile), profile, BOUNDED);
}

/** The messages of a search's failures, in one text. */
function said(result: Exploration): string {
  return result.failures.map((failure) => failure.finding.message).join('\n');
}

for (const [id, profiles, kinds] of EXPECTED) {
  for (const name of profiles) {
    test(`${id} under ${name}: ${kinds.length === 0 ? 'safe' : kinds.join(' and ')}`, (t) => {
      const result = search(id, name);
      t.is(result.preemptionBound ?? SAFE_BOUND, SAFE_BOUND);
      t.is(result.verdict, kinds.length === 0 ? 'safe' : 'unsafe', said(result));
      const found = new Set(result.failures.map((failure) => failure.finding.kind));
      t.deepEqual([...found].sort(), [...kinds]);
      const profile = profileByName(name);
      for (const { finding, schedule } of result.failures) {
        const again = replay(programOf(id, profile), profile, schedule).findings;
        t.true(
          again.some((f) => f.kind === finding.kind && f.message === finding.message),
          schedule,
        );
      }
    });
  }
}

test('H4-a ends in the journal: a handle is stopped that nobody started', (t) => {
  for (const name of MAINLINE) t.regex(said(search('H4-a', name)), /ext4_put_nojournal/, name);
});

test('H4-b and H4-c are cycles of i_rwsem and mmap_lock', (t) => {
  t.regex(said(search('H4-b', P25)), /mmap_lock -> i_rwsem -> mmap_lock/);
  t.regex(said(search('H4-c', P24)), /mmap_lock -> i_rwsem -> mmap_lock/);
});

test('H4-c is no hang without somebody who wants mmap_lock alone, but lockdep reports it', (t) => {
  const profile = profileByName(P24);
  const program = programOf('H4-c', profile);
  const actors = program.actors.filter((actor) => actor.name !== 'munmap');
  const { failures } = explore({ ...program, actors }, profile, BOUNDED);
  t.deepEqual([...new Set(failures.map((failure) => failure.finding.kind))], ['lockdep']);
});

test('H4-e under P28 is a cycle of i_rwsem and fs_reclaim', (t) => {
  t.regex(said(search('H4-e', P28)), /i_rwsem -> fs_reclaim -> i_rwsem/);
});

test('H4-f is safe with the patch as posted where a plain pin may retry', (t) => {
  const profile = { ...profileByName(POSTED), plainGupMayRetry: true };
  t.is(explore(programOf('H4-f', profile), profile, BOUNDED).verdict, 'safe');
});

test('H4-h has both of its ends, with and without the second look of 6.12', (t) => {
  for (const name of ['linux-4.17', 'linux-6.12']) {
    const text = said(search('H4-h', name));
    t.regex(text, /NULL pointer dereference in ext4_da_do_write_end/, name);
    t.regex(text, /BUG_ON\(!ext4_has_inline_data\)/, name);
  }
});

test('H4-i is a use after free, an error that got lost, and a lock released twice', (t) => {
  const text = said(search('H4-i', POSTED));
  t.regex(text, /use-after-free/);
  t.regex(text, /does not end in ENOSPC: EIO/);
  t.regex(text, /bad unlock balance/);
});

test('where there are no inline data no hazard of them is posed', (t) => {
  for (const hazard of INLINE) {
    t.is(typeof hazard.notApplicable?.(profileByName('linux-2.6.30')), 'string', hazard.id);
  }
});

test('H4-g is listed with the reason why it is not real', (t) => {
  t.true(NOT_REAL.some((entry) => entry.id === 'H4-g' && entry.why.length > 0));
  t.false(HAZARDS.some((hazard) => hazard.id === 'H4-g'));
});

for (const hazard of INLINE) {
  test(`no step of ${hazard.id} hides a race`, (t) => {
    for (const name of ['linux-4.11', 'linux-6.12', P24, P25, P26, P27, P28, POSTED, MENDED, W5]) {
      const profile = profileByName(name);
      if ((hazard.notApplicable?.(profile) ?? null) !== null) continue;
      t.deepEqual(check(programOf(hazard.id, profile), profile, 1, 100), [], name);
    }
  });
}
