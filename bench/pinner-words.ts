// What the threads of the bench `writeback-vs-pin` agree on.
//
//   words[0]  round, waited on: a new number starts the pinner with the settings below
//   words[1]  not 0: stop this round        words[2]  round that has ended
//   words[3]  batches to hold at one time   words[4]  how long to hold each, in microseconds
//   words[5]  pages pinned in this round

import type { VolumeShared } from '../engine/fs/volume.js';
import type { MachineShared } from '../engine/machine.js';

export const PINNER = {
  round: 0,
  stop: 1,
  ended: 2,
  batches: 3,
  holdUs: 4,
  pinned: 5,
  words: 8,
} as const;

/** Pages of one pin call. */
export const PIN_BATCH = 64;

export interface PinnerData {
  readonly machine: MachineShared;
  readonly volume: VolumeShared;
  readonly mm: number;
  readonly vpn: number;
  readonly pages: number;
  readonly words: Int32Array;
  readonly bells: Int32Array;
}
