// What all the runs of a search come to, to compare one search with another.

import type { Finding } from '../../engine/finding.js';
import type { Profile } from '../../engine/profile/profile.js';
import type { Program } from '../../lab/program.js';
import { Rig } from '../../lab/rig.js';
import type { Strategy } from '../../lab/search/strategy.js';

export interface Outcomes {
  /** Each outcome (how it ended, what was found, final memory), and the fewest preemptions of a run that had it. */
  readonly fewest: ReadonlyMap<string, number>;
  readonly executions: number;
  /** Did the search come to its end within the executions that it was given? */
  readonly isComplete: boolean;
}

/** Runs all that a strategy picks, or the first `budget` of it. */
export function outcomesOf(
  program: Program,
  profile: Profile,
  strategy: Strategy,
  budget: number,
): Outcomes {
  const rig = new Rig(program, profile, strategy, strategy.hash);
  rig.driver.watcher = strategy.watcher;
  const { shared, state } = rig.machine;
  const memory = new Int32Array(shared.state);
  // Which locks were ever taken under which follows from the trace; who closed a cycle does not.
  const lockdepFrom = state.lockdep.byteOffset >>> 2;
  const fewest = new Map<string, number>();
  for (let executions = 1; ; executions++) {
    strategy.begin();
    const { ending, findings } = rig.run();
    if (ending !== 'abandoned') {
      const final = memory.slice().fill(0, lockdepFrom, lockdepFrom + state.lockdep.length);
      const key = [ending, ...findings.map(keyOf).sort(), final.join('')].join(' ');
      const { preemptions } = rig.driver;
      fewest.set(key, Math.min(fewest.get(key) ?? preemptions, preemptions));
    }
    const isComplete = !strategy.advance(ending);
    if (isComplete || executions === budget) return { fewest, executions, isComplete };
  }
}

function keyOf({ kind, task, message }: Finding): string {
  return kind === 'lockdep' ? kind : `${kind} ${task} ${message}`;
}

/** The outcomes that runs of at most `bound` preemptions had. */
export function within(outcomes: Outcomes, bound: number): string[] {
  return [...outcomes.fewest]
    .filter(([, fewest]) => fewest <= bound)
    .map(([key]) => key)
    .sort();
}

/** All outcomes. */
export function all(outcomes: Outcomes): string[] {
  return [...outcomes.fewest.keys()].sort();
}
