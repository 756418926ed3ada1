// H3-a to H3-d: the races of set_page_dirty, and what was done or proposed about them.

import test from 'ava';
import { profileByName } from '../../engine/profile/profiles.js';
import { check } from '../../lab/checker.js';
import { explore } from '../../lab/explore.js';
import { h3a } from '../../lab/hazards/h3-a.js';
import { h3b } from '../../lab/hazards/h3-b.js';
import { h3c } from '../../lab/hazards/h3-c.js';
import { h3cReadv } from '../../lab/hazards/h3-c-readv.js';
import { h3d } from '../../lab/hazards/h3-d.js';
import { kindsOf, verdict } from '../support/lab.js';

const OLD = ['linux-2.6.19', 'linux-2.6.28'];
const NEW = ['linux-2.6.30', 'linux-4.11', 'linux-6.12', 'best-known'];

test('H3-a: a fault dirties a page without buffers before 2.6.30, and not since', (t) => {
  for (const name of OLD) t.deepEqual(kindsOf(t, h3a, profileByName(name)), ['bug', 'warn'], name);
  for (const name of NEW) t.is(verdict(h3a, profileByName(name)), 'safe', name);
});

test('H3-b: the same against a truncate', (t) => {
  for (const name of OLD) t.deepEqual(kindsOf(t, h3b, profileByName(name)), ['warn'], name);
  for (const name of NEW) t.is(verdict(h3b, profileByName(name)), 'safe', name);
});

test('P12 closes the window for CPU faults, and not for pins', (t) => {
  const p12 = profileByName('linux-2.6.28+P12-prepare-dirty');
  t.is(verdict(h3a, p12), 'safe');
  t.is(verdict(h3b, p12), 'safe');
  t.deepEqual(kindsOf(t, h3c, p12), ['bug', 'warn']);
});

test('H3-c: late dirtying trips over every kernel: a BUG, and from 5.18 on data that are dropped', (t) => {
  for (const name of ['linux-2.6.30', 'linux-5.17']) {
    t.deepEqual(kindsOf(t, h3c, profileByName(name)), ['bug', 'warn'], name);
  }
  for (const name of ['linux-5.18', 'linux-6.12', 'linux-7.0']) {
    t.deepEqual(kindsOf(t, h3c, profileByName(name)), ['lost-write', 'warn'], name);
  }
});

test('H3-c: page_mkwrite at the unpin, a lock across the pin, or skipping pinned pages helps', (t) => {
  for (const name of [
    'linux-5.17+P1-mkwrite',
    'linux-5.17+P2-write-begin',
    'linux-2.6.28+P11-page-lock',
    'linux-6.12+P3-skip',
    'best-known',
  ]) {
    t.is(verdict(h3c, profileByName(name)), 'safe', name);
  }
});

test('P11 does not reach the fault’s own window', (t) => {
  const p11 = profileByName('linux-2.6.28+P11-page-lock');
  t.true(kindsOf(t, h3a, p11).includes('warn'));
  t.true(kindsOf(t, h3b, p11).includes('warn'));
});

test('a lock across the pin (P2, P11) hangs a direct read into two parts of one page', (t) => {
  for (const name of ['linux-2.6.28+P11-page-lock', 'linux-5.17+P2-write-begin']) {
    t.deepEqual(kindsOf(t, h3cReadv, profileByName(name)), ['hang', 'lockdep'], name);
  }
  const { verdict: plain, exhaustive } = explore(h3cReadv(), profileByName('linux-6.12'));
  t.deepEqual([plain, exhaustive], ['safe', true]);
});

test('H3-d: only 2.6.19 forgets a store that no fault noted', (t) => {
  t.deepEqual(kindsOf(t, h3d, profileByName('linux-2.6.19')), ['lost-write']);
  for (const name of ['linux-2.6.28', ...NEW])
    t.is(verdict(h3d, profileByName(name)), 'safe', name);
});

test('no step of H3-a to H3-d hides a race', (t) => {
  const profiles = [...OLD, 'linux-6.12', 'linux-2.6.28+P12-prepare-dirty', 'best-known'];
  for (const name of [...profiles, 'linux-5.17+P2-write-begin', 'linux-2.6.28+P11-page-lock']) {
    const profile = profileByName(name);
    for (const program of [h3a(), h3b(), h3c(), h3d()]) {
      t.deepEqual(check(program, profile, 1, 200), [], `${program.name} under ${name}`);
    }
  }
});
