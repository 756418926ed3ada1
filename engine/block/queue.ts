// The queue between those who need blocks and the device that has them. Many tasks on many threads
// submit; kblockd serves, or (a ramdisk) each submitter serves what is pending.

import type { Machine } from '../machine.js';
import { Errno, InvariantError } from '../sched/errors.js';
import { mightSleep, type Op, type Task } from '../sched/op.js';
import {
  type BlockDevice,
  type BlockRequest,
  describeBlockError,
  REQUEST_PAGES_MAX,
} from './request.js';
import { RequestRing, ringWords } from './ring.js';
import { ServeScratch, serveOnce } from './serve.js';

/** Shared words of a queue of `depth` requests (1 to 256). */
export function blockQueueWords(depth: number): number {
  return ringWords(depth);
}

/** One queue, as one thread sees it. */
export class BlockQueue {
  readonly ring: RequestRing;
  /** Not in use just now: a submitter that serves takes one, and tasks of one thread may interleave. */
  private readonly scratches: ServeScratch[] = [];
  /**
   * @param words blockQueueWords(depth) words of shared memory, made ready by init()
   * @param inline a device that submitters drive themselves (a ramdisk); null: kblockd serves
   */
  constructor(
    readonly m: Machine,
    readonly words: Int32Array,
    private readonly inline: BlockDevice | null = null,
  ) {
    this.ring = new RequestRing(m, words);
  }

  /** Makes the words ready. Once, before anybody uses the queue. */
  init(depth: number): void {
    this.ring.init(depth);
  }

  /**
   * Enters a request, waiting for a free slot. The ticket must be given to wait(), once. A task may
   * have many requests in flight: a slot is free again when its request is answered.
   */
  *submit(task: Task, request: BlockRequest): Op<number> {
    mightSleep(task);
    checkRequest(request);
    const ticket = yield* this.ring.enter(task, request);
    if (this.inline !== null) {
      const scratch = this.scratches.pop() ?? new ServeScratch();
      yield* serveOnce(task, this.ring, this.inline, scratch);
      this.scratches.push(scratch);
    }
    return ticket;
  }

  /**
   * Waits for the answer to a request.
   * @throws Errno EIO, ENOSPC, EINVAL (outside the device)
   */
  *wait(task: Task, ticket: number): Op<void> {
    const error = yield* this.ring.collect(task, ticket);
    if (error === 0) return;
    const [code, message] = describeBlockError(error);
    throw new Errno(code, message);
  }

  /** submit() and wait(). */
  *transfer(task: Task, request: BlockRequest): Op<void> {
    const ticket = yield* this.submit(task, request);
    yield* this.wait(task, ticket);
  }
}

function checkRequest(request: BlockRequest): void {
  const { op, count, frames } = request;
  const moves = op === 'read' || op === 'write';
  if (count < 0 || (moves && (count < 1 || count > REQUEST_PAGES_MAX || count > frames.length))) {
    throw new InvariantError(
      `a ${op} of ${String(count)} blocks with ${String(frames.length)} frames: 1 to ${String(REQUEST_PAGES_MAX)}, one frame each`,
    );
  }
}
