// H1-d and H1-e: what copy-on-write and reservations make of a pinned page, by the rules in force.

import test from 'ava';
import { profileByName } from '../../engine/profile/profiles.js';
import { check } from '../../lab/checker.js';
import { h1d } from '../../lab/hazards/h1-d.js';
import { h1e } from '../../lab/hazards/h1-e.js';
import { kindsOf, verdict } from '../support/lab.js';

test('H1-d: every kernel loses what a device stores into a page that was replaced', (t) => {
  for (const name of ['linux-2.6.19', 'linux-4.11', 'linux-5.2', 'linux-6.12', 'linux-7.0']) {
    t.deepEqual(kindsOf(t, h1d, profileByName(name)), ['lost-write'], name);
  }
});

test('H1-d: nothing is lost where pinned pages are not replaced (P8), or only after the unpin', (t) => {
  for (const name of ['linux-6.12+P8-no-replacement', 'best-known']) {
    t.is(verdict(h1d, profileByName(name)), 'safe', name);
  }
});

test('H1-d: a rule that tells pins apart does not help where they are plain references', (t) => {
  const plain = { ...profileByName('linux-5.2'), pinnedPageReplacement: 'refuse' } as const;
  t.is(verdict(h1d, plain), 'unsafe');
});

test('H1-e: every kernel finds out at writeback that there is no space', (t) => {
  for (const name of ['linux-2.6.19', 'linux-4.11', 'linux-5.17', 'linux-6.12', 'linux-7.0']) {
    t.deepEqual(kindsOf(t, h1e, profileByName(name)), ['late-enospc', 'lost-write'], name);
  }
});

test('H1-e: page_mkwrite at the unpin (P1) comes too late to be told: refuted', (t) => {
  const p1 = profileByName('linux-5.17+P1-mkwrite');
  t.deepEqual(kindsOf(t, h1e, p1), ['late-enospc', 'lost-write']);
});

test('H1-e: a pinned page that stays dirty is safe if it keeps its reservation, and only then', (t) => {
  t.is(verdict(h1e, profileByName('best-known')), 'safe');
  const forgets = { ...profileByName('best-known'), pinnedKeepsReservation: false };
  t.true(kindsOf(t, h1e, forgets).includes('late-enospc'));
});

test('no step of H1-d and H1-e hides a race', (t) => {
  for (const name of ['linux-5.2', 'linux-6.12+P8-no-replacement', 'best-known']) {
    t.deepEqual(check(h1d(), profileByName(name), 1, 300), [], name);
    t.deepEqual(check(h1e(), profileByName(name), 1, 300), [], name);
  }
});
