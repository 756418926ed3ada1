// What the clients of a stress against a daemon share.

import type { FindingKind } from '../../engine/finding.js';
import type { Board } from './board.js';
import type { FilePlan, Plan } from './plan.js';
import type { Tables } from './tables.js';

export interface SocketRun {
  readonly plan: Plan;
  /** The files that all write to. */
  readonly files: readonly FilePlan[];
  readonly tables: Tables;
  readonly board: Board;
  readonly seed: number;
  readonly folder: string;
  readonly volumeName: string;
  /** A finding of the oracle. */
  readonly found: (kind: FindingKind, hazard: string | null, task: string, message: string) => void;
  /** Did the daemon's machine panic? */
  panicked: boolean;
}
