// Serving a block queue: takes what is pending, merges neighbours, asks the device, answers. The
// same code runs in kblockd and, for a ramdisk, in the task that submitted.

import { load, read, store } from '../memory/word.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { BLOCK_ERRORS, type BlockDevice, REQUEST_PAGES_MAX } from './request.js';
import { type RequestRing, RING, SLOT, SLOT_OP } from './ring.js';

/** Requests taken in one go. */
const BATCH_MAX = 64;

/** Pages that merged requests move in one system call. */
const TRANSFER_PAGES_MAX = 4 * REQUEST_PAGES_MAX;

/** What a server works with. One per server that may run at the same time. */
export class ServeScratch {
  readonly slots = new Int32Array(BATCH_MAX);
  readonly errors = new Int32Array(BATCH_MAX);
  /** Written requests that are answered only after a flush. */
  readonly waiting = new Uint8Array(BATCH_MAX);
  frames = new Int32Array(REQUEST_PAGES_MAX);

  /** Room for merged frames. */
  grow(pages: number): void {
    if (pages <= this.frames.length) return;
    const grown = new Int32Array(TRANSFER_PAGES_MAX);
    grown.set(this.frames);
    this.frames = grown;
  }
}

/**
 * Serves the requests that are pending now, in their order, without sleeping for more. A flush
 * covers what was answered before it was submitted (and here also what it stands behind in line);
 * one flush of the device serves all flushes and FUA writes of the batch.
 * @returns requests served
 */
export function* serveOnce(
  task: Task,
  ring: RequestRing,
  device: BlockDevice,
  scratch: ServeScratch,
): Op<number> {
  const { slots, errors, waiting } = scratch;
  const count = yield* ring.takePending(task, slots);
  if (count === 0) return 0;
  if (lab?.point()) yield STEP;
  let failed = load(ring.words, RING.failed);
  if (failed === 0) {
    failed = device.check();
    if (failed !== 0) yield* failForGood(ring, failed);
  }
  let flushes = 0;
  for (let i = 0; i < count; ) {
    const end = mergeEnd(ring, slots, i, count);
    const error = yield* transfer(task, ring, device, scratch, i, end, failed);
    for (; i < end; i++) {
      const op = read(ring.words, ring.at(slots[i], SLOT.op));
      const durable = op === SLOT_OP.flush || read(ring.words, ring.at(slots[i], SLOT.fua)) === 1;
      errors[i] = error;
      waiting[i] = durable && error === 0 ? 1 : 0;
      flushes += waiting[i];
      if (waiting[i] === 0) yield* ring.answer(task, slots[i], error);
    }
  }
  if (flushes === 0) return count;

  if (lab?.point()) yield STEP;
  ring.count(RING.flushes, 1);
  const error = yield* device.flush(task);
  // What the device dropped it will not write again, so no later flush may claim success.
  if (error !== 0) yield* failForGood(ring, BLOCK_ERRORS.failed);
  for (let i = 0; i < count; i++) {
    if (waiting[i] === 1) yield* ring.answer(task, slots[i], error);
  }
  return count;
}

/** Where the run of requests ends that one transfer can serve: same operation, blocks in a row. */
function mergeEnd(ring: RequestRing, slots: Int32Array, start: number, count: number): number {
  const { words } = ring;
  const op = read(words, ring.at(slots[start], SLOT.op));
  let end = start + 1;
  if (op !== SLOT_OP.read && op !== SLOT_OP.write) return end;
  let pages = read(words, ring.at(slots[start], SLOT.count));
  const first = read(words, ring.at(slots[start], SLOT.block));
  while (end < count) {
    const more = read(words, ring.at(slots[end], SLOT.count));
    if (read(words, ring.at(slots[end], SLOT.op)) !== op) break;
    if (read(words, ring.at(slots[end], SLOT.block)) !== first + pages) break;
    if (pages + more > TRANSFER_PAGES_MAX) break;
    pages += more;
    end++;
  }
  return end;
}

/** Moves the data of requests start..end, which are neighbours. */
function* transfer(
  task: Task,
  ring: RequestRing,
  device: BlockDevice,
  scratch: ServeScratch,
  start: number,
  end: number,
  failed: number,
): Op<number> {
  const { words } = ring;
  const { slots } = scratch;
  const op = read(words, ring.at(slots[start], SLOT.op));
  if (failed !== 0 && op !== SLOT_OP.read) return failed;
  if (op === SLOT_OP.flush) return 0;

  const block = read(words, ring.at(slots[start], SLOT.block));
  let pages = 0;
  for (let i = start; i < end; i++) pages += read(words, ring.at(slots[i], SLOT.count));
  if (block < 0 || block + pages > device.blocks) return BLOCK_ERRORS.outside;
  if (op === SLOT_OP.discard) return yield* device.discard(task, block, pages);

  scratch.grow(pages);
  let filled = 0;
  for (let i = start; i < end; i++) {
    const from = ring.at(slots[i], SLOT.frames);
    const more = read(words, ring.at(slots[i], SLOT.count));
    for (let page = 0; page < more; page++) scratch.frames[filled++] = read(words, from + page);
  }
  if (lab?.point()) yield STEP;
  ring.count(RING.transfers, 1);
  if (lab?.point()) yield STEP;
  ring.count(op === SLOT_OP.read ? RING.pagesRead : RING.pagesWritten, pages);
  return op === SLOT_OP.read
    ? yield* device.read(task, block, scratch.frames, pages)
    : yield* device.write(task, block, scratch.frames, pages);
}

/** Nothing may be written any more. */
function* failForGood(ring: RequestRing, error: number): Op<void> {
  if (lab?.point()) yield STEP;
  store(ring.words, RING.failed, error);
}
