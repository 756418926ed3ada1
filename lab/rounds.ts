// What the threads of a program that runs in real threads agree on (threads.ts, threads-worker.ts).

import type { MachineShared } from '../engine/machine.js';

/** Words by which the coordinator and the actors agree on rounds. */
export const ROUND = { number: 0, arrived: 1, stop: 2, words: 3 } as const;

/** What a worker is given. */
export interface ThreadData {
  readonly hazard: string;
  readonly actor: number;
  readonly machine: MachineShared;
  readonly rounds: Int32Array;
  readonly bells: Int32Array;
}
