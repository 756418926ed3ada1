// What all ways of searching have in common: told before and after each run of a program, they say
// who goes on at its decisions, and whether there is another schedule to run.

import type { Chooser, Ending, Watcher } from '../../engine/sched/lab-driver.js';
import type { StateHash } from '../../engine/sched/state-hash.js';

export interface Strategy extends Chooser {
  /** The hash of the state, kept up to date by the driver, for strategies that ask for it. */
  readonly hash: StateHash | null;
  /** Told of every access, for strategies that ask for it. */
  readonly watcher: Watcher | null;
  /** Before each run. */
  begin(): void;
  /** After each run: sets up the next one; false if there is none. */
  advance(ending: Ending): boolean;
}
