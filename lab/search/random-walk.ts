// Schedules drawn at random: every runnable actor equally likely at each decision.

import { lowestOf } from './script.js';
import type { Strategy } from './strategy.js';

/** Pseudo-random numbers from a seed (mulberry32): the same on every machine. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed | 0;
  }

  /** A whole number from 0 to below `count`. */
  below(count: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % count;
  }
}

export class RandomWalk implements Strategy {
  readonly hash = null;
  readonly watcher = null;

  private readonly random: Random;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  begin(): void {
    // Every run goes on with the same numbers.
  }

  choose(runnable: number): number {
    let count = 0;
    for (let mask = runnable; mask !== 0; mask &= mask - 1) count++;
    let rest = runnable;
    for (let skip = this.random.below(count); skip > 0; skip--) rest &= rest - 1;
    return lowestOf(rest);
  }

  advance(): boolean {
    return true;
  }
}
