// Writing buffers home: what the journal no longer needs to hold back, or (without a journal) what
// is dirty. Copies are written, so that a buffer's mutex is held for the copying only.
//
// A task that holds one buffer's mutex may need another buffer to be evicted, and comes here; so
// whoever holds writeMutex only tries the mutexes of buffers.

import { Flight } from '../block/flight.js';
import { FLUSH } from '../block/request.js';
import { add, read, write } from '../memory/word.js';
import { mutexLock, mutexUnlock, spinLock, spinUnlock, tryMutexLock } from '../sched/lock.js';
import { mightSleep, type Op, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { copyContents } from './buffer-copy.js';
import { BH, BUFFER, META, type MetadataStore } from './metadata.js';

/** Words of an entry of Metadata.chosen: the buffer, its block, the tid of what is copied. */
const CHOSEN = { buffer: 0, block: 1, tid: 2, words: 3 } as const;

/**
 * Writes some buffers home, so that they can be evicted. A handle and a buffer's mutex may be held.
 * @throws Errno EIO, ENOSPC
 */
export function* writeSome(task: Task, v: MetadataStore): Op<void> {
  mightSleep(task);
  yield* mutexLock(task, v.meta.writeMutex, 0);
  try {
    for (let from = 0; ; ) {
      const count = yield* choose(task, v, from);
      if (count === 0) return;
      from = nextAfter(v, count);
      const kept = yield* copyChosen(task, v, count);
      if (kept > 0) return yield* sendCopies(task, v, kept);
    }
  } finally {
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.meta.writeMutex, 0);
  }
}

/**
 * Writes home all buffers that belong to no running or committing transaction. The caller holds no
 * buffer's mutex.
 * @throws Errno EIO, ENOSPC
 */
export function* writeAll(task: Task, v: MetadataStore): Op<void> {
  mightSleep(task);
  for (let from = 0; ; ) {
    let busy = -1;
    yield* mutexLock(task, v.meta.writeMutex, 0);
    try {
      const count = yield* choose(task, v, from);
      if (count === 0) return;
      from = nextAfter(v, count);
      const kept = yield* copyChosen(task, v, count);
      if (kept < count) busy = yield* firstLeft(task, v);
      if (kept > 0) yield* sendCopies(task, v, kept);
    } finally {
      if (lab?.point()) yield STEP;
      mutexUnlock(task, v.meta.writeMutex, 0);
    }
    if (busy < 0) continue;
    // Somebody held a buffer's mutex: wait for that without holding writeMutex, and look again.
    yield* mutexLock(task, v.meta.mutex, busy);
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.meta.mutex, busy);
    from = 0;
  }
}

/** Writes all dirty buffers of a volume without a journal home, and flushes the device. @throws Errno EIO, ENOSPC */
export function* syncMetadata(task: Task, v: MetadataStore): Op<void> {
  yield* writeAll(task, v);
  yield* v.queue.transfer(task, FLUSH);
}

/** May the buffer be written home as it is? Under the lock. */
function mayGoHome(v: MetadataStore, b: number): boolean {
  const { buffer } = v.meta;
  const base = v.meta.at(b, 0);
  if (read(buffer, base + BUFFER.tid) !== 0) return false;
  if (read(buffer, base + BUFFER.frozenTid) !== 0) return false;
  if (read(buffer, base + BUFFER.logTid) !== 0) return true;
  return (read(buffer, base + BUFFER.flags) & BH.dirty) !== 0;
}

/** Takes references to as many buffers from number `from` on as there are frames for copies. */
function* choose(task: Task, v: MetadataStore, from: number): Op<number> {
  const { buffer, chosen, bounce } = v.meta;
  yield* spinLock(task, v.meta.lock, 0);
  let count = 0;
  for (let b = from; b < v.meta.buffers && count < bounce.length; b++) {
    if (!mayGoHome(v, b)) continue;
    const refs = v.meta.at(b, BUFFER.refs);
    write(buffer, refs, read(buffer, refs) + 1);
    chosen[count * CHOSEN.words + CHOSEN.buffer] = b;
    chosen[count * CHOSEN.words + CHOSEN.block] = read(buffer, v.meta.at(b, BUFFER.block)) - 1;
    count++;
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, v.meta.lock, 0);
  return count;
}

/** The buffer after those chosen; then sorts them by block, so that neighbours become one request. */
function nextAfter(v: MetadataStore, count: number): number {
  const { chosen } = v.meta;
  const next = chosen[(count - 1) * CHOSEN.words + CHOSEN.buffer] + 1;
  for (let i = 1; i < count; i++) {
    const b = chosen[i * CHOSEN.words + CHOSEN.buffer];
    const block = chosen[i * CHOSEN.words + CHOSEN.block];
    let at = i;
    while (at > 0 && chosen[(at - 1) * CHOSEN.words + CHOSEN.block] > block) {
      chosen.copyWithin(at * CHOSEN.words, (at - 1) * CHOSEN.words, at * CHOSEN.words);
      at--;
    }
    chosen[at * CHOSEN.words + CHOSEN.buffer] = b;
    chosen[at * CHOSEN.words + CHOSEN.block] = block;
  }
  return next;
}

/** Copies what was chosen, but for buffers whose mutex is taken or that joined a transaction. Returns how many. */
function* copyChosen(task: Task, v: MetadataStore, count: number): Op<number> {
  const { buffer, chosen, bounce, lock, mutex } = v.meta;
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const b = chosen[i * CHOSEN.words + CHOSEN.buffer];
    const base = v.meta.at(b, 0);
    if (lab?.point()) yield STEP;
    const held = tryMutexLock(task, mutex, b);
    yield* spinLock(task, lock, 0);
    const goes = held && mayGoHome(v, b);
    if (goes) {
      const flags = read(buffer, base + BUFFER.flags);
      write(buffer, base + BUFFER.flags, (flags & ~BH.dirty) | BH.writing);
      chosen[kept * CHOSEN.words + CHOSEN.buffer] = b;
      chosen[kept * CHOSEN.words + CHOSEN.block] = chosen[i * CHOSEN.words + CHOSEN.block];
      chosen[kept * CHOSEN.words + CHOSEN.tid] = read(buffer, base + BUFFER.logTid);
    } else {
      write(buffer, base + BUFFER.refs, read(buffer, base + BUFFER.refs) - 1);
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, lock, 0);
    if (goes) copyContents(v.m, bounce[kept++], read(buffer, base + BUFFER.pfn));
    if (!held) continue;
    if (lab?.point()) yield STEP;
    mutexUnlock(task, mutex, b);
  }
  return kept;
}

/** Writes `count` copies to their blocks, neighbours in one request, many requests in flight at once. */
function* sendCopies(task: Task, v: MetadataStore, count: number): Op<void> {
  const { chosen, bounce } = v.meta;
  const flight = new Flight(v.queue);
  for (let i = 0; i < count; ) {
    const block = chosen[i * CHOSEN.words + CHOSEN.block];
    let end = i + 1;
    while (end < count && chosen[end * CHOSEN.words + CHOSEN.block] === block + end - i) end++;
    const frames = bounce.subarray(i, end);
    yield* flight.submit(task, { op: 'write', block, frames, count: end - i, fua: false });
    i = end;
  }
  let arrived = false;
  try {
    yield* flight.finish(task);
    arrived = true;
  } finally {
    yield* settle(task, v, count, arrived);
  }
  if (lab?.point()) yield STEP;
  add(v.meta.head, META.writes, count);
}

/** The copies have arrived (or some have not): the buffers are clean, unless they changed meanwhile. */
function* settle(task: Task, v: MetadataStore, count: number, arrived: boolean): Op<void> {
  const { buffer, chosen, lock, journal } = v.meta;
  yield* spinLock(task, lock, 0);
  for (let i = 0; i < count; i++) {
    const base = v.meta.at(chosen[i * CHOSEN.words + CHOSEN.buffer], 0);
    const flags = read(buffer, base + BUFFER.flags) & ~BH.writing;
    const again = arrived || journal ? 0 : BH.dirty;
    write(buffer, base + BUFFER.flags, flags | again);
    write(buffer, base + BUFFER.refs, read(buffer, base + BUFFER.refs) - 1);
    const sameLog = read(buffer, base + BUFFER.logTid) === chosen[i * CHOSEN.words + CHOSEN.tid];
    if (arrived && sameLog) write(buffer, base + BUFFER.logTid, 0);
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  for (let i = 0; i < count; i++) {
    wake(buffer, v.meta.at(chosen[i * CHOSEN.words + CHOSEN.buffer], BUFFER.flags));
  }
}

/** A buffer that can go home, whose mutex somebody holds; -1 if there is none. */
function* firstLeft(task: Task, v: MetadataStore): Op<number> {
  yield* spinLock(task, v.meta.lock, 0);
  let found = -1;
  for (let b = 0; b < v.meta.buffers && found < 0; b++) {
    const writing = read(v.meta.buffer, v.meta.at(b, BUFFER.flags)) & BH.writing;
    if (writing === 0 && mayGoHome(v, b)) found = b;
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, v.meta.lock, 0);
  return found;
}
