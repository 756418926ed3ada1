// The choices of the current run as a stack, each with the alternatives that are still to be tried.

import { lowestOf } from './script.js';

export class Path {
  private readonly chosen: number[] = [];
  private readonly untried: number[] = [];

  /** Choices so far. */
  get length(): number {
    return this.chosen.length;
  }

  /** Choice number `at`. */
  at(at: number): number {
    return this.chosen[at];
  }

  /** Adds a choice, and the mask of actors that are to be tried in its place later. */
  push(choice: number, others: number): void {
    this.chosen.push(choice);
    this.untried.push(others);
  }

  /** Goes back to the last choice that has an alternative, and takes it; false if none has. */
  advance(): boolean {
    const { chosen, untried } = this;
    while (untried.length > 0 && untried[untried.length - 1] === 0) {
      untried.pop();
      chosen.pop();
    }
    const last = untried.length - 1;
    if (last < 0) return false;
    const mask = untried[last];
    chosen[last] = lowestOf(mask);
    untried[last] = mask & (mask - 1);
    return true;
  }
}
