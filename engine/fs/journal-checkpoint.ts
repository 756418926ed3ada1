// Making room in the journal: writes buffers home, then moves the tail past the transactions that
// nobody needs any more (Linux: fs/jbd2/checkpoint.c).
//
// The tail moves only over copies whose home blocks are durable: those are written, then FLUSH, then
// the superblock of the journal with FUA. And only after that is the room used again.

import { FLUSH } from '../block/request.js';
import { add, load, read, write } from '../memory/word.js';
import { mutexLock, mutexUnlock, spinLock, spinUnlock } from '../sched/lock.js';
import { mightSleep, type Op, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { syncMetadata, writeAll } from './buffer-write.js';
import { commitTransaction, waitForCommit } from './journal-commit.js';
import { tidAfter } from './journal-format.js';
import { fillSuperblock, hasSpace, oldestNeeded } from './journal-image.js';
import { META, type MetadataStore } from './metadata.js';

/** Commits, writes all buffers home and empties the journal. Without a journal: syncMetadata(). */
export function* checkpoint(task: Task, v: MetadataStore): Op<void> {
  mightSleep(task);
  if (!v.meta.journal) return yield* syncMetadata(task, v);
  if (lab?.point()) yield STEP;
  yield* commitTransaction(task, v, load(v.meta.head, META.currentTid));
  yield* mutexLock(task, v.meta.checkpointMutex, 0);
  try {
    yield* writeAll(task, v);
    yield* moveTail(task, v);
  } finally {
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.meta.checkpointMutex, 0);
  }
}

/**
 * Returns when a transaction of the largest size fits, at the latest when the caller looks again.
 * There is no running transaction, and none can start; the caller has no handle.
 */
export function* makeSpace(task: Task, v: MetadataStore): Op<void> {
  yield* mutexLock(task, v.meta.checkpointMutex, 0);
  try {
    yield* spinLock(task, v.meta.lock, 0);
    const enough = hasSpace(v);
    if (lab?.point()) yield STEP;
    spinUnlock(task, v.meta.lock, 0);
    if (enough) return;
    yield* waitForCommit(task, v);
    yield* writeAll(task, v);
    yield* moveTail(task, v);
  } finally {
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.meta.checkpointMutex, 0);
  }
}

/** Gives the journal's room up to the oldest needed transaction back. Under checkpointMutex. */
function* moveTail(task: Task, v: MetadataStore): Op<void> {
  const { head, lock } = v.meta;
  yield* spinLock(task, lock, 0);
  const oldest = oldestNeeded(v);
  const tail = oldest?.start ?? read(head, META.logHead);
  if (lab?.point()) yield STEP;
  const tailTid = oldest?.tid ?? tidAfter(load(head, META.committedTid));
  const moves = tail !== read(head, META.logTail);
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  if (!moves) return;

  yield* v.queue.transfer(task, FLUSH);
  yield* writeSuperblock(task, v, tail, tailTid);
  yield* spinLock(task, lock, 0);
  write(head, META.logTail, tail);
  write(head, META.tailTid, tailTid);
  if (lab?.point()) yield STEP;
  spinUnlock(task, lock, 0);
  if (lab?.point()) yield STEP;
  add(head, META.checkpoints, 1);
}

/** Makes the place of the oldest needed transaction durable. Under checkpointMutex, or at mount. */
export function* writeSuperblock(
  task: Task,
  v: MetadataStore,
  tail: number,
  tailTid: number,
): Op<void> {
  const frames = Int32Array.of(fillSuperblock(v, tail, tailTid));
  const block = v.meta.config.journalStart;
  yield* v.queue.transfer(task, { op: 'write', block, frames, count: 1, fua: true });
}
