// What the threads of the bench `pin-2cpu` agree on:
//
//   words[0]  round, waited on      words[2]  how many threads work in this round
//   words[1]  threads done          words[3]  command

import type { MachineShared } from '../engine/machine.js';

export const COMMAND = { separate: 0, shared: 1 } as const;

export interface PinWorkerData {
  readonly id: number;
  readonly machine: MachineShared;
  readonly mm: number;
  readonly words: Int32Array;
  readonly bells: Int32Array;
  /** Batches in half of the region. */
  readonly half: number;
  /** Batches of one round. */
  readonly batches: number;
}
