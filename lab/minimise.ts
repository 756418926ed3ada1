// Makes a failing schedule as short as it can be: fewest preemptions, then fewest steps, then fewest
// actors that take part before it fails.
//
// All schedules of no preemption are tried, then of one, and so on: the first bound that fails in
// the same way has the shortest. Where that takes more than its budget, switches of actors are left
// out of the given schedule as long as it goes on to fail (delta debugging: Zeller and Hildebrandt,
// 2002).

import type { Finding } from '../engine/finding.js';
import type { Profile } from '../engine/profile/profile.js';
import { InvariantError } from '../engine/sched/errors.js';
import type { Chooser } from '../engine/sched/lab-driver.js';
import { type Failure, replay } from './explore.js';
import type { Program } from './program.js';
import { Rig } from './rig.js';
import { DepthFirst } from './search/depth-first.js';
import { formatSchedule, parseSchedule } from './search/schedule.js';
import { carryOn } from './search/script.js';

/** A failing schedule, and what is known about how short it is. */
export interface Minimised extends Failure {
  /** Steps, and actors that took one, up to the failure. */
  readonly steps: number;
  readonly actors: number;
  /**
   * `minimal`: no schedule fails in this way with fewer preemptions, with as many and fewer steps, or
   * with as many of both and fewer actors. `fewest-preemptions`: the first of these only. `shrunk`:
   * shorter than what was given, perhaps.
   */
  readonly achieved: 'minimal' | 'fewest-preemptions' | 'shrunk';
  readonly executions: number;
}

/** Executions of a minimisation unless it is told otherwise. */
export const MINIMISE_BUDGET = 200_000;

/**
 * The shortest schedule with a finding of the same kind and hazard. Verified by replay.
 * @throws Errno EINVAL if the failure's schedule is not one of the program and profile
 * @throws InvariantError if it does not fail as it says
 */
export function minimise(
  program: Program,
  profile: Profile,
  failure: Pick<Failure, 'finding' | 'schedule'>,
  budget: number = MINIMISE_BUDGET,
): Minimised {
  replay(program, profile, failure.schedule); // refuses what is not a schedule of this program
  const search = new Minimiser(program, profile, failure.finding, budget);
  search.begin(parseSchedule(failure.schedule).choices);
  const achieved = search.byBounds();
  if (achieved !== 'minimal') search.shrink();
  search.trim();
  const { best, executions } = search;
  const { preemptions, steps, finding } = best;
  const schedule = formatSchedule({
    program: program.name,
    profile: profile.name,
    choices: best.choices,
  });
  const replayed = replay(program, profile, schedule).findings;
  if (!replayed.some((one) => isSame(one, finding))) {
    throw new InvariantError(`minimised schedule ${schedule} does not fail`);
  }
  return { finding, schedule, preemptions, steps, actors: best.actors, achieved, executions };
}

/** A run up to its failure. */
interface Attempt {
  readonly finding: Finding;
  readonly choices: readonly number[];
  readonly preemptions: number;
  readonly steps: number;
  readonly actors: number;
}

class Minimiser {
  executions = 0;
  private shortest: Attempt | null = null;

  constructor(
    private readonly program: Program,
    private readonly profile: Profile,
    private readonly target: Finding,
    private readonly budget: number,
  ) {}

  get best(): Attempt {
    if (this.shortest === null) {
      const { kind } = this.target;
      throw new InvariantError(`the schedule to be minimised shows no ${kind}`);
    }
    return this.shortest;
  }

  /** Runs what was given. */
  begin(choices: readonly number[]): void {
    this.attempt(choices);
  }

  /** Tries all schedules of 0, 1, ... preemptions, up to those of the best one so far. */
  byBounds(): Minimised['achieved'] {
    for (let bound = 0; bound <= this.best.preemptions; bound++) {
      const search = new DepthFirst(bound);
      const rig = new ShortestRig(this.program, this.profile, search, search.hash, this.target);
      do {
        if (this.executions >= this.budget) {
          return this.best.preemptions === bound ? 'fewest-preemptions' : 'shrunk';
        }
        search.begin();
        this.take(rig.run());
      } while (search.advance());
    }
    return 'minimal';
  }

  /** Leaves out turns of the best schedule, or swaps two, as long as that makes it shorter. */
  shrink(): void {
    for (let size = this.best.choices.length; size >= 1; size = Math.floor(size / 2)) {
      while (this.shrinkBy(size));
    }
  }

  /** Leaves out `size` turns in a row, or swaps two, wherever that makes it shorter. False if nowhere. */
  private shrinkBy(size: number): boolean {
    const turns = turnsOf(this.best.choices);
    for (let at = 0; at < turns.length; at += size) {
      if (this.attempt(choicesOf(turns.toSpliced(at, size)))) return true;
      const isPair = size === 1 && at + 1 < turns.length;
      if (isPair && this.attempt(choicesOf(turns.toSpliced(at, 2, turns[at + 1], turns[at])))) {
        return true;
      }
    }
    return false;
  }

  /** Drops last turns that come about by themselves. */
  trim(): void {
    const turns = turnsOf(this.best.choices);
    while (turns.length > 1) {
      turns.pop();
      const choices = choicesOf(turns);
      const shorter = this.run(choices);
      if (shorter === null || compare(shorter, this.best) !== 0) return;
      this.shortest = { ...shorter, choices };
    }
  }

  /** Runs choices, as far as they can be taken; true if that is the shortest so far. */
  private attempt(choices: readonly number[]): boolean {
    return this.take(this.run(choices));
  }

  private run(choices: readonly number[]): Attempt | null {
    return new ShortestRig(
      this.program,
      this.profile,
      new Lenient(choices),
      null,
      this.target,
    ).run();
  }

  private take(attempt: Attempt | null): boolean {
    this.executions++;
    if (attempt === null) return false;
    if (this.shortest !== null && compare(attempt, this.shortest) >= 0) return false;
    this.shortest = attempt;
    return true;
  }
}

/** Runs schedules up to the first finding like the one that is looked for. */
class ShortestRig {
  private readonly rig: Rig;
  private found: Attempt | null = null;

  constructor(
    program: Program,
    profile: Profile,
    chooser: Chooser,
    hash: Rig['driver']['hash'],
    private readonly target: Finding,
  ) {
    this.rig = new Rig(program, profile, chooser, hash);
    const { machine } = this.rig;
    const record = machine.onFinding;
    machine.onFinding = (finding) => {
      record(finding);
      this.note(finding);
    };
  }

  /** One run; null if nothing like it was found. */
  run(): Attempt | null {
    this.found = null;
    for (const finding of this.rig.run().findings) this.note(finding);
    return this.found;
  }

  private note(finding: Finding): void {
    if (this.found !== null || !isSame(finding, this.target)) return;
    const { driver } = this.rig;
    const { preemptions, steps } = driver;
    let actors = 0;
    for (let mask = driver.tookPart; mask !== 0; mask &= mask - 1) actors++;
    this.found = { finding, choices: driver.choices(), preemptions, steps, actors };
  }
}

/** Takes choices where they can be taken, and else leaves them out; then whoever ran goes on. */
class Lenient implements Chooser {
  private at = 0;

  constructor(private readonly choices: readonly number[]) {}

  choose(runnable: number, current: number): number {
    while (this.at < this.choices.length) {
      const choice = this.choices[this.at++];
      if ((runnable & (1 << choice)) !== 0) return choice;
    }
    return carryOn(runnable, current);
  }
}

function isSame(a: Finding, b: Finding): boolean {
  return a.kind === b.kind && a.hazard === b.hazard;
}

/** Negative if `a` is shorter than `b`, 0 if neither is. */
function compare(a: Attempt, b: Attempt): number {
  return a.preemptions - b.preemptions || a.steps - b.steps || a.actors - b.actors;
}

/** Choices as turns: an actor, and how many decisions in a row it is given. */
interface Turn {
  readonly actor: number;
  readonly count: number;
}

function turnsOf(choices: readonly number[]): Turn[] {
  const turns: Turn[] = [];
  for (let i = 0; i < choices.length; ) {
    let end = i + 1;
    while (end < choices.length && choices[end] === choices[i]) end++;
    turns.push({ actor: choices[i], count: end - i });
    i = end;
  }
  return turns;
}

function choicesOf(turns: readonly Turn[]): number[] {
  return turns.flatMap(({ actor, count }) => new Array<number>(count).fill(actor));
}
