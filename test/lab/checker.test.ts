// The checking mode finds steps that hide a race, and finds none in the engine.

import test from 'ava';
import type { Machine } from '../../engine/machine.js';
import { add, read, write } from '../../engine/memory/word.js';
import { profileByName, profileNames } from '../../engine/profile/profiles.js';
import { spinLock, spinUnlock } from '../../engine/sched/lock.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { check } from '../../lab/checker.js';
import { explore } from '../../lab/explore.js';
import { LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { h1c } from '../../lab/hazards/h1-c.js';
import { HAZARDS } from '../../lab/hazards/index.js';
import type { Program } from '../../lab/program.js';

const profile = profileByName('linux-6.12');

/** Random runs of a hazard under each profile. */
const RUNS = 60;

/** Two actors that run the same code on a machine with nothing on it. */
function pair(name: string, run: (task: Task, m: Machine) => Op<void>): Program {
  return {
    ...h1c(),
    name,
    setUp: function* () {
      // Memory starts as zeroes.
    },
    actors: [
      { name: 'one', run },
      { name: 'two', run },
    ],
    verify: (m) =>
      m.state.extra[0] === 2
        ? []
        : [{ kind: 'lost-write', hazard: name, task: 'all', message: 'an increment is lost' }],
  };
}

const planted = pair('planted', function* (_task, m) {
  if (lab?.point()) yield STEP;
  add(m.state.extra, 1, 1);
  add(m.state.extra, 0, 1); // a second access that no lock covers, in the same step
});

const unlocked = pair('unlocked', function* (_task, m) {
  if (lab?.point()) yield STEP;
  const value = read(m.state.extra, 0);
  if (lab?.point()) yield STEP;
  write(m.state.extra, 0, value + 1);
});

const locked = pair('locked', function* (task, m) {
  yield* spinLock(task, m.zoneLock, 0);
  write(m.state.extra, 0, read(m.state.extra, 0) + 1);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.zoneLock, 0);
});

test('a planted step with two unprotected accesses is found, with its place', (t) => {
  const races = check(planted, profile, 1, 10);
  t.is(races.length, 1);
  t.is(races[0].rule, 'two-accesses-in-a-step');
  t.regex(races[0].where, /checker\.test/);
});

test('plain accesses that nothing orders are found', (t) => {
  const races = check(unlocked, profile, 1, 10);
  t.true(races.some((race) => race.rule === 'unordered-accesses'));
  t.is(explore(unlocked, profile).verdict, 'unsafe');
});

test('plain accesses under a lock are in order', (t) => {
  t.deepEqual(check(locked, profile, 1, 100), []);
  t.is(explore(locked, profile).verdict, 'safe');
});

for (const name of profileNames()) {
  test(`no step of the engine hides a race in any hazard under ${name}`, (t) => {
    const rules = profileByName(name);
    for (const hazard of HAZARDS) {
      if ((hazard.notApplicable?.(rules) ?? null) !== null) continue;
      t.deepEqual(check(hazard.program(rules, LAB_PAGE_BYTES), rules, 7, RUNS), [], hazard.id);
    }
  });
}
