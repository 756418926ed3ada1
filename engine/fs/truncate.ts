// Truncate, hole punching and attributes, in the order of kernel.md 4.9: i_rwsem, invalidate_lock,
// i_size first, unmap, pages out of the cache, then blocks.

import { storeLong } from '../memory/long.js';
import { or, read } from '../memory/word.js';
import { truncatePages, unmapRange } from '../mm/truncate.js';
import { Errno } from '../sched/errors.js';
import { downWrite, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { makeSpace } from './alloc.js';
import { ip, isInline, readPair, type Vol, writePair } from './core.js';
import { isType, sizeOf, touch, writeInode } from './dinode.js';
import { checkRange } from './file.js';
import { FREE_CREDITS, freeRange, freeStep } from './free.js';
import { convertInline, storeInline } from './inline.js';
import { endTruncate, setOrphan } from './inode-bitmap.js';
import { type Handle, restartHandle, startHandle, stopHandle } from './journal.js';
import { I, INLINE_BYTES_MAX, IP, LAST_PAGE, S_IF } from './layout.js';
import { zeroOldTail, zeroWithin } from './tail.js';
import { writepages } from './writepages.js';

/** Sets the size of a file. @throws Errno EINVAL, EFBIG, EISDIR, ENOSPC, EIO */
export function* truncate(task: Task, v: Vol, inode: number, sizeBytes: number): Op<void> {
  if (!isType(v, inode, S_IF.file)) throw new Errno('EISDIR', 'only files can be truncated');
  checkRange(sizeBytes, 0);
  checkRange(0, sizeBytes);
  yield* changing(task, v, inode, function* () {
    yield* touch(v, inode);
    if (lab?.point()) yield STEP;
    if (isInline(v, inode) && sizeBytes > INLINE_BYTES_MAX) yield* convertInline(task, v, inode);
    if (lab?.point()) yield STEP;
    const old = sizeOf(v, inode);
    if (sizeBytes >= old) yield* extend(task, v, inode, sizeBytes);
    else yield* shrink(task, v, inode, sizeBytes);
  });
}

/** Makes a hole: the bytes read as zeroes afterwards, the size stays. @throws Errno EINVAL, ENOSPC, EIO */
export function* punchHole(
  task: Task,
  v: Vol,
  inode: number,
  offset: number,
  length: number,
): Op<void> {
  if (!isType(v, inode, S_IF.file)) throw new Errno('EISDIR', 'only files have holes');
  checkRange(offset, length);
  if (length <= 0) throw new Errno('EINVAL', 'a hole has at least one byte');
  yield* changing(task, v, inode, function* () {
    yield* touch(v, inode);
    yield* convertInline(task, v, inode);
    const page = v.m.geometry.pageBytes;
    if (lab?.point()) yield STEP;
    const end = Math.min(offset + length, Math.ceil(sizeOf(v, inode) / page) * page);
    if (offset >= end) return;
    const first = Math.ceil(offset / page);
    const after = Math.floor(end / page);
    if (first > after) {
      yield* zeroWithin(task, v, inode, offset, end);
      return;
    }
    if (offset % page !== 0) yield* zeroWithin(task, v, inode, offset, first * page);
    if (end % page !== 0) yield* zeroWithin(task, v, inode, after * page, end);
    if (first >= after) return;
    // A sync that comes between the loss of dirty pages and the handle below would promise what is
    // neither the old nor the new file (ext4_punch_hole writes them, too).
    yield* writepages(task, v, inode, 'all', first, after - 1);
    yield* raiseDiskSize(task, v, inode, after * page);
    yield* unmapRange(task, v.m, inode, first, after - 1);
    yield* truncatePages(task, v.m, inode, first, after - 1);
    yield* freeRange(task, v, inode, first, after - 1);
  });
}

/**
 * A hole up to the end of the file takes away the pages whose writing would have told the disk the
 * size: tell it now (ext4_update_disksize_before_punch).
 */
function* raiseDiskSize(task: Task, v: Vol, inode: number, holeEnd: number): Op<void> {
  if (lab?.point()) yield STEP;
  const size = sizeOf(v, inode);
  if (holeEnd < size) return;
  if (readPair(v.m.state.iPrivate, ip(inode, IP.diskSizeLow)) >= size) return;
  yield* tellSize(task, v, inode, size, false);
}

/** Sets permission bits and, if not null, the modification time. */
export function* setattr(
  task: Task,
  v: Vol,
  inode: number,
  mode: number | null,
  mtimeMs: number | null,
): Op<void> {
  const { iMode, iPrivate, iState } = v.m.state;
  yield* downWrite(task, v.m.iRwsem, inode);
  const handle = yield* startHandle(task, v, 1);
  try {
    yield* downWrite(task, v.m.iDataSem, inode);
    if (mode !== null) {
      const type = read(iMode, inode) & S_IF.mask;
      if (lab?.point()) yield STEP;
      Atomics.store(iMode, inode, type | (mode & 0o7777));
    }
    if (mtimeMs !== null) writePair(iPrivate, ip(inode, IP.mtimeLow), mtimeMs);
    if (lab?.point()) yield STEP;
    or(iState, inode, I.dirtyTime);
    try {
      yield* writeInode(task, v, handle, inode);
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, v.m.iDataSem, inode);
    }
  } finally {
    yield* stopHandle(task, v, handle);
    if (lab?.point()) yield STEP;
    upWrite(task, v.m.iRwsem, inode);
  }
}

/** Finishes a truncate that a crash interrupted, at mount. */
export function* finishTruncate(task: Task, v: Vol, inode: number): Op<void> {
  if (lab?.point()) yield STEP;
  yield* freePastEnd(task, v, inode, sizeOf(v, inode));
}

/** Runs a change of a file's layout: nobody writes it, faults it in or reads it in meanwhile. */
function* changing(task: Task, v: Vol, inode: number, change: () => Op<void>): Op<void> {
  const { m } = v;
  yield* makeSpace(task, v, 4);
  yield* downWrite(task, m.iRwsem, inode);
  try {
    yield* downWrite(task, m.invalidateLock, inode);
    try {
      yield* change();
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, m.invalidateLock, inode);
    }
  } finally {
    if (lab?.point()) yield STEP;
    upWrite(task, m.iRwsem, inode);
  }
}

function* extend(task: Task, v: Vol, inode: number, size: number): Op<void> {
  yield* zeroOldTail(task, v, inode);
  yield* tellSize(task, v, inode, size, false);
}

/**
 * The new size is told to the disk at the same moment as to everybody else: a sync that comes from then
 * on finds no page of what is cut off any more, and promises the file as it is. Until the blocks are
 * freed the inode is among the orphans, so that a mount finishes what a power cut interrupts.
 */
function* shrink(task: Task, v: Vol, inode: number, size: number): Op<void> {
  const { m } = v;
  const from = Math.ceil(size / m.geometry.pageBytes);
  yield* tellSize(task, v, inode, size, true);
  yield* unmapRange(task, m, inode, from, LAST_PAGE);
  yield* truncatePages(task, m, inode, from, LAST_PAGE);
  yield* unmapRange(task, m, inode, from, LAST_PAGE);
  if (!isInline(v, inode)) yield* freePastEnd(task, v, inode, size);
  else if (size % m.geometry.pageBytes !== 0) {
    yield* zeroWithin(task, v, inode, size, from * m.geometry.pageBytes);
  }
}

/** Zeroes what lies past the end in the last page, frees the blocks behind it, and ends the truncate. */
function* freePastEnd(task: Task, v: Vol, inode: number, size: number): Op<void> {
  const page = v.m.geometry.pageBytes;
  const from = Math.ceil(size / page);
  if (size % page !== 0) {
    yield* zeroWithin(task, v, inode, size, from * page);
    yield* writepages(task, v, inode, 'all', from - 1, from - 1);
  }
  const handle = yield* startHandle(task, v, FREE_CREDITS + 2);
  try {
    for (let at = yield* freeLocked(task, v, handle, inode, from); at >= 0; ) {
      yield* restartHandle(task, v, handle, FREE_CREDITS + 2);
      at = yield* freeLocked(task, v, handle, inode, at);
    }
    yield* endTruncate(task, v, handle, inode);
  } finally {
    yield* stopHandle(task, v, handle);
  }
}

/** Frees a part of what lies from block `from` on; returns where to go on, or -1. */
function* freeLocked(task: Task, v: Vol, handle: Handle, inode: number, from: number): Op<number> {
  yield* downWrite(task, v.m.iDataSem, inode);
  try {
    return yield* freeStep(task, v, handle, inode, from, LAST_PAGE);
  } finally {
    if (lab?.point()) yield STEP;
    upWrite(task, v.m.iDataSem, inode);
  }
}

/** Sets the size in memory and on disk in one handle. @param cuts are there blocks to free then? */
function* tellSize(task: Task, v: Vol, inode: number, size: number, cuts: boolean): Op<void> {
  const { m } = v;
  const handle = yield* startHandle(task, v, 3);
  try {
    yield* downWrite(task, m.iDataSem, inode);
    try {
      if (lab?.point()) yield STEP;
      storeLong(m.state.iSize, inode, size);
      if (isInline(v, inode)) {
        yield* storeInline(task, v, handle, inode, 0, new Uint8Array(0), size);
        return;
      }
      writePair(m.state.iPrivate, ip(inode, IP.diskSizeLow), size);
      yield* writeInode(task, v, handle, inode);
      if (cuts) yield* setOrphan(task, v, handle, read(m.state.ino, inode), true);
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, m.iDataSem, inode);
    }
  } finally {
    yield* stopHandle(task, v, handle);
  }
}

/** What stat(2) tells. */
export interface Stat {
  readonly ino: number;
  readonly mode: number;
  readonly nlink: number;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** Attributes of an inode. */
export function* stat(v: Vol, inode: number): Op<Stat> {
  const s = v.m.state;
  const at = ip(inode, IP.mtimeLow);
  if (lab?.point()) yield STEP;
  const sizeBytes = sizeOf(v, inode);
  return {
    ino: read(s.ino, inode),
    mode: read(s.iMode, inode),
    nlink: read(s.iNlink, inode),
    sizeBytes,
    mtimeMs: (read(s.iPrivate, at) >>> 0) + read(s.iPrivate, at + 1) * 2 ** 32,
  };
}
