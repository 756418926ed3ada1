// Searching the schedules of a program: exhaustively, at random, or one that is given.

import type { Finding } from '../engine/finding.js';
import type { Profile } from '../engine/profile/profile.js';
import { Errno, InvariantError } from '../engine/sched/errors.js';
import type { Chooser } from '../engine/sched/lab-driver.js';
import { StateHash } from '../engine/sched/state-hash.js';
import type { Program } from './program.js';
import { Rig, type RunResult } from './rig.js';
import { formatSchedule, parseSchedule } from './schedule.js';
import { StateSet } from './state-set.js';

/** The result of a search. */
export interface Exploration {
  readonly program: string;
  readonly profile: string;
  /** `safe` only if `exhaustive`: nothing was left out. */
  readonly verdict: 'safe' | 'unsafe' | 'not-found';
  /** Every reachable state was entered (matched by a 64-bit hash) and no bound was hit. */
  readonly exhaustive: boolean;
  readonly executions: number;
  /** Distinct states at decisions. */
  readonly states: number;
  readonly steps: number;
  /** One entry per distinct failure, each with the first schedule that showed it. */
  readonly failures: readonly Failure[];
}

export interface Failure {
  readonly finding: Finding;
  readonly schedule: string;
}

export interface ExploreOptions {
  /** Executions after which the search stops. */
  readonly budget?: number;
  /** Stop at the first failure. */
  readonly stopAtFirst?: boolean;
}

const BUDGET = 2_000_000;

/** Depth-first search over all schedules; a state that was entered before is not entered again. */
export function explore(
  program: Program,
  profile: Profile,
  options: ExploreOptions = {},
): Exploration {
  const search = new DepthFirst();
  const rig = new Rig(program, profile, search, search.hash);
  const tally = new Tally(program, profile);
  const budget = options.budget ?? BUDGET;
  let exhausted = false;
  while (!exhausted && tally.executions < budget) {
    search.restart();
    tally.count(rig.run(), () => search.choices());
    if (options.stopAtFirst === true && tally.failures.size > 0) break;
    exhausted = !search.advance();
  }
  return tally.result(exhausted, search.states);
}

/** Runs schedules drawn at random (every runnable actor equally likely at each decision). */
export function exploreRandom(
  program: Program,
  profile: Profile,
  seed: number,
  executions: number,
): Exploration {
  const walk = new RandomWalk(seed);
  const rig = new Rig(program, profile, walk, null);
  const tally = new Tally(program, profile);
  for (let i = 0; i < executions; i++) {
    walk.choices.length = 0;
    tally.count(rig.run(), () => walk.choices);
  }
  return tally.result(false, 0);
}

/**
 * Runs the one schedule that `text` names.
 * @throws Errno EINVAL if it belongs to another program or does not fit this one
 */
export function replay(program: Program, profile: Profile, text: string): RunResult {
  const schedule = parseSchedule(text);
  if (schedule.program !== program.name || schedule.profile !== profile.name) {
    throw new Errno(
      'EINVAL',
      `schedule of ${schedule.program} under ${schedule.profile}, not of ${program.name} under ${profile.name}`,
    );
  }
  const script = new Script(schedule.choices);
  const result = new Rig(program, profile, script, null).run();
  if (script.misfit >= 0) {
    throw new Errno(
      'EINVAL',
      `schedule does not fit ${program.name}: decision ${String(script.misfit)} names an actor that can't run there`,
    );
  }
  return result;
}

/** Who goes on where nothing is prescribed: whoever ran, else the lowest that can. */
function carryOn(runnable: number, current: number): number {
  if (current >= 0 && (runnable & (1 << current)) !== 0) return current;
  return 31 - Math.clz32(runnable & -runnable);
}

class Script implements Chooser {
  misfit = -1;
  private at = 0;

  constructor(private readonly script: readonly number[]) {}

  choose(runnable: number, current: number): number {
    if (this.at >= this.script.length) return carryOn(runnable, current);
    const chosen = this.script[this.at++];
    if ((runnable & (1 << chosen)) !== 0) return chosen;
    this.misfit = this.at - 1;
    return -1;
  }
}

/** Every runnable actor equally likely at each decision, from a seed (mulberry32). */
export class RandomWalk implements Chooser {
  readonly choices: number[] = [];
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0;
  }

  choose(runnable: number): number {
    let rest = runnable;
    let count = 0;
    for (let mask = runnable; mask !== 0; mask &= mask - 1) count++;
    for (let skip = this.below(count); skip > 0; skip--) rest &= rest - 1;
    const chosen = 31 - Math.clz32(rest & -rest);
    this.choices.push(chosen);
    return chosen;
  }

  private below(count: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % count;
  }
}

/** Enumerates schedules; its path is a stack of choices with the alternatives still to try. */
class DepthFirst implements Chooser {
  readonly hash = new StateHash();
  private readonly seen = new StateSet();
  private readonly chosen: number[] = [];
  private readonly untried: number[] = [];
  private prefix = 0;
  private at = 0;

  get states(): number {
    return this.seen.size;
  }

  restart(): void {
    this.at = 0;
  }

  choices(): readonly number[] {
    return this.chosen;
  }

  choose(runnable: number, current: number): number {
    const at = this.at++;
    if (at < this.prefix) return this.chosen[at];
    this.hash.digest();
    if (!this.seen.add(this.hash.digestLow, this.hash.digestHigh)) return -1;
    const choice = carryOn(runnable, current);
    this.chosen.push(choice);
    this.untried.push(runnable & ~(1 << choice));
    return choice;
  }

  /** Sets up the next schedule; false if all have been run. */
  advance(): boolean {
    const { chosen, untried } = this;
    while (untried.length > 0 && untried[untried.length - 1] === 0) {
      untried.pop();
      chosen.pop();
    }
    const last = untried.length - 1;
    if (last < 0) return false;
    const mask = untried[last];
    chosen[last] = 31 - Math.clz32(mask & -mask);
    untried[last] = mask & (mask - 1);
    this.prefix = chosen.length;
    return true;
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

  count(run: RunResult, choices: () => readonly number[]): void {
    this.executions++;
    this.steps += run.steps;
    if (run.ending === 'livelock') this.livelocks++;
    for (const finding of run.findings) {
      const key = `${finding.kind} ${finding.task} ${finding.message}`;
      if (!this.failures.has(key))
        this.failures.set(key, { finding, schedule: this.schedule(choices()) });
    }
  }

  result(exhausted: boolean, states: number): Exploration {
    const exhaustive = exhausted && this.livelocks === 0;
    if (exhausted && this.executions === 0) throw new InvariantError('a search without executions');
    return {
      program: this.program.name,
      profile: this.profile.name,
      verdict: this.failures.size > 0 ? 'unsafe' : exhaustive ? 'safe' : 'not-found',
      exhaustive,
      executions: this.executions,
      states,
      steps: this.steps,
      failures: [...this.failures.values()],
    };
  }

  private schedule(choices: readonly number[]): string {
    return formatSchedule({
      program: this.program.name,
      profile: this.profile.name,
      choices: [...choices],
    });
  }
}
