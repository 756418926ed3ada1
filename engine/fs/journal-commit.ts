// Commits: the running transaction goes to the journal as a whole (Linux: fs/jbd2/commit.c).
//
//   lock it      no handle joins any more; wait for those it has
//   freeze it    copy its buffers; from here on handles start again, in the next transaction
//   write it     descriptors, copies, revokes; FLUSH (of file data too); commit block with FUA
//
// The task that needs a commit executes it; all others that wait share it.

import { Flight } from '../block/flight.js';
import { describeBlockError, FLUSH, numberOfErrno, REQUEST_PAGES_MAX } from '../block/request.js';
import { add, load, read, store, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { mutexLock, mutexUnlock, spinLock, spinUnlock } from '../sched/lock.js';
import { mightSleep, type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { dropBuffer, lockBuffer, unlockBuffer } from './buffer.js';
import { copyContents } from './buffer-copy.js';
import { syncMetadata } from './buffer-write.js';
import { logAfter, tidAfter, tidAtLeast } from './journal-format.js';
import { type LogImage, layOut } from './journal-image.js';
import { BH, BUFFER, META, type MetadataStore, RUNNING } from './metadata.js';

/** A frozen transaction. Per buffer, Metadata.entries has the pair (buffer, 1 if forgotten). */
interface Frozen {
  readonly tid: number;
  readonly buffers: number;
}

/**
 * Returns when transaction `tid` is durable, committing it if nobody else does. Never in a handle.
 * @throws Errno EIO, ENOSPC
 */
export function* commitTransaction(task: Task, v: MetadataStore, tid: number): Op<void> {
  mightSleep(task);
  const { head, commitMutex } = v.meta;
  if (!v.meta.journal) return yield* syncMetadata(task, v);
  for (;;) {
    if (lab?.point()) yield STEP;
    if (tidAtLeast(load(head, META.committedTid), tid)) return;
    yield* mutexLock(task, commitMutex, 0);
    try {
      if (lab?.point()) yield STEP;
      if (tidAtLeast(load(head, META.committedTid), tid)) return;
      if (!(yield* commitRunning(task, v))) return;
    } finally {
      if (lab?.point()) yield STEP;
      mutexUnlock(task, commitMutex, 0);
    }
  }
}

/** Waits until no commit is under way. */
export function* waitForCommit(task: Task, v: MetadataStore): Op<void> {
  yield* mutexLock(task, v.meta.commitMutex, 0);
  if (lab?.point()) yield STEP;
  mutexUnlock(task, v.meta.commitMutex, 0);
}

/** Commits the running transaction; false if there is none. Under commitMutex. */
function* commitRunning(task: Task, v: MetadataStore): Op<boolean> {
  if (!(yield* lockRunning(task, v))) return false;
  const frozen = yield* freeze(task, v);
  try {
    if (frozen.buffers > 0) {
      const image = layOut(v, frozen.tid, frozen.buffers);
      yield* writeLog(task, v, image);
      yield* finish(task, v, frozen, image.blocks);
    } else {
      yield* finish(task, v, frozen, 0);
    }
  } catch (error) {
    if (error instanceof Errno) yield* stopJournal(task, v, error);
    throw error;
  }
  return true;
}

/** Closes the running transaction to new handles and waits for those it has. */
function* lockRunning(task: Task, v: MetadataStore): Op<boolean> {
  const { head, lock, handleClass } = v.meta;
  // A handle that waits for a commit would wait for itself: let lockdep know of the order.
  if (v.m.lockdep !== null) {
    v.m.lockdep.acquire(task, handleClass);
    v.m.lockdep.release(task, handleClass);
  }
  for (let first = true; ; first = false) {
    yield* spinLock(task, lock, 0);
    const running = read(head, META.running);
    const aborted = read(head, META.aborted);
    if (first && running === RUNNING.open) write(head, META.running, RUNNING.locked);
    const handles = read(head, META.handles);
    const bell = read(head, META.handlesBell);
    if (lab?.point()) yield STEP;
    spinUnlock(task, lock, 0);
    if (aborted !== 0) throw journalStopped(aborted);
    if (running === RUNNING.none) return false;
    if (handles === 0) return true;
    yield sleepOn(task, head, META.handlesBell, bell);
  }
}

/** Copies the buffers of the locked transaction; then handles may start the next one. */
function* freeze(task: Task, v: MetadataStore): Op<Frozen> {
  const { head, buffer, entries, logFrames, lock } = v.meta;
  const tid = read(head, META.currentTid);
  let next = read(head, META.transactionHead);
  let buffers = 0;
  for (let copies = 0; next !== 0; buffers++) {
    const b = next - 1;
    const base = v.meta.at(b, 0);
    yield* lockBuffer(task, v, b);
    yield* spinLock(task, lock, 0);
    const flags = read(buffer, base + BUFFER.flags);
    next = read(buffer, base + BUFFER.transactionNext);
    write(buffer, base + BUFFER.transactionNext, 0);
    write(buffer, base + BUFFER.tid, 0);
    write(buffer, base + BUFFER.frozenTid, tid);
    write(buffer, base + BUFFER.flags, flags & ~BH.forgotten);
    if (lab?.point()) yield STEP;
    spinUnlock(task, lock, 0);
    const forgotten = (flags & BH.forgotten) !== 0;
    entries[buffers * 2] = b;
    entries[buffers * 2 + 1] = forgotten ? 1 : 0;
    if (!forgotten) copyContents(v.m, logFrames[copies++], read(buffer, base + BUFFER.pfn));
    if (lab?.point()) yield STEP;
    unlockBuffer(task, v, b);
  }
  yield* spinLock(task, lock, 0);
  write(head, META.committingTid, tid);
  write(head, META.running, RUNNING.none);
  write(head, META.credits, 0);
  write(head, META.transactionHead, 0);
  write(head, META.transactionCount, 0);
  write(head, META.runningBell, read(head, META.runningBell) + 1);
  if (lab?.point()) yield STEP;
  store(head, META.currentTid, tidAfter(tid));
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  wake(head, META.runningBell);
  return { tid, buffers };
}

/** Writes a transaction to the journal: all but its commit block, FLUSH, the commit block with FUA. */
function* writeLog(task: Task, v: MetadataStore, image: LogImage): Op<void> {
  const { logBlocks } = v.meta;
  const { journalStart } = v.meta.config;
  const last = image.blocks - 1;
  const flight = new Flight(v.queue);
  for (let done = 0; done < last; ) {
    const at = logAfter(image.start, done, logBlocks);
    const count = Math.min(last - done, REQUEST_PAGES_MAX, logBlocks - at + 1);
    const frames = image.frames.subarray(done, done + count);
    const block = journalStart + at;
    yield* flight.submit(task, { op: 'write', block, frames, count, fua: false });
    done += count;
  }
  yield* flight.finish(task);
  yield* v.queue.transfer(task, FLUSH);
  yield* v.queue.transfer(task, {
    op: 'write',
    block: journalStart + logAfter(image.start, last, logBlocks),
    frames: image.frames.subarray(last),
    count: 1,
    fua: true,
  });
}

/** The transaction is durable: its buffers may go home, and blocks it freed may be used again. */
function* finish(task: Task, v: MetadataStore, frozen: Frozen, blocks: number): Op<void> {
  const { head, buffer, entries, lock } = v.meta;
  yield* spinLock(task, lock, 0);
  const start = read(head, META.logHead);
  for (let i = 0; i < frozen.buffers; i++) {
    const b = entries[i * 2];
    const base = v.meta.at(b, 0);
    const forgotten = entries[i * 2 + 1] === 1;
    write(buffer, base + BUFFER.frozenTid, 0);
    write(buffer, base + BUFFER.logTid, forgotten ? 0 : frozen.tid);
    write(buffer, base + BUFFER.logStart, forgotten ? 0 : start);
    const unused = read(buffer, base + BUFFER.tid) === 0 && read(buffer, base + BUFFER.refs) === 0;
    if (forgotten && unused) dropBuffer(v, b);
  }
  if (blocks > 0) write(head, META.logHead, logAfter(start, blocks, v.meta.logBlocks));
  write(head, META.committingTid, 0);
  if (lab?.point()) yield STEP;
  store(head, META.committedTid, frozen.tid);
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  wake(head, META.committedTid);
  if (lab?.point()) yield STEP;
  add(head, META.commits, 1);
}

/** After an error nothing more is committed; what was committed before stays so. */
function* stopJournal(task: Task, v: MetadataStore, error: Errno): Op<void> {
  const { head, lock } = v.meta;
  yield* spinLock(task, lock, 0);
  if (read(head, META.aborted) === 0) write(head, META.aborted, numberOfErrno(error.code));
  write(head, META.runningBell, read(head, META.runningBell) + 1);
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  wake(head, META.runningBell);
}

/** For whoever comes after the error that stopped the journal. @param aborted META.aborted */
function journalStopped(aborted: number): Errno {
  const [code, meaning] = describeBlockError(aborted);
  return new Errno(code, `the journal was stopped by an earlier error: ${meaning}`);
}
