// Searching the schedules of a program: all of them, depth first with a growing bound of preemptions
// or by partial orders; some, drawn at random; or the one that is given.

import type { Profile } from '../engine/profile/profile.js';
import { InvariantError } from '../engine/sched/errors.js';
import type { Program } from './program.js';
import { replay } from './replay.js';
import { Rig } from './rig.js';
import { DepthFirst, UNBOUNDED } from './search/depth-first.js';
import { Dpor } from './search/dpor.js';
import { Pct } from './search/pct.js';
import { RandomWalk } from './search/random-walk.js';
import type { Strategy } from './search/strategy.js';
import { type Failure, Tally } from './tally.js';

export { replay, replayRig } from './replay.js';
export type { Failure } from './tally.js';

/** The result of a search. */
export interface Exploration {
  readonly program: string;
  readonly profile: string;
  /**
   * `safe` only if every schedule was tried: all there are (`exhaustive`), or all of up to
   * `preemptionBound` preemptions, SAFE_BOUND at least.
   */
  readonly verdict: 'safe' | 'unsafe' | 'not-found';
  /** Every reachable state was entered, or one run of every trace made (both told by a 64-bit hash), and no bound was hit. */
  readonly exhaustive: boolean;
  /** Every schedule of up to so many preemptions was tried; null if not even those of none. */
  readonly preemptionBound: number | null;
  readonly executions: number;
  /** Distinct states at decisions, in the last search; 0 if the strategy does not know states. */
  readonly states: number;
  /** What the reduction by partial orders left; null for the other strategies. */
  readonly reduction: Reduction | null;
  readonly steps: number;
  /** One entry per distinct failure, each with the first schedule that showed it: fewest preemptions first. */
  readonly failures: readonly Failure[];
}

/** All but `blocked` of its executions are the only one of their trace. */
export interface Reduction {
  /** Distinct traces: schedules of which none is another in a different order of independent steps. */
  readonly traces: number;
  /** Executions given up on the way: all that could follow had been tried. */
  readonly blocked: number;
}

/** How schedules are picked. */
export const STRATEGIES = ['dfs', 'dpor', 'random', 'pct'] as const;

export interface ExploreOptions {
  /**
   * `dfs` (default): depth first, bound after bound, entering each state once, and then `dpor`: one
   * schedule of every trace, without a bound. `random`: drawn step by step. `pct`: by priorities.
   */
  readonly strategy?: (typeof STRATEGIES)[number];
  /** dfs: preemptions up to which schedules are tried. Default: 0, 1, 2, 3, then all by dpor. */
  readonly bounds?: readonly number[];
  /** pct: orderings of steps that a failure may take. Default: 5. */
  readonly depth?: number;
  /** random, pct: the same seed draws the same schedules. Default: 1. */
  readonly seed?: number;
  /** Executions after which the search stops. Default: BUDGET, or SAMPLES for drawn schedules. */
  readonly budget?: number;
  /** Stop at the first failure, rather than at the end of its bound. */
  readonly stopAtFirst?: boolean;
  /** Told now and then how many executions were made. */
  readonly onProgress?: (executions: number) => void;
}

/** Schedules with so many preemptions must have been tried before a program is called safe. */
export const SAFE_BOUND = 3;

/** Executions of a search unless it is told otherwise. */
export const BUDGET = 2_000_000;

/** Schedules that are drawn unless it is told otherwise. */
export const SAMPLES = 10_000;

/** Executions between two reports of progress. */
const PROGRESS_EVERY = 1024;

const BOUNDS: readonly number[] = [0, 1, 2, SAFE_BOUND];

/**
 * Searches the schedules of a program for failures. With `dfs` those found first have the fewest
 * preemptions. Nothing is called safe that was not tried: drawn schedules find, or do not find.
 */
export function explore(
  program: Program,
  profile: Profile,
  options: ExploreOptions = {},
): Exploration {
  const { strategy = 'dfs', seed = 1, depth = 5 } = options;
  const isDrawn = strategy === 'random' || strategy === 'pct';
  const search = new Search(program, profile, {
    budget: options.budget ?? (isDrawn ? SAMPLES : BUDGET),
    stopAtFirst: options.stopAtFirst === true,
    onProgress: options.onProgress ?? null,
  });
  switch (strategy) {
    case 'dfs': {
      const goesOn = (options.bounds ?? BOUNDS).every((bound) => search.within(bound));
      if (goesOn && options.bounds === undefined) search.byTraces();
      break;
    }
    case 'dpor':
      search.byTraces();
      break;
    case 'random':
      search.run(new RandomWalk(seed));
      break;
    case 'pct':
      search.run(new Pct(seed, depth));
      break;
  }
  return search.result();
}

/** One search, in one or more rounds. */
class Search {
  private readonly tally: Tally;
  private exhaustive = false;
  private bound: number | null = null;
  private states = 0;
  private reduction: Reduction | null = null;

  constructor(
    private readonly program: Program,
    private readonly profile: Profile,
    private readonly limits: {
      readonly budget: number;
      readonly stopAtFirst: boolean;
      readonly onProgress: ((executions: number) => void) | null;
    },
  ) {
    this.tally = new Tally(program, profile);
  }

  /** Tries all schedules of up to `bound` preemptions. False if the search is over. */
  within(bound: number): boolean {
    const search = new DepthFirst(bound);
    const finished = this.run(search);
    this.states = search.states;
    if (!finished) return false;
    this.exhaustive = !search.wasBounded && this.tally.livelocks === 0;
    if (bound !== UNBOUNDED) this.bound = bound;
    return !this.exhaustive;
  }

  /** Tries one schedule of every trace. */
  byTraces(): void {
    const search = new Dpor();
    const finished = this.run(search);
    this.exhaustive = finished && !search.wasBounded && this.tally.livelocks === 0;
    this.reduction = { traces: search.traces, blocked: search.blocked };
  }

  /** Runs what the strategy picks. True if it came to its end: not by the budget, nor by a first failure. */
  run(strategy: Strategy): boolean {
    const rig = new Rig(this.program, this.profile, strategy, strategy.hash);
    rig.driver.watcher = strategy.watcher;
    const { stackTraceLimit } = Error;
    // A BUG or a power cut may end every second run: nobody looks at their stacks.
    Error.stackTraceLimit = 0;
    try {
      return this.loop(strategy, rig);
    } catch (error) {
      Error.stackTraceLimit = stackTraceLimit;
      // A defect is met again in its schedule, this time with its stack.
      replay(this.program, this.profile, this.tally.schedule(rig));
      throw error;
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  private loop(strategy: Strategy, rig: Rig): boolean {
    const { budget, stopAtFirst, onProgress } = this.limits;
    const { tally } = this;
    while (tally.executions < budget) {
      strategy.begin();
      const run = rig.run();
      tally.count(run, rig);
      if (onProgress !== null && tally.executions % PROGRESS_EVERY === 0)
        onProgress(tally.executions);
      if (stopAtFirst && tally.failures.size > 0) return false;
      if (!strategy.advance(run.ending)) return true;
    }
    return false;
  }

  result(): Exploration {
    const { bound, exhaustive, reduction, states, tally } = this;
    if (exhaustive && tally.executions === 0)
      throw new InvariantError('a search without executions');
    const isSafe = exhaustive || (bound !== null && bound >= SAFE_BOUND);
    return {
      program: this.program.name,
      profile: this.profile.name,
      verdict: tally.failures.size > 0 ? 'unsafe' : isSafe ? 'safe' : 'not-found',
      exhaustive,
      preemptionBound: bound,
      executions: tally.executions,
      states,
      reduction,
      steps: tally.steps,
      failures: [...tally.failures.values()],
    };
  }
}
