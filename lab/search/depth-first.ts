// Enumerating schedules depth first, up to a bound of preemptions. A state that was entered before,
// with no more preemptions than now, is not entered again.

import { StateHash } from '../../engine/sched/state-hash.js';
import { Path } from './path.js';
import { carryOn } from './script.js';
import { StateSet } from './state-set.js';
import type { Strategy } from './strategy.js';

/** A bound that is never reached. */
export const UNBOUNDED = 255;

export class DepthFirst implements Strategy {
  readonly hash = new StateHash();
  readonly watcher = null;
  /** Did the bound leave anything out? */
  wasBounded = false;

  private readonly seen = new StateSet();
  private readonly path = new Path();
  /** Choices that are fixed in this run: what they lead to has been entered already. */
  private prefix = 0;
  private at = 0;
  private used = 0;

  /** @param bound preemptions that a schedule may have: switches away from an actor that could go on */
  constructor(private readonly bound: number) {}

  /** Distinct states entered at decisions. */
  get states(): number {
    return this.seen.size;
  }

  begin(): void {
    this.at = 0;
    this.used = 0;
  }

  choose(runnable: number, current: number): number {
    const { path } = this;
    const at = this.at++;
    const isPreemption = current >= 0 && (runnable & (1 << current)) !== 0;
    if (at >= this.prefix) {
      if (!this.enter(isPreemption ? current : -1)) return -1;
      const choice = carryOn(runnable, current);
      let others = runnable & ~(1 << choice);
      if (isPreemption && this.used >= this.bound && others !== 0) {
        this.wasBounded = true;
        others = 0;
      }
      path.push(choice, others);
    }
    const choice = path.at(at);
    if (isPreemption && choice !== current) this.used++;
    return choice;
  }

  advance(): boolean {
    const { path } = this;
    if (!path.advance()) return false;
    this.prefix = path.length;
    return true;
  }

  /** Was the state not entered before, after as few preemptions and with the same actor going on? */
  private enter(goesOn: number): boolean {
    const { bound, hash, seen } = this;
    hash.digest();
    // Without a bound it does not matter who ran last, nor how often somebody was preempted.
    if (bound === UNBOUNDED) return seen.add(hash.digestLow, hash.digestHigh, 0);
    return seen.add(hash.digestLow ^ (goesOn + 1), hash.digestHigh, this.used);
  }
}
