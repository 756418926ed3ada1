// Blocks: reservations, claims, allocation and freeing (delayed allocation as in ext4).
//
// One counter, VOL.available, says how many free blocks nobody has reserved:
//
//   free --reserve--> reserved --claimRun--> claimed --commitClaim (in a handle)--> in use
//    ^                                                                               |
//    +---- the transaction that freed it has committed <---- pending <-- freeBlocks -+
//
// A claim lives in memory only (Vol.map); the bitmap on disk is set in the handle that also makes
// the block part of a file, so that a crash neither leaks nor doubles a block.

import { add, cas, load, peek, read, store, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { mutexLock, mutexUnlock } from '../sched/lock.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { changeBlock, damaged, type Vol } from './core.js';
import {
  commitTransaction,
  committedTid,
  currentTid,
  forgetMetadata,
  type Handle,
  tidAtLeast,
} from './journal.js';
import { BITS_PER_BLOCK, VOL } from './layout.js';

/** A run of blocks that was claimed. */
export interface Run {
  start: number;
  length: number;
}

/**
 * Reserves `count` blocks, if that leaves `keep` for others.
 * @param keep Vol.heldBack for data, 0 for metadata
 */
export function* reserve(v: Vol, count: number, keep: number): Op<boolean> {
  for (;;) {
    if (lab?.point()) yield STEP;
    const available = peek(v.words, VOL.available);
    if (available < count + keep) return false;
    if (cas(v.words, VOL.available, available, available - count) === available) return true;
  }
}

/** Gives a reservation back. One step. */
export function unreserve(v: Vol, count: number): void {
  add(v.words, VOL.available, count);
}

/**
 * Makes sure that a reservation for `count` blocks has a chance, committing a transaction that has
 * freed blocks if there are few. Outside of the folio lock and of handles.
 */
export function* makeSpace(task: Task, v: Vol, count: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (load(v.words, VOL.available) >= count + v.heldBack) return;
  yield* releasePending(task, v);
  if (lab?.point()) yield STEP;
  if (load(v.words, VOL.available) >= count + v.heldBack) return;
  if (lab?.point()) yield STEP;
  const first = load(v.words, VOL.pendingCount);
  if (lab?.point()) yield STEP;
  if (first === 0 && load(v.words, VOL.pendingCount + 1) === 0) return;
  if (lab?.point()) yield STEP;
  yield* commitTransaction(task, v, currentTid(v));
  yield* releasePending(task, v);
}

/**
 * Claims up to `want` consecutive blocks, for which the caller has reservations; those that it does
 * not use it gives back with unclaim(). Every claim ends with endRun().
 * @param goal where to look first; 0: anywhere
 * @throws Errno ENOSPC if there is no free block at all
 */
export function* claimRun(task: Task, v: Vol, goal: number, want: number, run: Run): Op<void> {
  for (;;) {
    if (lab?.point()) yield STEP;
    const done = load(v.words, VOL.runsDone);
    yield* mutexLock(task, v.allocSem, 0);
    findRun(v, goal !== 0 ? goal : read(v.words, VOL.allocHint), want, run);
    if (run.length > 0) {
      setBits(v.map, run.start, run.length);
      write(v.words, VOL.allocHint, run.start + run.length);
    }
    if (lab?.point()) yield STEP;
    const others = run.length > 0 ? add(v.words, VOL.runs, 1) : load(v.words, VOL.runs);
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.allocSem, 0);
    if (run.length > 0) return;
    if (others === 0) {
      throw new Errno('ENOSPC', `none of ${String(v.sb.blocks)} blocks is free: delete something`);
    }
    // Somebody claimed more than he needs and will give the rest back.
    yield sleepOn(task, v.words, VOL.runsDone, done);
  }
}

/** Gives claimed blocks back. The reservations stay the caller's. */
export function* unclaim(task: Task, v: Vol, start: number, length: number): Op<void> {
  if (length === 0) return;
  yield* mutexLock(task, v.allocSem, 0);
  clearBits(v.map, start, length);
  if (lab?.point()) yield STEP;
  mutexUnlock(task, v.allocSem, 0);
}

/** The caller has used or given back all of a run. */
export function* endRun(v: Vol): Op<void> {
  if (lab?.point()) yield STEP;
  add(v.words, VOL.runs, -1);
  if (lab?.point()) yield STEP;
  add(v.words, VOL.runsDone, 1);
  wake(v.words, VOL.runsDone);
}

/** Marks claimed blocks as in use on disk, in the handle that puts them into a file. */
export function* commitClaim(
  task: Task,
  v: Vol,
  handle: Handle,
  start: number,
  length: number,
): Op<void> {
  yield* changeBitmap(task, v, handle, start, length, true);
}

/**
 * Frees blocks in a handle. They are used again only after its transaction has committed.
 */
export function* freeBlocks(
  task: Task,
  v: Vol,
  handle: Handle,
  start: number,
  length: number,
): Op<void> {
  if (start < v.sb.dataStart || start + length >= v.sb.blocks) {
    throw damaged(`a file claims blocks ${String(start)} to ${String(start + length - 1)}`);
  }
  yield* changeBitmap(task, v, handle, start, length, false);
  yield* releasePending(task, v);
  yield* mutexLock(task, v.allocSem, 0);
  if (v.journal) {
    const set = handle.tid & 1;
    // An older set that has not committed yet waits with the new blocks for the later transaction.
    write(v.words, VOL.pendingTid + set, handle.tid);
    if (lab?.point()) yield STEP;
    add(v.words, VOL.pendingCount + set, length);
    setBits(v.pending[set], start, length);
  } else {
    clearBits(v.map, start, length);
    if (lab?.point()) yield STEP;
    add(v.words, VOL.available, length);
  }
  if (lab?.point()) yield STEP;
  mutexUnlock(task, v.allocSem, 0);
}

/** Frees a block of metadata (extents, directory): as freeBlocks(), and revoked. */
export function* freeMetadataBlock(task: Task, v: Vol, handle: Handle, block: number): Op<void> {
  yield* forgetMetadata(task, v, handle, block);
  yield* freeBlocks(task, v, handle, block, 1);
}

/**
 * Allocates one block of metadata in a handle.
 * @throws Errno ENOSPC
 */
export function* allocMetadataBlock(task: Task, v: Vol, handle: Handle, goal: number): Op<number> {
  if (!(yield* reserve(v, 1, 0))) {
    throw new Errno('ENOSPC', 'no block is left for metadata: delete something');
  }
  const run: Run = { start: 0, length: 0 };
  yield* claimRun(task, v, goal, 1, run);
  yield* endRun(v);
  yield* commitClaim(task, v, handle, run.start, 1);
  return run.start;
}

/** Makes blocks reusable whose freeing has committed. */
export function* releasePending(task: Task, v: Vol): Op<void> {
  for (let set = 0; set < 2; set++) {
    if (lab?.point()) yield STEP;
    if (load(v.words, VOL.pendingCount + set) === 0) continue;
    yield* mutexLock(task, v.allocSem, 0);
    if (lab?.point()) yield STEP;
    const count = load(v.words, VOL.pendingCount + set);
    if (lab?.point()) yield STEP;
    if (count > 0 && tidAtLeast(committedTid(v), read(v.words, VOL.pendingTid + set))) {
      const bits = v.pending[set];
      for (let i = 0; i < bits.length; i++) {
        if (bits[i] === 0) continue;
        v.map[i] &= ~bits[i];
        bits[i] = 0;
      }
      if (lab?.point()) yield STEP;
      store(v.words, VOL.pendingCount + set, 0);
      if (lab?.point()) yield STEP;
      add(v.words, VOL.available, count);
    }
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.allocSem, 0);
  }
}

function* changeBitmap(
  task: Task,
  v: Vol,
  handle: Handle,
  start: number,
  length: number,
  used: boolean,
): Op<void> {
  let at = start;
  let left = length;
  while (left > 0) {
    const bit = at % BITS_PER_BLOCK;
    const count = Math.min(left, BITS_PER_BLOCK - bit);
    const block = v.sb.bitmapStart + Math.floor(at / BITS_PER_BLOCK);
    const first = at;
    yield* changeBlock(task, v, handle, block, (words, base) => {
      if (countBits(words, base * 32 + bit, count) !== (used ? 0 : count)) {
        throw damaged(
          `block bitmap: blocks ${String(first)} to ${String(first + count - 1)} are not all ${used ? 'free' : 'in use'}`,
        );
      }
      if (used) setBits(words, base * 32 + bit, count);
      else clearBits(words, base * 32 + bit, count);
    });
    at += count;
    left -= count;
  }
}

/** The first run of `want` free blocks from `goal` on, around the end; else the longest there is. */
function findRun(v: Vol, goal: number, want: number, run: Run): void {
  run.start = 0;
  run.length = 0;
  const from = goal >= v.sb.dataStart && goal < v.sb.blocks ? goal : v.sb.dataStart;
  if (!searchRuns(v.map, from, v.sb.blocks, want, run)) {
    searchRuns(v.map, v.sb.dataStart, from, want, run);
  }
}

/** True if a run of `want` was found in [from, end); else `run` is the longest seen so far. */
function searchRuns(map: Int32Array, from: number, end: number, want: number, run: Run): boolean {
  let at = from;
  while (at < end) {
    const word = map[at >>> 5];
    if (word === -1) {
      at = ((at >>> 5) + 1) << 5;
      continue;
    }
    if ((word & (1 << (at & 31))) !== 0) {
      at++;
      continue;
    }
    const start = at;
    const most = Math.min(end, start + want);
    while (at < most) {
      if ((at & 31) === 0 && map[at >>> 5] === 0 && at + 32 <= most) at += 32;
      else if ((map[at >>> 5] & (1 << (at & 31))) === 0) at++;
      else break;
    }
    if (at - start > run.length) {
      run.start = start;
      run.length = at - start;
      if (run.length >= want) return true;
    }
  }
  return false;
}

/** Sets bits [start, start + length). */
export function setBits(words: Int32Array, start: number, length: number): void {
  for (let at = start; at < start + length; ) {
    const count = Math.min(32 - (at & 31), start + length - at);
    words[at >>> 5] |= count === 32 ? -1 : ((1 << count) - 1) << (at & 31);
    at += count;
  }
}

/** Clears bits [start, start + length). */
export function clearBits(words: Int32Array, start: number, length: number): void {
  for (let at = start; at < start + length; ) {
    const count = Math.min(32 - (at & 31), start + length - at);
    words[at >>> 5] &= count === 32 ? 0 : ~(((1 << count) - 1) << (at & 31));
    at += count;
  }
}

/** How many of the bits [start, start + length) are set. */
export function countBits(words: Int32Array, start: number, length: number): number {
  let total = 0;
  for (let at = start; at < start + length; ) {
    const count = Math.min(32 - (at & 31), start + length - at);
    const mask = count === 32 ? -1 : ((1 << count) - 1) << (at & 31);
    total += popcount(words[at >>> 5] & mask);
    at += count;
  }
  return total;
}

function popcount(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
