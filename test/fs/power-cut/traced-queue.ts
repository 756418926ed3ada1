// A disk that answers when it is told to, in any order, and records what it was asked for: a request is
// in flight until then, and no later flush covers it.

import { BlockQueue, blockQueueWords } from '../../../engine/block/queue.js';
import type { BlockRequest } from '../../../engine/block/request.js';
import { Volume, type VolumeShared } from '../../../engine/fs/volume.js';
import type { Machine } from '../../../engine/machine.js';
import { mightSleep, type Op, sleepOn, type Task } from '../../../engine/sched/op.js';
import { sharedWords } from '../../block/machine.js';
import { BLOCK_BYTES, type SectorStore } from './sectors.js';
import type { Trace } from './trace.js';

const BLOCK_WORDS = BLOCK_BYTES / 4;
/** More than can be in flight. */
const TICKETS = 4096;

/** A request that was not answered yet. */
interface InFlight {
  readonly ticket: number;
  readonly op: BlockRequest['op'];
  readonly fua: boolean;
  /** In the trace. */
  readonly id: number;
}

export class TracedQueue extends BlockQueue {
  /** Not answered yet. */
  readonly inFlight: InFlight[] = [];
  /** Whoever waits for an answer gets it at once; else answer() gives it. */
  immediate = true;
  private readonly answered = sharedWords(TICKETS);
  private tickets = 0;

  /** @param disk what reads see; writes change it when they are submitted */
  constructor(
    m: Machine,
    private readonly disk: Int32Array,
    private readonly store: SectorStore,
    private readonly trace: Trace,
  ) {
    super(m, sharedWords(blockQueueWords(1)));
  }

  override init(): void {
    // Its ring is not used.
  }

  override *submit(task: Task, request: BlockRequest): Op<number> {
    mightSleep(task);
    const ticket = this.tickets++ % TICKETS;
    Atomics.store(this.answered, ticket, 0);
    const { op, block, count, frames, fua } = request;
    let id = 0;
    if (op === 'flush') id = this.trace.flush();
    if (op === 'read') this.read(block, frames, count);
    if (op === 'write') id = this.write(request);
    this.inFlight.push({ ticket, op, fua, id });
    return ticket;
  }

  override *wait(task: Task, ticket: number): Op<void> {
    while (Atomics.load(this.answered, ticket) === 0) {
      if (this.immediate) this.answer(this.inFlight.findIndex((one) => one.ticket === ticket));
      else yield sleepOn(task, this.answered, ticket, 0);
    }
  }

  /** Answers the request at this place of inFlight. */
  answer(nth: number): void {
    const [{ ticket, op, fua, id }] = this.inFlight.splice(nth, 1);
    if (op === 'write') this.trace.replied(id, fua);
    if (op === 'flush') this.trace.flushed(id);
    Atomics.store(this.answered, ticket, 1);
  }

  private read(block: number, frames: Int32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = (block + i) * BLOCK_WORDS;
      this.m.frames
        .wordSegment(frames[i])
        .set(this.disk.subarray(at, at + BLOCK_WORDS), this.m.frames.wordOffset(frames[i]));
    }
  }

  private write({ block, frames, count, fua }: BlockRequest): number {
    for (let i = 0; i < count; i++) {
      const at = this.m.frames.wordOffset(frames[i]);
      const words = this.m.frames.wordSegment(frames[i]).subarray(at, at + BLOCK_WORDS);
      this.disk.set(words, (block + i) * BLOCK_WORDS);
    }
    const bytes = new Uint8Array(
      this.disk.buffer,
      this.disk.byteOffset + block * BLOCK_BYTES,
      count * BLOCK_BYTES,
    );
    return this.trace.write(block, this.store.idsOf(bytes), fua);
  }
}

/** A volume on such a disk. */
export class TracedVolume extends Volume {
  override readonly queue: TracedQueue;

  constructor(m: Machine, shared: VolumeShared, queue: TracedQueue) {
    super(m, shared);
    this.queue = queue;
  }
}
