// Locks, sleeping and lockdep, proven in the lab over all schedules of small programs.

import test from 'ava';
import type { Machine } from '../../engine/machine.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { spinLock, spinUnlock } from '../../engine/sched/lock.js';
import { mightSleep, type Op, type Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { explore, replay } from '../../lab/explore.js';
import { h1c } from '../../lab/hazards/h1-c.js';
import type { ActorSource, Program } from '../../lab/program.js';
import { asReader, asWriter, withMutex } from '../../lab/search/programs.js';

const profile = profileByName('linux-6.12');

function program(name: string, actors: readonly ActorSource[], total = 0): Program {
  return {
    ...h1c(),
    name,
    setUp: function* () {
      // Memory starts as zeroes.
    },
    actors,
    verify: (m) =>
      m.state.extra[0] === total
        ? []
        : [
            {
              kind: 'lost-write',
              hazard: name,
              task: 'all',
              message: `${String(m.state.extra[0])} of ${String(total)}`,
            },
          ],
  };
}

test('a mutex excludes and wakes: three tasks, all schedules', (t) => {
  const actors = ['a', 'b', 'c'].map((name) => ({ name, run: withMutex }));
  const result = explore(program('mutex', actors, 3), profile);
  t.is(result.verdict, 'safe', JSON.stringify(result.failures));
});

test('an rwsem excludes writers and loses no wake-up: two readers, two writers, all schedules', (t) => {
  const actors = [
    { name: 'r1', run: asReader },
    { name: 'w1', run: asWriter },
    { name: 'r2', run: asReader },
    { name: 'w2', run: asWriter },
  ];
  const result = explore(program('rwsem', actors, 2), profile);
  t.is(result.verdict, 'safe', JSON.stringify(result.failures));
});

/** Takes zone and node locks in either order. */
function* both(task: Task, m: Machine, zoneFirst: boolean): Op<void> {
  const [outer, inner] = zoneFirst ? [m.zoneLock, m.nodeLock] : [m.nodeLock, m.zoneLock];
  yield* spinLock(task, outer, 0);
  yield* spinLock(task, inner, 0);
  if (lab?.point()) yield STEP;
  spinUnlock(task, inner, 0);
  if (lab?.point()) yield STEP;
  spinUnlock(task, outer, 0);
}

test('an ABBA inversion is a deadlock in some schedule, and a lockdep cycle in others', (t) => {
  const actors: ActorSource[] = [
    { name: 'ab', run: (task, m) => both(task, m, true) },
    { name: 'ba', run: (task, m) => both(task, m, false) },
  ];
  const abba = program('abba', actors);
  const result = explore(abba, profile);
  const kinds = new Set(result.failures.map((failure) => failure.finding.kind));
  t.deepEqual([...kinds].sort(), ['hang', 'lockdep']);
  const cycle = result.failures.find((failure) => failure.finding.kind === 'lockdep');
  t.regex(cycle?.finding.message ?? '', /zone -> node_pool|node_pool -> zone/);
  const hang = result.failures.find((failure) => failure.finding.kind === 'hang');
  t.is(replay(abba, profile, hang?.schedule ?? '').ending, 'deadlock');
});

test('sleeping under a spinlock is a BUG of the rules in force', (t) => {
  const actors: ActorSource[] = [
    {
      name: 'sleeper',
      run: function* (task, m) {
        yield* spinLock(task, m.zoneLock, 0);
        mightSleep(task);
      },
    },
  ];
  const result = explore(program('atomic', actors), profile);
  t.deepEqual(
    result.failures.map((failure) => failure.finding.kind),
    ['bug'],
  );
});

test('a run that never ends is stopped as a livelock, and is not exhaustive', (t) => {
  const forever = function* (): Op<void> {
    for (;;) if (lab?.point()) yield STEP;
  };
  const actors = ['a', 'b'].map((name) => ({ name, run: forever }));
  const result = explore(program('livelock', actors), profile, { budget: 1 });
  t.is(result.failures[0].finding.kind, 'hang');
  t.false(result.exhaustive);
});
