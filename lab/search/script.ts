// Running one schedule that is given: the choices listed, and then whoever ran goes on.

import type { Chooser } from '../../engine/sched/lab-driver.js';

/** The lowest actor of a mask that is not empty. */
export function lowestOf(actors: number): number {
  return 31 - Math.clz32(actors & -actors);
}

/** Who goes on where nothing is prescribed: whoever ran, else the lowest that can. */
export function carryOn(runnable: number, current: number): number {
  if (current >= 0 && (runnable & (1 << current)) !== 0) return current;
  return lowestOf(runnable);
}

export class Script implements Chooser {
  /** The first decision that named an actor that couldn't run there; -1 if none did. */
  misfit = -1;

  private at = 0;

  constructor(private readonly script: readonly number[]) {}

  choose(runnable: number, current: number): number {
    const at = this.at++;
    const chosen = at < this.script.length ? this.script[at] : carryOn(runnable, current);
    if ((runnable & (1 << chosen)) === 0) {
      this.misfit = at;
      return -1;
    }
    return chosen;
  }
}
