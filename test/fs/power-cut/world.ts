// What the actors of a workload share.

import type { Rig } from '../rig.js';
import type { ActorHistory } from './history.js';
import type { SectorStore } from './sectors.js';
import type { Trace } from './trace.js';

/** An operation that began after so many events. */
export interface Logged {
  readonly at: number;
  readonly text: string;
}

export interface World {
  readonly rig: Rig;
  readonly trace: Trace;
  readonly store: SectorStore;
  readonly log: Logged[];
  readonly histories: ActorHistory[];
  readonly random: (below: number) => number;
  /** A number that no file and no write had before. */
  readonly stamp: () => number;
}
