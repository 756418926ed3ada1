// Freeing the blocks of a range of a file, in as many handles as that takes.

import { read, write } from '../memory/word.js';
import { downWrite, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { freeBlocks, freeMetadataBlock } from './alloc.js';
import { isInline, type Vol } from './core.js';
import { changeInode, isType, sizeOf } from './dinode.js';
import { REMOVE_CREDITS, removeExtents } from './extents.js';
import { type Handle, restartHandle, startHandle, stopHandle } from './journal.js';
import { BLOCK_BYTES, DI, LAST_PAGE, S_IF } from './layout.js';

/** Pieces of extents freed in one handle. */
const PIECES = 6;

/** Credits of freeStep(). */
export const FREE_CREDITS = REMOVE_CREDITS + 2 * PIECES;

/**
 * Frees a part of blocks [from, to] of a file, in a handle with FREE_CREDITS. The caller holds
 * i_data_sem.
 * @returns where to go on, or -1
 */
export function* freeStep(
  task: Task,
  v: Vol,
  handle: Handle,
  inode: number,
  from: number,
  to: number,
): Op<number> {
  // Each block of metadata costs a credit of its own (its revoke record).
  const metadata = isType(v, inode, S_IF.dir) || isType(v, inode, S_IF.link);
  const last = metadata ? Math.min(to, from + PIECES - 1) : to;
  const { runs, next } = yield* removeExtents(task, v, handle, inode, from, last, PIECES);
  let total = 0;
  for (let i = 0; i < runs.length; i += 2) {
    const [start, length] = [runs[i], runs[i + 1]];
    total += length;
    if (!metadata) yield* freeBlocks(task, v, handle, start, length);
    else for (let j = 0; j < length; j++) yield* freeMetadataBlock(task, v, handle, start + j);
  }
  if (total > 0) {
    yield* changeInode(task, v, handle, inode, (words, at) => {
      write(words, at + DI.blocks, read(words, at + DI.blocks) - total);
    });
  }
  if (next >= 0 || last === to) return next;
  return (last + 1) * BLOCK_BYTES < sizeOf(v, inode) ? last + 1 : -1;
}

/** Frees blocks [from, to] of a file. */
export function* freeRange(task: Task, v: Vol, inode: number, from: number, to: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (isInline(v, inode)) return;
  const handle = yield* startHandle(task, v, FREE_CREDITS);
  try {
    for (let at = from; at >= 0; ) {
      yield* downWrite(task, v.m.iDataSem, inode);
      try {
        at = yield* freeStep(task, v, handle, inode, at, to);
      } finally {
        if (lab?.point()) yield STEP;
        upWrite(task, v.m.iDataSem, inode);
      }
      if (at >= 0) yield* restartHandle(task, v, handle, FREE_CREDITS);
    }
  } finally {
    yield* stopHandle(task, v, handle);
  }
}

/** Frees all blocks from `from` on. */
export function* freeFrom(task: Task, v: Vol, inode: number, from: number): Op<void> {
  yield* freeRange(task, v, inode, from, LAST_PAGE);
}
