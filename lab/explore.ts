// Searching the schedules of a program: depth first with a growing bound of preemptions, at random,
// or one that is given.

import type { Finding } from '../engine/finding.js';
import type { Profile } from '../engine/profile/profile.js';
import { Errno, InvariantError } from '../engine/sched/errors.js';
import type { Program } from './program.js';
import { Rig, type RunResult } from './rig.js';
import { DepthFirst, UNBOUNDED } from './search/depth-first.js';
import { RandomWalk } from './search/random-walk.js';
import { formatSchedule, parseSchedule } from './search/schedule.js';
import { Script } from './search/script.js';

/** The result of a search. */
export interface Exploration {
  readonly program: string;
  readonly profile: string;
  /**
   * `safe` only if every schedule was tried: all there are (`exhaustive`), or all of up to
   * `preemptionBound` preemptions, SAFE_BOUND at least.
   */
  readonly verdict: 'safe' | 'unsafe' | 'not-found';
  /** Every reachable state was entered (matched by a 64-bit hash) and no bound was hit. */
  readonly exhaustive: boolean;
  /** Every schedule of up to so many preemptions was tried; null if not even those of none. */
  readonly preemptionBound: number | null;
  readonly executions: number;
  /** Distinct states at decisions, in the last search. */
  readonly states: number;
  readonly steps: number;
  /** One entry per distinct failure, each with the first schedule that showed it: fewest preemptions first. */
  readonly failures: readonly Failure[];
}

export interface Failure {
  readonly finding: Finding;
  readonly schedule: string;
  readonly preemptions: number;
}

export interface ExploreOptions {
  /** Preemptions up to which schedules are tried before all are. Default: 0, 1, 2, 3, all. */
  readonly bounds?: readonly number[];
  /** Executions after which the search stops. */
  readonly budget?: number;
  /** Stop at the first failure, rather than at the end of its bound. */
  readonly stopAtFirst?: boolean;
}

/** Schedules with so many preemptions must have been tried before a program is called safe. */
export const SAFE_BOUND = 3;

/** Executions of a search unless it is told otherwise. */
export const BUDGET = 2_000_000;

const BOUNDS: readonly number[] = [0, 1, 2, SAFE_BOUND, UNBOUNDED];

/** Depth-first search, bound after bound: the first failure has the fewest preemptions. */
export function explore(
  program: Program,
  profile: Profile,
  options: ExploreOptions = {},
): Exploration {
  const search = new Search(program, profile, options);
  for (const bound of options.bounds ?? BOUNDS) if (!search.within(bound)) break;
  return search.result();
}

/** Runs schedules drawn at random (every runnable actor equally likely at each decision). */
export function exploreRandom(
  program: Program,
  profile: Profile,
  seed: number,
  executions: number,
): Exploration {
  const rig = new Rig(program, profile, new RandomWalk(seed), null);
  const tally = new Tally(program, profile);
  for (let i = 0; i < executions; i++) tally.count(rig.run(), rig);
  return tally.result(false, null, 0);
}

/**
 * Runs the one schedule that `text` names.
 * @throws Errno EINVAL if it belongs to another program or does not fit this one
 */
export function replay(program: Program, profile: Profile, text: string): RunResult {
  return replayRig(program, profile, text).run();
}

/** A rig that runs the one schedule that `text` names. @throws as replay() */
export function replayRig(program: Program, profile: Profile, text: string): Rig {
  const schedule = parseSchedule(text);
  if (schedule.program !== program.name || schedule.profile !== profile.name) {
    throw new Errno(
      'EINVAL',
      `schedule of ${schedule.program} under ${schedule.profile}, not of ${program.name} under ${profile.name}`,
    );
  }
  const script = new Script(schedule.choices);
  const rig = new Rig(program, profile, script, null);
  rig.afterRun = () => {
    if (script.misfit < 0) return;
    throw new Errno(
      'EINVAL',
      `schedule does not fit ${program.name}: decision ${String(script.misfit)} names an actor that can't run there`,
    );
  };
  return rig;
}

/** One depth-first search: level after level of preemptions. */
class Search {
  private readonly tally: Tally;
  private readonly budget: number;
  private exhaustive = false;
  private bound: number | null = null;
  private states = 0;

  constructor(
    private readonly program: Program,
    private readonly profile: Profile,
    private readonly options: ExploreOptions,
  ) {
    this.tally = new Tally(program, profile);
    this.budget = options.budget ?? BUDGET;
  }

  /** Tries all schedules of up to `bound` preemptions. False if the search is over. */
  within(bound: number): boolean {
    const search = new DepthFirst(bound);
    const rig = new Rig(this.program, this.profile, search, search.hash);
    let finished = false;
    while (!finished && this.tally.executions < this.budget) {
      search.begin();
      this.tally.count(rig.run(), rig, search.preemptions);
      if (this.options.stopAtFirst === true && this.tally.failures.size > 0) break;
      finished = !search.advance();
    }
    this.states = search.states;
    if (!finished) return false; // by the budget, or by the first failure
    this.exhaustive = !search.wasBounded && this.tally.livelocks === 0;
    if (bound !== UNBOUNDED) this.bound = bound;
    return !this.exhaustive;
  }

  result(): Exploration {
    return this.tally.result(this.exhaustive, this.bound, this.states);
  }
}

class Tally {
  executions = 0;
  steps = 0;
  livelocks = 0;
  readonly failures = new Map<string, Failure>();

  constructor(
    private readonly program: Program,
    private readonly profile: Profile,
  ) {}

  count(run: RunResult, rig: Rig, preemptions = 0): void {
    this.executions++;
    this.steps += run.steps;
    if (run.ending === 'livelock') this.livelocks++;
    for (const finding of run.findings) {
      const key = `${finding.kind} ${finding.task} ${finding.message}`;
      if (this.failures.has(key)) continue;
      this.failures.set(key, { finding, schedule: this.schedule(rig), preemptions });
    }
    // 1, 2, 4, 8, ...: a sample that costs nothing.
    if ((this.executions & (this.executions - 1)) === 0) this.checkDeterminism(run, rig);
  }

  result(exhaustive: boolean, preemptionBound: number | null, states: number): Exploration {
    if (exhaustive && this.executions === 0)
      throw new InvariantError('a search without executions');
    const isSafe = exhaustive || (preemptionBound !== null && preemptionBound >= SAFE_BOUND);
    return {
      program: this.program.name,
      profile: this.profile.name,
      verdict: this.failures.size > 0 ? 'unsafe' : isSafe ? 'safe' : 'not-found',
      exhaustive,
      preemptionBound,
      executions: this.executions,
      states,
      steps: this.steps,
      failures: [...this.failures.values()],
    };
  }

  private schedule(rig: Rig): string {
    return formatSchedule({
      program: this.program.name,
      profile: this.profile.name,
      choices: rig.driver.choices(),
    });
  }

  /** The same choices must come to the same: else nothing that a search says is worth anything. */
  private checkDeterminism(run: RunResult, rig: Rig): void {
    if (run.ending === 'abandoned') return;
    const again = replay(this.program, this.profile, this.schedule(rig));
    const same =
      again.ending === run.ending &&
      again.steps === run.steps &&
      JSON.stringify(again.findings) === JSON.stringify(run.findings);
    if (same) return;
    throw new InvariantError(
      `${this.program.name} is not deterministic: ${this.schedule(rig)} ended in ${run.ending} ` +
        `after ${String(run.steps)} steps, and again in ${again.ending} after ${String(again.steps)}`,
    );
  }
}
