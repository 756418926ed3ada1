// The metadata journal: handles, and the transactions that they join (Linux: fs/jbd2/transaction.c).
//
// A handle promises how many blocks it may change (credits). All handles that are open at one time
// belong to one transaction, which becomes durable as a whole. Rules for users:
//   - change a buffer and call dirtyMetadata() under its mutex, inside a handle
//   - a block freed in transaction T is not used again until committedTid() has reached T
//   - start handles outside folio locks and buffers' mutexes, and never inside another handle; wait
//     for no commit in one

import { describeBlockError } from '../block/request.js';
import { load, read, write } from '../memory/word.js';
import { Errno, InvariantError } from '../sched/errors.js';
import { spinUnlock, takeSpinLock, waitSpinLock } from '../sched/lock.js';
import { mightSleep, type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { dropBuffer, putBuffer, referenceBuffer } from './buffer.js';
import { makeSpace } from './journal-checkpoint.js';
import { commitTransaction } from './journal-commit.js';
import { hasSpace } from './journal-image.js';
import { BH, BUFFER, META, type MetadataStore, RUNNING } from './metadata.js';

export { checkpoint } from './journal-checkpoint.js';
export { commitTransaction } from './journal-commit.js';
export { tidAtLeast } from './journal-format.js';

/** An open part of a transaction. Belongs to one task. */
export interface Handle {
  /** The transaction; 0 on a volume without a journal. */
  tid: number;
  /** Blocks it may still add to the transaction. */
  credits: number;
}

/**
 * Joins the running transaction with up to `credits` blocks (at most meta.transactionBlocks); may
 * wait for a commit to make room.
 * @throws Errno EIO, ENOSPC (the journal was stopped by an error)
 */
export function* startHandle(task: Task, v: MetadataStore, credits: number): Op<Handle> {
  const handle = { tid: 0, credits: 0 };
  yield* join(task, v, handle, credits);
  return handle;
}

/** Asks for more credits; false if the transaction has no room: then restartHandle() at a consistent point. */
export function* extendHandle(
  task: Task,
  v: MetadataStore,
  handle: Handle,
  credits: number,
): Op<boolean> {
  if (!v.meta.journal) return true;
  const { head, lock } = v.meta;
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
  const promised = read(head, META.credits) + credits;
  const fits = promised <= v.meta.transactionBlocks;
  if (fits) write(head, META.credits, promised);
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  if (fits) handle.credits += credits;
  return fits;
}

/**
 * Ends the handle and starts it again, perhaps in a later transaction. What was done so far may
 * become durable without the rest. On an error the handle has ended: stopHandle() does nothing.
 */
export function* restartHandle(
  task: Task,
  v: MetadataStore,
  handle: Handle,
  credits: number,
): Op<void> {
  yield* stopHandle(task, v, handle);
  yield* join(task, v, handle, credits);
}

/**
 * The buffer changes in this handle's transaction (or, without a journal, is dirty). Call it under
 * the buffer's mutex, before or after the change.
 */
export function* dirtyMetadata(task: Task, v: MetadataStore, handle: Handle, b: number): Op<void> {
  const { buffer, lock, mutex } = v.meta;
  if (v.m.lockdep !== null && !v.m.lockdep.holds(task, mutex.cls)) {
    throw new InvariantError(`${task.name} changes buffer ${String(b)} without its mutex`);
  }
  const flags = v.meta.at(b, BUFFER.flags);
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
  if (v.meta.journal) enterTransaction(v, handle, b);
  const kept = v.meta.journal ? 0 : BH.dirty;
  write(buffer, flags, (read(buffer, flags) & ~BH.forgotten) | kept);
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
}

/**
 * The metadata block was freed in this handle (a revoke record): no older copy of it will ever be
 * written over what the block is used for next. Costs one credit. The caller has given its
 * reference back and holds no buffer's mutex.
 */
export function* forgetMetadata(
  task: Task,
  v: MetadataStore,
  handle: Handle,
  block: number,
): Op<void> {
  const { buffer, lock } = v.meta;
  const found = yield* referenceBuffer(task, v, block);
  const b = found >= 0 ? found : ~found;
  const base = v.meta.at(b, 0);
  for (;;) {
    if (lab?.point()) yield STEP;
    if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
    const flags = read(buffer, base + BUFFER.flags);
    const writing = (flags & BH.writing) !== 0;
    if (!writing && v.meta.journal) {
      enterTransaction(v, handle, b);
      write(buffer, base + BUFFER.flags, flags | BH.forgotten);
    } else if (!writing) {
      write(buffer, base + BUFFER.flags, flags & ~BH.dirty);
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, lock, 0);
    if (!writing) break;
    yield sleepOn(task, buffer, base + BUFFER.flags, flags);
  }
  if (v.meta.journal) yield* putBuffer(task, v, b);
  else yield* putAndDrop(task, v, b);
}

/** Ends the handle. Its changes become durable with its transaction. */
export function* stopHandle(task: Task, v: MetadataStore, handle: Handle): Op<void> {
  const { head, lock, handleClass } = v.meta;
  if (v.meta.journal && handle.tid !== 0) {
    if (lab?.point()) yield STEP;
    if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
    const left = read(head, META.handles) - 1;
    write(head, META.handles, left);
    write(head, META.credits, read(head, META.credits) - handle.credits);
    if (left === 0) write(head, META.handlesBell, read(head, META.handlesBell) + 1);
    if (lab?.point()) yield STEP;
    spinUnlock(task, lock, 0);
    if (left === 0) wake(head, META.handlesBell);
  }
  if (handle.credits >= 0 && v.m.lockdep !== null) v.m.lockdep.release(task, handleClass);
  handle.tid = 0;
  handle.credits = -1;
}

/**
 * The transaction that a change made now would belong to: the running one, or if there is none the
 * next. One step. A change of one's own belongs to handle.tid.
 */
export function currentTid(v: MetadataStore): number {
  return load(v.meta.head, META.currentTid);
}

/** The last durable transaction. One step. Compare with tidAtLeast(). */
export function committedTid(v: MetadataStore): number {
  return load(v.meta.head, META.committedTid);
}

/** Opens `handle` in the running transaction, starting one if need be. */
function* join(task: Task, v: MetadataStore, handle: Handle, credits: number): Op<void> {
  mightSleep(task);
  const { meta } = v;
  if (credits < 0 || (meta.journal && credits > meta.transactionBlocks)) {
    throw new InvariantError(
      `a handle of ${String(credits)} blocks: a transaction of this journal holds ${String(meta.transactionBlocks)}`,
    );
  }
  if (meta.journal) {
    handle.tid = yield* joinRunning(task, v, credits);
  }
  handle.credits = credits;
  if (v.m.lockdep !== null) v.m.lockdep.acquire(task, meta.handleClass);
}

function* joinRunning(task: Task, v: MetadataStore, credits: number): Op<number> {
  const { head, lock } = v.meta;
  for (;;) {
    if (lab?.point()) yield STEP;
    if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
    const aborted = read(head, META.aborted);
    const before = read(head, META.running);
    const bell = read(head, META.runningBell);
    const tid = read(head, META.currentTid);
    const roomy = hasSpace(v);
    if (aborted === 0 && before === RUNNING.none && roomy) write(head, META.running, RUNNING.open);
    const open = read(head, META.running) === RUNNING.open;
    const promised = read(head, META.credits) + credits;
    const joined = aborted === 0 && open && promised <= v.meta.transactionBlocks;
    if (joined) {
      write(head, META.credits, promised);
      write(head, META.handles, read(head, META.handles) + 1);
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, lock, 0);

    if (joined) return tid;
    if (aborted !== 0) throw stopped(aborted);
    if (before === RUNNING.none) yield* makeSpace(task, v);
    else if (before === RUNNING.open) yield* commitTransaction(task, v, tid);
    else yield sleepOn(task, head, META.runningBell, bell);
  }
}

function stopped(error: number): Errno {
  const [code, message] = describeBlockError(error);
  return new Errno(code, `the journal was stopped by an error: ${message}`);
}

/** Puts the buffer on the list of the running transaction, at the cost of a credit. Under the lock. */
function enterTransaction(v: MetadataStore, handle: Handle, b: number): void {
  const { buffer, head } = v.meta;
  const base = v.meta.at(b, 0);
  const tid = read(buffer, base + BUFFER.tid);
  if (tid === handle.tid && tid !== 0) return;
  if (tid !== 0 || handle.tid === 0 || handle.credits <= 0) {
    const owner = `buffer ${String(b)} of transaction ${String(tid)}`;
    throw new InvariantError(
      `${owner} is changed in a handle of ${String(handle.tid)} with ${String(handle.credits)} credits left`,
    );
  }
  handle.credits--;
  write(buffer, base + BUFFER.tid, handle.tid);
  write(buffer, base + BUFFER.transactionNext, read(head, META.transactionHead));
  write(head, META.transactionHead, b + 1);
  write(head, META.transactionCount, read(head, META.transactionCount) + 1);
}

/** Without a journal: a forgotten buffer is given up at once, if nobody else has it. */
function* putAndDrop(task: Task, v: MetadataStore, b: number): Op<void> {
  const { buffer, lock } = v.meta;
  const base = v.meta.at(b, 0);
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, lock, 0)) yield* waitSpinLock(task, lock, 0);
  const refs = read(buffer, base + BUFFER.refs) - 1;
  write(buffer, base + BUFFER.refs, refs);
  const flags = read(buffer, base + BUFFER.flags);
  if (refs === 0 && (flags & (BH.dirty | BH.reading)) === 0) dropBuffer(v, b);
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
}
