// What the ways of searching promise, and that they promise no more.

import test from 'ava';
import { profileByName } from '../../engine/profile/profiles.js';
import type { Op } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { type ExploreOptions, explore, replay, SAFE_BOUND } from '../../lab/explore.js';
import { h1c } from '../../lab/hazards/h1-c.js';
import type { Program } from '../../lab/program.js';
import { SMALL_PROGRAMS } from '../../lab/search/programs.js';

const linux = profileByName('linux-6.12');
const bounce = profileByName('linux-6.12+P7-bounce');
/** A bug planted in a safe profile (kernel.md 4.4). */
const planted = { ...bounce, pinnedTest: 'before-mkclean' } as const;

const EACH: readonly ExploreOptions[] = [
  { strategy: 'dfs' },
  { strategy: 'dpor' },
  { strategy: 'random', seed: 5 },
  { strategy: 'pct', seed: 5, depth: 6 },
];

for (const options of EACH) {
  const { strategy = 'dfs' } = options;

  test(`${strategy}: a bug planted in a safe profile is found, and its schedule replays it`, (t) => {
    t.deepEqual(explore(h1c(), bounce, { ...options, budget: 3000 }).failures, []);
    const { verdict, failures } = explore(h1c(), planted, { ...options, stopAtFirst: true });
    t.is(verdict, 'unsafe');
    t.is(failures[0].finding.kind, 'torn-write');
    t.deepEqual(replay(h1c(), planted, failures[0].schedule).findings, [failures[0].finding]);
  });

  test(`${strategy}: the same search twice is the same`, (t) => {
    const limited = { ...options, budget: 2000 };
    t.deepEqual(explore(h1c(), linux, limited), explore(h1c(), linux, limited));
  });

  test(`${strategy}: cut short by its budget, it calls nothing safe`, (t) => {
    const result = explore(h1c(), bounce, { ...options, budget: 100 });
    t.is(result.verdict, 'not-found');
    t.false(result.exhaustive);
    t.is(result.executions, 100);
  });
}

test('drawn schedules never make a program safe, however small it is', (t) => {
  const [mutex] = SMALL_PROGRAMS;
  for (const strategy of ['random', 'pct'] as const) {
    const result = explore(mutex, linux, { strategy });
    t.is(result.verdict, 'not-found');
    t.false(result.exhaustive);
    t.is(result.preemptionBound, null);
  }
});

test('other seeds draw other schedules', (t) => {
  for (const strategy of ['random', 'pct'] as const) {
    const [one, two] = [1, 2].map((seed) => explore(h1c(), linux, { strategy, seed, budget: 500 }));
    t.not(one.steps, two.steps);
  }
});

test(`bounds below ${String(SAFE_BOUND)} preemptions make nothing safe that has more schedules`, (t) => {
  for (const bound of [0, 1, 2]) {
    const result = explore(h1c(), bounce, { bounds: [bound] });
    t.is(result.verdict, 'not-found');
    t.is(result.preemptionBound, bound);
    t.false(result.exhaustive);
  }
  const result = explore(h1c(), bounce, { bounds: [SAFE_BOUND] });
  t.is(result.verdict, 'safe');
  t.false(result.exhaustive);
});

test('one run of every trace is exhaustive, and says how many traces there are', (t) => {
  const result = explore(h1c(), bounce, { strategy: 'dpor' });
  t.is(result.verdict, 'safe');
  t.true(result.exhaustive);
  t.is(result.executions, (result.reduction?.traces ?? 0) + (result.reduction?.blocked ?? 0));
});

test('the executions of the reduction are within 1.5 times the distinct traces', (t) => {
  for (const program of [...SMALL_PROGRAMS, h1c()]) {
    const { executions, reduction } = explore(program, linux, { strategy: 'dpor' });
    t.true(executions <= 1.5 * (reduction?.traces ?? 0), program.name);
  }
});

const forever = function* (): Op<void> {
  for (;;) if (lab?.point()) yield STEP;
};

const endless: Program = {
  ...SMALL_PROGRAMS[0],
  name: 'endless',
  actors: ['a', 'b'].map((name) => ({ name, run: forever })),
};

for (const options of EACH) {
  const { strategy = 'dfs' } = options;
  test(`${strategy}: a program that never ends is told from one that is safe, with the bound`, (t) => {
    const { failures, exhaustive, verdict } = explore(endless, linux, { ...options, budget: 2 });
    t.is(verdict, 'unsafe');
    t.false(exhaustive);
    t.is(failures[0].finding.kind, 'hang');
    t.regex(failures[0].finding.message, /no end after 20000 choices .* 200000 steps/);
  });
}

test('a hang says who waits for what, and holds what meanwhile', (t) => {
  const abba = SMALL_PROGRAMS.find(({ name }) => name === 'abba') ?? endless;
  const hang = explore(abba, linux).failures.find(({ finding }) => finding.kind === 'hang');
  t.is(hang?.finding.task, 'a, b');
  t.is(
    hang?.finding.message,
    'nobody can run: a waits for xa_node pool lock (held by b) and holds zone; ' +
      'b waits for zone lock (held by a) and holds node_pool',
  );
});
