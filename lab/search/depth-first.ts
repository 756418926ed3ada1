// Enumerating schedules depth first. Its path is a stack of choices with the alternatives still to
// try; a state that was entered before, with no more preemptions than now, is not entered again.

import type { Chooser } from '../../engine/sched/lab-driver.js';
import { StateHash } from '../../engine/sched/state-hash.js';
import { carryOn } from './script.js';
import { StateSet } from './state-set.js';

/** A bound that is never reached. */
export const UNBOUNDED = 255;

export class DepthFirst implements Chooser {
  readonly hash = new StateHash();
  /** Did the bound leave anything out? */
  wasBounded = false;

  private readonly seen = new StateSet();
  private readonly chosen: number[] = [];
  private readonly untried: number[] = [];
  private prefix = 0;
  private at = 0;
  private used = 0;

  /** @param bound preemptions that a schedule may have: switches away from an actor that could go on */
  constructor(private readonly bound: number) {}

  /** Distinct states entered at decisions. */
  get states(): number {
    return this.seen.size;
  }

  /** Preemptions of the run that has just ended. */
  get preemptions(): number {
    return this.used;
  }

  /** Before each run. */
  begin(): void {
    this.at = 0;
    this.used = 0;
  }

  choose(runnable: number, current: number): number {
    const at = this.at;
    const isPreemption = current >= 0 && (runnable & (1 << current)) !== 0;
    if (at >= this.prefix) {
      this.hash.digest();
      const { bound } = this;
      // Without a bound it does not matter who ran last, nor how often somebody was preempted.
      const low = bound === UNBOUNDED ? this.hash.digestLow : this.hash.digestLow ^ (current + 1);
      if (!this.seen.add(low, this.hash.digestHigh, bound === UNBOUNDED ? 0 : this.used)) return -1;
      const choice = carryOn(runnable, current);
      let others = runnable & ~(1 << choice);
      if (isPreemption && this.used >= bound && others !== 0) {
        this.wasBounded = true;
        others = 0;
      }
      this.chosen.push(choice);
      this.untried.push(others);
    }
    this.at++;
    const choice = this.chosen[at];
    if (isPreemption && choice !== current) this.used++;
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
