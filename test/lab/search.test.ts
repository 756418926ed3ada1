// The reduced searches find what brute force finds: on programs made by hand, and on drawn ones.

import test from 'ava';
import fc from 'fast-check';
import type { Machine } from '../../engine/machine.js';
import { add, load, read, store, write } from '../../engine/memory/word.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { KernelBug } from '../../engine/sched/errors.js';
import {
  downRead,
  downWrite,
  mutexLock,
  mutexUnlock,
  spinLock,
  spinUnlock,
  upRead,
  upWrite,
} from '../../engine/sched/lock.js';
import { type Op, sleepOn, type Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { wake } from '../../engine/sched/wait.js';
import { explore } from '../../lab/explore.js';
import { LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { HAZARDS } from '../../lab/hazards/index.js';
import { POWER_CUT, type Program } from '../../lab/program.js';
import { BruteForce } from '../../lab/search/brute-force.js';
import { DepthFirst, UNBOUNDED } from '../../lab/search/depth-first.js';
import { Dpor } from '../../lab/search/dpor.js';
import { SMALL_PROGRAMS } from '../../lab/search/programs.js';
import type { Strategy } from '../../lab/search/strategy.js';
import { all, type Outcomes, outcomesOf, within } from '../support/outcomes.js';

const profile = profileByName('linux-6.12');
const BUDGET = 200_000;

/** Where the searches differ from brute force; null if that is too much. */
function differences(program: Program, budget: number): string[] | null {
  const force = new BruteForce();
  const truth = outcomesOf(program, profile, force, budget);
  if (!truth.isComplete) return null;
  const problems: string[] = [];
  const compare = (name: string, strategy: Strategy, bound: number): Outcomes => {
    const found = outcomesOf(program, profile, strategy, budget);
    const expected = within(truth, bound);
    if (all(found).join('\n') !== expected.join('\n')) {
      problems.push(`${name}: ${String(found.fewest.size)} outcomes of ${String(expected.length)}`);
    }
    return found;
  };

  const dpor = new Dpor();
  const { executions } = compare('dpor', dpor, UNBOUNDED);
  if (dpor.traces !== force.traces) problems.push('dpor: not a run of every trace');
  // What nobody saw before the run was ended for everybody tells executions apart, but not traces.
  const isEnded = all(truth).some((outcome) => outcome.startsWith('thrown'));
  if (!isEnded && executions !== dpor.traces + dpor.blocked) {
    problems.push('dpor: two runs of one trace');
  }
  for (const bound of [0, 1, 2, 3, UNBOUNDED]) {
    compare(`up to ${String(bound)} preemptions`, new DepthFirst(bound), bound);
  }
  return problems;
}

for (const program of SMALL_PROGRAMS) {
  test(`${program.name}: all searches find what brute force finds`, (t) => {
    t.deepEqual(differences(program, BUDGET), []);
    const kinds = explore(program, profile).failures.map((failure) => failure.finding.kind);
    t.deepEqual([...new Set(kinds)].sort(), [...program.finds].sort());
  });
}

type Act = (task: Task, m: Machine, seen: number) => Op<number>;

/** What a drawn actor may do; each act is given what the actor has seen so far, and returns that again. */
const ACTS: Readonly<Record<string, (word: number) => Act>> = {
  load: (word) =>
    function* (_task, m, seen) {
      if (lab?.point()) yield STEP;
      return seen * 3 + load(m.state.extra, word);
    },
  store: (word) =>
    function* (_task, m, seen) {
      if (lab?.point()) yield STEP;
      store(m.state.extra, word, seen + 1);
      return seen;
    },
  add: (word) =>
    function* (_task, m, seen) {
      if (lab?.point()) yield STEP;
      return seen * 3 + add(m.state.extra, word, 1);
    },
  spinLocked: (word) =>
    function* (task, m, seen) {
      const lock = word === 0 ? m.zoneLock : m.nodeLock;
      yield* spinLock(task, lock, 0);
      const value = read(m.state.extra, 3);
      write(m.state.extra, 3, value + 1);
      if (lab?.point()) yield STEP;
      spinUnlock(task, lock, 0);
      return seen * 3 + value;
    },
  mutexLocked: () =>
    function* (task, m, seen) {
      const locks = m.locks('buffer', m.state.private);
      yield* mutexLock(task, locks, 0);
      write(m.state.extra, 4, read(m.state.extra, 4) + 1);
      if (lab?.point()) yield STEP;
      mutexUnlock(task, locks, 0);
      return seen;
    },
  reading: (word) =>
    function* (task, m, seen) {
      yield* downRead(task, m.iRwsem, 0);
      if (lab?.point()) yield STEP;
      const value = load(m.state.extra, word);
      if (lab?.point()) yield STEP;
      upRead(task, m.iRwsem, 0);
      return seen * 3 + value;
    },
  writing: () =>
    function* (task, m, seen) {
      yield* downWrite(task, m.iRwsem, 0);
      write(m.state.extra, 5, read(m.state.extra, 5) + seen);
      if (lab?.point()) yield STEP;
      upWrite(task, m.iRwsem, 0);
      return seen;
    },
  waiting: (word) =>
    function* (task, m, seen) {
      if (lab?.point()) yield STEP;
      const value = load(m.state.extra, word);
      if (value === 0) yield sleepOn(task, m.state.extra, word, 0);
      return seen + value;
    },
  sleepLate: (word) =>
    function* (task, m, seen) {
      if (lab?.point()) yield STEP;
      const value = load(m.state.extra, word);
      if (lab?.point()) yield STEP;
      yield sleepOn(task, m.state.extra, word, value);
      return seen;
    },
  waking: (word) =>
    function* (_task, m, seen) {
      if (lab?.point()) yield STEP;
      store(m.state.extra, word, 1);
      wake(m.state.extra, word);
      return seen;
    },
  tripping: (word) =>
    function* (_task, m, seen) {
      if (lab?.point()) yield STEP;
      if (load(m.state.extra, word) === 1) throw new KernelBug('BUG: it is 1');
      return seen;
    },
  telling: (word) =>
    function* (task, m, seen) {
      if (lab?.point()) yield STEP;
      if (load(m.state.extra, word) === 0) {
        m.report({ kind: 'warn', hazard: null, task: task.name, message: 'it is 0' });
      }
      return seen;
    },
};

function actor(acts: readonly Act[], word: number): (task: Task, m: Machine) => Op<void> {
  return function* (task, m) {
    let seen = 0;
    for (const act of acts) seen = yield* act(task, m, seen);
    // What it has seen is part of the outcome.
    if (lab?.point()) yield STEP;
    store(m.state.extra, word, seen);
  };
}

const drawnAct = fc
  .record({ name: fc.constantFrom(...Object.keys(ACTS)), word: fc.integer({ min: 0, max: 1 }) })
  .map(({ name, word }) => ({ name: `${name}(${String(word)})`, act: ACTS[name](word) }));

const drawnProgram = fc
  .record({
    actors: fc.array(fc.array(drawnAct, { minLength: 1, maxLength: 3 }), {
      minLength: 2,
      maxLength: 3,
    }),
    hasCut: fc.boolean(),
  })
  .map(({ actors, hasCut }): Program => {
    const runs = actors.map((acts, i) => ({
      name: `actor ${String(i)}`,
      run: actor(
        acts.map(({ act }) => act),
        8 + i,
      ),
    }));
    return {
      ...SMALL_PROGRAMS[0],
      name: actors.map((acts) => acts.map(({ name }) => name).join(' ')).join(' | '),
      actors: hasCut ? [...runs, POWER_CUT] : runs,
      verify: () => [],
      verifyAfterCut: () => [],
    };
  });

test('on drawn programs, too, all searches find what brute force finds', (t) => {
  const programs = fc.sample(drawnProgram, { numRuns: 150, seed: 3 });
  let compared = 0;
  for (const program of programs) {
    const found = differences(program, 5000);
    if (found === null) continue; // too many schedules for brute force
    compared++;
    t.deepEqual(found, [], program.name);
  }
  t.true(compared > 50, String(compared));
});

test('on hazards whose traces are few, the reduction finds what the search by states finds', (t) => {
  let compared = 0;
  for (const name of ['linux-6.12', 'best-known']) {
    const rules = profileByName(name);
    for (const hazard of HAZARDS.filter((each) => (each.notApplicable?.(rules) ?? null) === null)) {
      const program = hazard.program(rules, LAB_PAGE_BYTES);
      const reduced = outcomesOf(program, rules, new Dpor(), 1000);
      if (!reduced.isComplete) continue;
      const byStates = outcomesOf(program, rules, new DepthFirst(UNBOUNDED), 20_000);
      if (!byStates.isComplete) continue;
      compared++;
      t.deepEqual(all(reduced), all(byStates), `${hazard.id} under ${name}`);
    }
  }
  t.true(compared >= 10, String(compared));
});
