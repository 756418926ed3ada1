// The queue between those who need blocks and the device: a ring of requests in shared memory.

import type { Machine } from '../machine.js';
import type { Op, Task } from '../sched/op.js';
import type { BlockDevice, BlockRequest } from './request.js';

/** Shared words of a queue of `depth` requests (1 to 256). */
export declare function blockQueueWords(depth: number): number;

/** One queue as one thread sees it. Many tasks on many threads submit; kblockd, or the submitters, serve it. */
export declare class BlockQueue {
  readonly m: Machine;
  readonly words: Int32Array;
  /**
   * @param words blockQueueWords(depth) words, zero at first; the first thread calls init()
   * @param inline a device that submitters drive themselves (a ramdisk); null: kblockd serves
   */
  constructor(m: Machine, words: Int32Array, inline?: BlockDevice | null);
  /** Once, before anybody uses the queue. */
  init(depth: number): void;
  /** Enters a request, waiting for a free slot. The ticket must be given to wait() once. */
  submit(task: Task, request: BlockRequest): Op<number>;
  /** Waits for the answer. @throws Errno EIO, ENOSPC */
  wait(task: Task, ticket: number): Op<void>;
  /** submit() and wait(). */
  transfer(task: Task, request: BlockRequest): Op<void>;
}
