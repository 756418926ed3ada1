// What follows when a batch has reached the device: its blocks become the file's in a handle, with
// their checksums and the new size, so that a crash exposes neither stale nor unwritten data.

import { loadLong } from '../memory/long.js';
import { and, read, write } from '../memory/word.js';
import { downWrite, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { commitClaim, unclaim, unreserve } from './alloc.js';
import type { WriteBatch } from './batch.js';
import { CHECKSUM_CREDITS, storeChecksums } from './checksums.js';
import { ip, isInline, readPair, type Vol, writePair } from './core.js';
import { changeInode, writeInode } from './dinode.js';
import { INSERT_CREDITS, insertExtent } from './extents.js';
import { FREE_CREDITS, freeStep } from './free.js';
import { type Handle, startHandle, stopHandle } from './journal.js';
import { DI, DIFLAG, INODE_WORDS, IP } from './layout.js';

/** Bitmap blocks, and the inode. */
const BASE_CREDITS = 4;

/** Enters the blocks of a batch whose data have been written. @throws Errno EIO, ENOSPC, EUCLEAN */
export function* recordWritten(task: Task, v: Vol, inode: number, batch: WriteBatch): Op<void> {
  if (!batch.fresh) {
    yield* growOnDisk(task, v, inode, batch.indices[batch.count - 1]);
    return;
  }
  for (let from = 0; from < batch.count; ) {
    let to = from + 1;
    while (to < batch.count && batch.indices[to] === batch.indices[to - 1] + 1) to++;
    from = yield* recordRun(task, v, inode, batch, from, to - from);
  }
}

/** Enters a run of pages in one handle; fewer, if they replace many pieces. Returns where to go on. */
function* recordRun(
  task: Task,
  v: Vol,
  inode: number,
  batch: WriteBatch,
  from: number,
  length: number,
): Op<number> {
  const first = batch.indices[from];
  const credits =
    INSERT_CREDITS +
    BASE_CREDITS +
    (v.noOverwrite ? FREE_CREDITS : 0) +
    (v.checksums ? CHECKSUM_CREDITS : 0);
  const handle = yield* startHandle(task, v, credits);
  try {
    yield* downWrite(task, v.m.iDataSem, inode);
    try {
      if (lab?.point()) yield STEP;
      const size = loadLong(v.m.state.iSize, inode);
      const block = batch.block + from;
      let count = Math.min(length, Math.ceil(size / v.m.geometry.pageBytes) - first);
      if (count <= 0) {
        yield* giveUp(task, v, block, length);
        if (wouldRaise(v, inode, first, size)) {
          raiseDiskSize(v, inode, first, size);
          yield* writeInode(task, v, handle, inode);
        }
        return from + length;
      }
      if (isInline(v, inode)) yield* destroyInline(task, v, handle, inode);
      if (v.noOverwrite) {
        const next = yield* freeStep(task, v, handle, inode, first, first + count - 1);
        if (next >= 0) count = next - first;
      }
      // Checksums first: if they can't be entered, no block of the file is without one.
      if (v.checksums) yield* storeChecksums(task, v, handle, block, count, batch.sums, from);
      yield* insertExtent(task, v, handle, inode, first, block, count);
      yield* commitClaim(task, v, handle, block, count);
      raiseDiskSize(v, inode, first + count - 1, size);
      yield* writeInode(task, v, handle, inode, count);
      return from + count;
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, v.m.iDataSem, inode);
    }
  } finally {
    yield* stopHandle(task, v, handle);
  }
}

/**
 * A truncate has taken pages off the file while they were written; it waits for them, to drop them.
 * Their blocks must not become the file's: if power is cut before the truncate frees them, the file
 * would have blocks past its end. The size goes on as far as the truncate lets it: a sync that waits
 * for these pages may have promised a larger file than the disk knows.
 */
function* giveUp(task: Task, v: Vol, block: number, count: number): Op<void> {
  yield* unclaim(task, v, block, count);
  if (lab?.point()) yield STEP;
  unreserve(v, count);
}

/** Data were written over blocks that the file had already: only the size may be new. */
function* growOnDisk(task: Task, v: Vol, inode: number, lastIndex: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (!wouldRaise(v, inode, lastIndex, loadLong(v.m.state.iSize, inode))) return;
  const handle = yield* startHandle(task, v, 1);
  try {
    yield* downWrite(task, v.m.iDataSem, inode);
    if (lab?.point()) yield STEP;
    raiseDiskSize(v, inode, lastIndex, loadLong(v.m.state.iSize, inode));
    yield* writeInode(task, v, handle, inode);
    if (lab?.point()) yield STEP;
    upWrite(task, v.m.iDataSem, inode);
  } finally {
    yield* stopHandle(task, v, handle);
  }
}

/** Takes the inline data out of the inode: blocks hold them from now on. Under i_data_sem, in a handle. */
export function* destroyInline(task: Task, v: Vol, handle: Handle, inode: number): Op<void> {
  const { iPrivate } = v.m.state;
  yield* changeInode(task, v, handle, inode, (words, at) => {
    words.fill(0, at + DI.root, at + INODE_WORDS);
    write(words, at + DI.depth, 0);
    write(words, at + DI.count, 0);
    write(words, at + DI.flags, read(words, at + DI.flags) & ~DIFLAG.inline);
  });
  if (lab?.point()) yield STEP;
  and(iPrivate, ip(inode, IP.flags), ~DIFLAG.inline);
}

/** The disk shall know the file of `size` bytes up to page `lastIndex`, or to its end. Under i_data_sem. */
function raiseDiskSize(v: Vol, inode: number, lastIndex: number, size: number): void {
  if (!wouldRaise(v, inode, lastIndex, size)) return;
  writePair(
    v.m.state.iPrivate,
    ip(inode, IP.diskSizeLow),
    Math.min(size, (lastIndex + 1) * v.m.geometry.pageBytes),
  );
}

function wouldRaise(v: Vol, inode: number, lastIndex: number, size: number): boolean {
  const end = Math.min(size, (lastIndex + 1) * v.m.geometry.pageBytes);
  return end > readPair(v.m.state.iPrivate, ip(inode, IP.diskSizeLow));
}
