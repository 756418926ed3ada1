// Starting and stopping kblockd, the worker thread that serves a block queue.

import type { MachineShared } from '../machine.js';

/** What kblockd is started with. */
export interface KblockdShared {
  readonly machine: MachineShared;
  /** The words of the BlockQueue. */
  readonly queue: Int32Array;
  /** A Disk's descriptor and size. */
  readonly fd: number;
  readonly sizeBytes: number;
}

export interface Kblockd {
  /** Ends the thread when the queue is empty. */
  stop(): Promise<void>;
}

/**
 * Starts a thread that serves the queue. Resolves when it runs. If it dies unasked the machine panics.
 */
export declare function startKblockd(shared: KblockdShared): Promise<Kblockd>;
