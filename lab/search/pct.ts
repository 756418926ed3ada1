// Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): each run draws an order of the
// actors, and the first of them that can run does. At depth - 1 drawn steps whoever is first becomes
// last. A bug that takes `depth` orderings of steps is met by one run with a probability of at least
// 1 / (actors * steps^(depth - 1)), however unlikely it is under the usual schedules.

import { ACTORS_MAX } from '../../engine/sched/lab-driver.js';
import { Random } from './random-walk.js';
import { lowestOf } from './script.js';
import type { Strategy } from './strategy.js';

/** Decisions that the first run is taken to have; the later ones as many as the longest so far. */
const FIRST_GUESS = 32;

export class Pct implements Strategy {
  readonly hash = null;
  readonly watcher = null;

  private readonly random: Random;
  /** Per actor; the highest runs first. */
  private readonly priorities = new Int32Array(ACTORS_MAX);
  /** Decisions at which whoever is first becomes last. */
  private readonly changes: number[] = [];
  private decisions = 0;
  private longest = FIRST_GUESS;

  /** @param depth orderings that a bug may take; 1 draws an order of the actors and keeps to it */
  constructor(
    seed: number,
    private readonly depth: number,
  ) {
    this.random = new Random(seed);
  }

  begin(): void {
    const { priorities, random } = this;
    this.decisions = 0;
    for (let i = 0; i < ACTORS_MAX; i++) {
      const j = random.below(i + 1);
      priorities[i] = priorities[j];
      priorities[j] = this.depth + i;
    }
    this.changes.length = 0;
    for (let i = 1; i < this.depth; i++) this.changes.push(random.below(this.longest));
  }

  choose(runnable: number): number {
    const { changes, priorities } = this;
    for (let i = 0; i < changes.length; i++) {
      if (changes[i] === this.decisions) priorities[this.first(runnable)] = i;
    }
    this.decisions++;
    return this.first(runnable);
  }

  advance(): boolean {
    this.longest = Math.max(this.longest, this.decisions);
    return true;
  }

  private first(runnable: number): number {
    let first = lowestOf(runnable);
    for (let mask = runnable; mask !== 0; mask &= mask - 1) {
      const actor = lowestOf(mask);
      if (this.priorities[actor] > this.priorities[first]) first = actor;
    }
    return first;
  }
}
