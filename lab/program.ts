// A program of the lab: a few actors on a tiny machine, and what must hold at the end.

import type { Finding } from '../engine/finding.js';
import type { Machine } from '../engine/machine.js';
import type { Geometry } from '../engine/memory/layout.js';
import type { Op, Task } from '../engine/sched/op.js';
import { lab, STEP } from '../engine/sched/step.js';

/** An actor of a program. The same source runs under all three drivers. */
export interface ActorSource {
  readonly name: string;
  readonly run: (task: Task, m: Machine) => Op<void>;
}

/** Ends the run as a power cut does: what no disk has is gone. Thrown by the actor that pulls the plug. */
export class PowerCut extends Error {
  override readonly name = 'PowerCut';
}

/** An actor that cuts the power at some point of the run: whenever the schedule lets it. */
export const POWER_CUT: ActorSource = {
  name: 'power cut',
  run: function* () {
    if (lab?.point()) yield STEP;
    throw new PowerCut('the power is cut');
  },
};

export interface Program {
  /** Number of the hazard in kernel.md, or a name of its own. */
  readonly name: string;
  readonly geometry: Geometry;
  /** Attaches what the program needs to a machine (its file system): on every thread. */
  readonly attach: (m: Machine) => void;
  /** Brings the machine into the initial state. Runs alone, once. */
  readonly setUp: (task: Task, m: Machine) => Op<void>;
  readonly actors: readonly ActorSource[];
  /** What is wrong with the state that a run ended in. */
  readonly verify: (m: Machine) => Finding[];
  /** What is wrong with what the disk has after a power cut; only with POWER_CUT among the actors. */
  readonly verifyAfterCut?: (m: Machine) => Finding[];
  /**
   * What word `word` of State.extra is, for diagrams: `mailbox`. Null: ask the file system, which
   * names its own.
   */
  readonly nameOfExtra?: (word: number) => string | null;
}
