// The buffer cache: blocks of metadata in page frames, found through a shared hash (Linux: fs/buffer.c).
//
// A buffer is a number. Whoever has a reference may use it; whoever reads or changes its contents
// holds its mutex, also while it tells the journal of the change (dirtyMetadata), so that no half
// change is ever copied to the disk. Two mutexes of this class are never held at once.

import { add, read, write } from '../memory/word.js';
import { allocPageOrReclaim } from '../mm/reclaim.js';
import { Errno, InvariantError } from '../sched/errors.js';
import { mutexLock, mutexUnlock, spinUnlock, takeSpinLock, waitSpinLock } from '../sched/lock.js';
import { mightSleep, type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { writeSome } from './buffer-write.js';
import { BH, BUFFER, META, type MetadataStore } from './metadata.js';

export { syncMetadata } from './buffer-write.js';

/** How often a search for a free buffer writes some home before it gives up. */
const ROOM_ATTEMPTS = 8;

/**
 * The buffer of `block`, read if need be, with a reference that putBuffer() gives back.
 * @throws Errno EIO, ENOMEM (all buffers are in use)
 */
export function* getBuffer(task: Task, v: MetadataStore, block: number): Op<number> {
  mightSleep(task);
  const found = yield* referenceBuffer(task, v, block);
  if (found >= 0) return found;
  const b = ~found;
  try {
    yield* readIn(task, v, b, block);
  } catch (error) {
    yield* putBuffer(task, v, b);
    throw error;
  }
  return b;
}

/**
 * The buffer of a block that was just allocated: zeroed, not read.
 * @throws Errno ENOMEM
 */
export function* getFreshBuffer(task: Task, v: MetadataStore, block: number): Op<number> {
  mightSleep(task);
  const found = yield* referenceBuffer(task, v, block);
  const b = found >= 0 ? found : ~found;
  try {
    if (found < 0 && (yield* startReading(task, v, b))) yield* endReading(task, v, b, true);
  } catch (error) {
    yield* putBuffer(task, v, b);
    throw error;
  }
  yield* lockBuffer(task, v, b);
  const words = bufferSegment(v, b);
  const start = bufferAt(v, b);
  const count = v.m.geometry.pageBytes >>> 2;
  for (let i = 0; i < count; i++) write(words, start + i, 0);
  if (lab?.point()) yield STEP;
  unlockBuffer(task, v, b);
  return b;
}

/** Gives a reference back. */
export function* putBuffer(task: Task, v: MetadataStore, b: number): Op<void> {
  const { buffer, lock } = v.meta;
  const at = v.meta.at(b, BUFFER.refs);
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
  const refs = read(buffer, at);
  if (refs > 0) write(buffer, at, refs - 1);
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  if (refs <= 0) throw new InvariantError(`buffer ${String(b)} is put more often than it was got`);
}

/** Takes the buffer's mutex. */
export function* lockBuffer(task: Task, v: MetadataStore, b: number): Op<void> {
  yield* mutexLock(task, v.meta.mutex, b);
}

/** Releases the buffer's mutex. One step: put the step line before it. */
export function unlockBuffer(task: Task, v: MetadataStore, b: number): void {
  mutexUnlock(task, v.meta.mutex, b);
}

/** The memory that the contents are in. */
export function bufferSegment(v: MetadataStore, b: number): Int32Array {
  return v.m.frames.wordSegment(v.meta.buffer[v.meta.at(b, BUFFER.pfn)]);
}

/** Where in bufferSegment() the contents start, in words. */
export function bufferAt(v: MetadataStore, b: number): number {
  return v.m.frames.wordOffset(v.meta.buffer[v.meta.at(b, BUFFER.pfn)]);
}

/**
 * The buffer of `block` with a reference, taking an unused one if it has none: `b` if its contents
 * are up to date, else ~b.
 * @throws Errno ENOMEM
 */
export function* referenceBuffer(task: Task, v: MetadataStore, block: number): Op<number> {
  const { buffer, lock } = v.meta;
  if (block < 0) throw new InvariantError(`block ${String(block)} of a volume`);
  for (let attempt = 0; ; attempt++) {
    if (lab?.point()) yield STEP;
    if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
    let b = findBuffer(v, block);
    if (b < 0) {
      b = takeVictim(v);
      if (b >= 0) enterHash(v, b, block);
    }
    let flags = 0;
    if (b >= 0) {
      flags = read(buffer, v.meta.at(b, BUFFER.flags)) | BH.referenced;
      write(buffer, v.meta.at(b, BUFFER.flags), flags);
      write(buffer, v.meta.at(b, BUFFER.refs), read(buffer, v.meta.at(b, BUFFER.refs)) + 1);
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, lock, 0);
    if (b >= 0) return (flags & BH.uptodate) !== 0 ? b : ~b;
    if (attempt === ROOM_ATTEMPTS) {
      throw new Errno(
        'ENOMEM',
        `all ${String(v.meta.buffers)} metadata buffers are in use: mount with more buffers`,
      );
    }
    yield* writeSome(task, v);
  }
}

/** Reads the contents, or waits for the task that does. */
function* readIn(task: Task, v: MetadataStore, b: number, block: number): Op<void> {
  if (!(yield* startReading(task, v, b))) return;
  let complete = false;
  try {
    const frames = Int32Array.of(v.meta.buffer[v.meta.at(b, BUFFER.pfn)]);
    if (lab?.point()) yield STEP;
    add(v.meta.head, META.reads, 1);
    yield* v.queue.transfer(task, { op: 'read', block, frames, count: 1, fua: false });
    complete = true;
  } finally {
    yield* endReading(task, v, b, complete);
  }
}

/** Makes this task the one that fills the buffer, and gives it a frame. False if it was filled meanwhile. */
function* startReading(task: Task, v: MetadataStore, b: number): Op<boolean> {
  const { buffer, lock } = v.meta;
  const at = v.meta.at(b, BUFFER.flags);
  for (;;) {
    if (lab?.point()) yield STEP;
    if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
    const flags = read(buffer, at);
    const mine = (flags & (BH.uptodate | BH.reading)) === 0;
    if (mine) write(buffer, at, flags | BH.reading);
    if (lab?.point()) yield STEP;
    spinUnlock(task, lock, 0);
    if ((flags & BH.uptodate) !== 0) return false;
    if (mine) break;
    yield sleepOn(task, buffer, at, flags);
  }
  if (buffer[v.meta.at(b, BUFFER.pfn)] !== 0) return true;
  let pfn: number;
  try {
    pfn = yield* allocPageOrReclaim(task, v.m, 'nofs');
  } catch (error) {
    yield* endReading(task, v, b, false);
    throw error;
  }
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
  write(buffer, v.meta.at(b, BUFFER.pfn), pfn);
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  return true;
}

function* endReading(task: Task, v: MetadataStore, b: number, complete: boolean): Op<void> {
  const { buffer, lock } = v.meta;
  const at = v.meta.at(b, BUFFER.flags);
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
  write(buffer, at, (read(buffer, at) & ~BH.reading) | (complete ? BH.uptodate : 0));
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  wake(buffer, at);
}

function hashOf(v: MetadataStore, block: number): number {
  return (Math.imul(block, 0x9e3779b1) >>> 8) & (v.meta.hash.length - 1);
}

/** The buffer of a block, or -1. Under the lock. */
function findBuffer(v: MetadataStore, block: number): number {
  const { buffer, hash } = v.meta;
  let next = read(hash, hashOf(v, block));
  while (next !== 0) {
    const b = next - 1;
    if (read(buffer, v.meta.at(b, BUFFER.block)) === block + 1) return b;
    next = read(buffer, v.meta.at(b, BUFFER.hashNext));
  }
  return -1;
}

/** Gives an unused buffer to a block. Under the lock. */
function enterHash(v: MetadataStore, b: number, block: number): void {
  const { buffer, hash } = v.meta;
  const chain = hashOf(v, block);
  write(buffer, v.meta.at(b, BUFFER.block), block + 1);
  write(buffer, v.meta.at(b, BUFFER.flags), 0);
  write(buffer, v.meta.at(b, BUFFER.hashNext), read(hash, chain));
  write(hash, chain, b + 1);
}

/** Takes a buffer away from its block. Under the lock. */
export function dropBuffer(v: MetadataStore, b: number): void {
  const { buffer, hash } = v.meta;
  const chain = hashOf(v, read(buffer, v.meta.at(b, BUFFER.block)) - 1);
  const after = read(buffer, v.meta.at(b, BUFFER.hashNext));
  let next = read(hash, chain);
  if (next === b + 1) {
    write(hash, chain, after);
  } else {
    while (read(buffer, v.meta.at(next - 1, BUFFER.hashNext)) !== b + 1) {
      next = read(buffer, v.meta.at(next - 1, BUFFER.hashNext));
    }
    write(buffer, v.meta.at(next - 1, BUFFER.hashNext), after);
  }
  write(buffer, v.meta.at(b, BUFFER.block), 0);
  write(buffer, v.meta.at(b, BUFFER.flags), 0);
  write(buffer, v.meta.at(b, BUFFER.hashNext), 0);
}

/** An unused buffer, or a clean one that was not used lately, taken from its block; -1 if there is none. Under the lock. */
function takeVictim(v: MetadataStore): number {
  const { buffer, head, buffers } = v.meta;
  let hand = read(head, META.hand);
  for (let looked = 0; looked < buffers * 2; looked++) {
    const b = hand;
    hand = hand + 1 === buffers ? 0 : hand + 1;
    const base = v.meta.at(b, 0);
    if (read(buffer, base + BUFFER.refs) !== 0) continue;
    if (read(buffer, base + BUFFER.block) !== 0) {
      const flags = read(buffer, base + BUFFER.flags);
      if ((flags & (BH.dirty | BH.reading | BH.writing)) !== 0) continue;
      if (read(buffer, base + BUFFER.tid) !== 0) continue;
      if (read(buffer, base + BUFFER.frozenTid) !== 0) continue;
      if (read(buffer, base + BUFFER.logTid) !== 0) continue;
      if ((flags & BH.referenced) !== 0) {
        write(buffer, base + BUFFER.flags, flags & ~BH.referenced);
        continue;
      }
      dropBuffer(v, b);
    }
    write(head, META.hand, hand);
    return b;
  }
  return -1;
}
