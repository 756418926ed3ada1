// Small files inside their inode. An inline file becomes a block file when it grows or is mapped for
// writing, and stays one (the state machine of kernel.md 4.13 in its simple form: one flag, changed
// under i_data_sem in the handle that also enters the block).

import { read, write } from '../memory/word.js';
import { allocPage, putFolio } from '../mm/alloc.js';
import { checksumFrame, storeBytes, zeroTail } from '../mm/content.js';
import { Errno } from '../sched/errors.js';
import { downRead, downWrite, upRead, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { claimRun, commitClaim, endRun, type Run, reserve, unclaim, unreserve } from './alloc.js';
import {
  bufferAt,
  bufferSegment,
  getBuffer,
  lockBuffer,
  putBuffer,
  unlockBuffer,
} from './buffer.js';
import { CHECKSUM_CREDITS, storeChecksums } from './checksums.js';
import { inodeName, ip, isInline, readPair, type Vol, writePair } from './core.js';
import { changeInode, inodeBlock, inodeOffset, writeInode } from './dinode.js';
import { INSERT_CREDITS, insertExtent } from './extents.js';
import { type Handle, startHandle, stopHandle } from './journal.js';
import { DI, INLINE_BYTES_MAX, IP } from './layout.js';
import { destroyInline } from './written.js';

/** Fills a locked folio from the inode; false if the file is no inline file any more. */
export function* readInline(
  task: Task,
  v: Vol,
  inode: number,
  index: number,
  pfn: number,
): Op<boolean> {
  yield* downRead(task, v.m.iDataSem, inode);
  try {
    if (!isInline(v, inode)) return false;
    yield* zeroTail(v.m, pfn, 0);
    if (index === 0) yield* storeBytes(v.m, pfn, 0, yield* loadInline(task, v, inode));
    return true;
  } finally {
    if (lab?.point()) yield STEP;
    upRead(task, v.m.iDataSem, inode);
  }
}

/** The inline bytes of an inode, all of INLINE_BYTES_MAX. The caller holds i_data_sem. */
export function* loadInline(task: Task, v: Vol, inode: number): Op<Uint8Array> {
  const ino = read(v.m.state.ino, inode);
  const b = yield* getBuffer(task, v, inodeBlock(v, ino));
  yield* lockBuffer(task, v, b);
  const at = bufferAt(v, b) + inodeOffset(ino) + DI.root;
  const words = bufferSegment(v, b).slice(at, at + INLINE_BYTES_MAX / 4);
  if (lab?.point()) yield STEP;
  unlockBuffer(task, v, b);
  yield* putBuffer(task, v, b);
  return new Uint8Array(words.buffer);
}

/**
 * Replaces inline bytes in a handle: `data` at `offset`, zeroes from `size` on, which becomes the
 * size that the disk knows. The caller holds i_data_sem alone.
 */
export function* storeInline(
  task: Task,
  v: Vol,
  handle: Handle,
  inode: number,
  offset: number,
  data: Uint8Array,
  size: number,
): Op<void> {
  const bytes = yield* loadInline(task, v, inode);
  bytes.set(data, offset);
  bytes.fill(0, size);
  const source = new Int32Array(bytes.buffer);
  yield* changeInode(task, v, handle, inode, (words, at) => {
    for (let i = 0; i < source.length; i++) write(words, at + DI.root + i, source[i]);
  });
  writePair(v.m.state.iPrivate, ip(inode, IP.diskSizeLow), size);
  yield* writeInode(task, v, handle, inode);
}

/**
 * Makes an inline file a block file: its data are written to a block, which is entered in the
 * handle that takes them out of the inode. Nothing to do for other files. No folio lock held.
 * @throws Errno ENOSPC, ENOMEM, EIO: the file stays as it was
 */
export function* convertInline(task: Task, v: Vol, inode: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (!isInline(v, inode)) return;
  const handle = yield* startHandle(task, v, INSERT_CREDITS + CHECKSUM_CREDITS + 4);
  try {
    yield* downWrite(task, v.m.iDataSem, inode);
    try {
      if (isInline(v, inode)) yield* convertLocked(task, v, handle, inode);
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, v.m.iDataSem, inode);
    }
  } finally {
    yield* stopHandle(task, v, handle);
  }
}

function* convertLocked(task: Task, v: Vol, handle: Handle, inode: number): Op<void> {
  const { m } = v;
  if (readPair(m.state.iPrivate, ip(inode, IP.diskSizeLow)) === 0) {
    yield* destroyInline(task, v, handle, inode);
    return;
  }
  if (!(yield* reserve(v, 1, v.heldBack))) {
    throw new Errno('ENOSPC', `no block for the data of ${inodeName(m, inode)}: delete files`);
  }
  const frames = new Int32Array([yield* allocPage(task, m)]);
  if (frames[0] === 0) {
    unreserve(v, 1);
    throw new Errno('ENOMEM', 'no page frame is free to convert inline data');
  }
  const run: Run = { start: 0, length: 0 };
  try {
    yield* zeroTail(m, frames[0], 0);
    yield* storeBytes(m, frames[0], 0, yield* loadInline(task, v, inode));
    yield* claimRun(task, v, 0, 1, run);
    const sums = new Int32Array([v.checksums ? yield* checksumFrame(m, frames[0]) : 0]);
    yield* v.queue.transfer(task, { op: 'write', block: run.start, frames, count: 1, fua: false });
    yield* destroyInline(task, v, handle, inode);
    yield* insertExtent(task, v, handle, inode, 0, run.start, 1);
    yield* commitClaim(task, v, handle, run.start, 1);
    if (v.checksums) yield* storeChecksums(task, v, handle, run.start, 1, sums, 0);
    yield* writeInode(task, v, handle, inode, 1);
  } catch (error) {
    if (isInline(v, inode)) {
      if (run.length > 0) yield* unclaim(task, v, run.start, 1);
      unreserve(v, 1);
    }
    throw error;
  } finally {
    if (run.length > 0) yield* endRun(v);
    yield* putFolio(task, m, frames[0]);
  }
}
