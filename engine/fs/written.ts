// What follows when a batch has reached the device: its blocks become the file's in a handle, with
// their checksums and the new size, so that a crash exposes neither stale nor unwritten data.

import { loadLong } from '../memory/long.js';
import { and, read, write } from '../memory/word.js';
import { downWrite, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { commitClaim } from './alloc.js';
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
      if (isInline(v, inode)) yield* destroyInline(task, v, handle, inode);
      let count = length;
      if (v.noOverwrite) {
        const next = yield* freeStep(task, v, handle, inode, first, first + length - 1);
        if (next >= 0) count = next - first;
      }
      const block = batch.block + from;
      // Checksums first: if they can't be entered, no block of the file is without one.
      if (v.checksums) yield* storeChecksums(task, v, handle, block, count, batch.sums, from);
      yield* insertExtent(task, v, handle, inode, first, block, count);
      yield* commitClaim(task, v, handle, block, count);
      if (lab?.point()) yield STEP;
      raiseDiskSize(v, inode, first + count - 1);
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

/** Data were written over blocks that the file had already: only the size may be new. */
function* growOnDisk(task: Task, v: Vol, inode: number, lastIndex: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (!wouldRaise(v, inode, lastIndex)) return;
  const handle = yield* startHandle(task, v, 1);
  try {
    yield* downWrite(task, v.m.iDataSem, inode);
    if (lab?.point()) yield STEP;
    raiseDiskSize(v, inode, lastIndex);
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

/** The disk shall know the file up to page `lastIndex`, or to its end. Under i_data_sem. One step. */
function raiseDiskSize(v: Vol, inode: number, lastIndex: number): void {
  if (!wouldRaise(v, inode, lastIndex)) return;
  const size = loadLong(v.m.state.iSize, inode);
  const end = Math.min(size, (lastIndex + 1) * v.m.geometry.pageBytes);
  writePair(v.m.state.iPrivate, ip(inode, IP.diskSizeLow), end);
}

function wouldRaise(v: Vol, inode: number, lastIndex: number): boolean {
  const size = loadLong(v.m.state.iSize, inode);
  const end = Math.min(size, (lastIndex + 1) * v.m.geometry.pageBytes);
  return end > readPair(v.m.state.iPrivate, ip(inode, IP.diskSizeLow));
}
