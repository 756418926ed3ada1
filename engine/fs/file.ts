// Buffered reading and writing of files by kernel.md 4.3 (Linux: mm/filemap.c), and fsync.

import { FLUSH } from '../block/request.js';
import { storeLong } from '../memory/long.js';
import { load, or } from '../memory/word.js';
import { putFolio } from '../mm/alloc.js';
import { balanceDirty } from '../mm/balance.js';
import { loadBytes, storeBytes, zeroTail } from '../mm/content.js';
import { markDirty } from '../mm/dirty.js';
import { findFolio, grabFolio, readFolio } from '../mm/filemap.js';
import { lockFolio, PG, unlockFolio, waitStable } from '../mm/folio.js';
import { replacePage } from '../mm/replace.js';
import { Errno } from '../sched/errors.js';
import { downRead, downWrite, upRead, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { makeSpace } from './alloc.js';
import { syncMetadata } from './buffer.js';
import { inodeName, ip, isInline, type Vol } from './core.js';
import { isType, sizeOf, touch } from './dinode.js';
import { type ErrorCursor, sampleErrors, takeError } from './errseq.js';
import { fillFolio, prepareWrite } from './folio-state.js';
import { convertInline, storeInline } from './inline.js';
import { flushInode } from './inode.js';
import {
  commitTransaction,
  committedTid,
  currentTid,
  startHandle,
  stopHandle,
  tidAtLeast,
} from './journal.js';
import { FILE_BYTES_MAX, INLINE_BYTES_MAX, IP, S_IF } from './layout.js';
import { readAhead } from './readahead.js';
import { zeroOldTail } from './tail.js';
import { writeAllPages } from './writepages.js';

/**
 * Reads bytes of a file through the page cache.
 * @returns bytes read: fewer than the target holds only at the end of the file
 * @throws Errno EISDIR, EINVAL, EIO, ENOMEM
 */
export function* readFile(
  task: Task,
  v: Vol,
  inode: number,
  offset: number,
  target: Uint8Array,
): Op<number> {
  const { m } = v;
  checkFile(v, inode);
  checkRange(offset, 0);
  const page = m.geometry.pageBytes;
  let done = 0;
  while (done < target.length) {
    if (lab?.point()) yield STEP;
    const size = sizeOf(v, inode);
    const at = offset + done;
    if (at >= size) break;
    const index = Math.floor(at / page);
    const length = Math.min(page - (at % page), target.length - done, size - at);
    const last = Math.floor((Math.min(size, offset + target.length) - 1) / page);
    const pfn = yield* cachedFolio(task, v, inode, index, last);
    yield* loadBytes(m, pfn, at % page, target.subarray(done, done + length));
    yield* putFolio(task, m, pfn);
    done += length;
  }
  return done;
}

/** The folio at `index`, uptodate, unlocked and with a reference; reads up to `last` if it has to read. */
function* cachedFolio(task: Task, v: Vol, inode: number, index: number, last: number): Op<number> {
  const { m } = v;
  const found = yield* findFolio(task, m, inode, index);
  if (found !== 0) {
    if (lab?.point()) yield STEP;
    if ((load(m.state.flags, found) & PG.uptodate) !== 0) return found;
    yield* putFolio(task, m, found);
  }
  // A fill excludes truncate and punch, which free the blocks (filemap_create_folio).
  yield* downRead(task, m.invalidateLock, inode);
  try {
    if (found === 0) yield* readAhead(task, v, inode, index, last);
    const pfn = yield* readFolio(task, m, inode, index);
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
    return pfn;
  } finally {
    if (lab?.point()) yield STEP;
    upRead(task, m.invalidateLock, inode);
  }
}

/**
 * Writes bytes to a file through the page cache.
 * @returns bytes written: fewer than asked if space ran out after the first page
 * @throws Errno ENOSPC, EFBIG, EISDIR, EINVAL, EIO, ENOMEM
 */
export function* writeFile(
  task: Task,
  v: Vol,
  inode: number,
  offset: number,
  data: Uint8Array,
): Op<number> {
  checkFile(v, inode);
  checkRange(offset, data.length);
  if (data.length === 0) return 0;
  yield* downWrite(task, v.m.iRwsem, inode);
  try {
    return yield* writeLocked(task, v, inode, offset, data);
  } finally {
    if (lab?.point()) yield STEP;
    upWrite(task, v.m.iRwsem, inode);
  }
}

/** As writeFile(), for a caller that holds i_rwsem alone. */
export function* writeLocked(
  task: Task,
  v: Vol,
  inode: number,
  offset: number,
  data: Uint8Array,
): Op<number> {
  yield* touch(v, inode);
  if (lab?.point()) yield STEP;
  if (isInline(v, inode)) {
    if (offset + data.length <= INLINE_BYTES_MAX) {
      if (yield* writeInline(task, v, inode, offset, data)) return data.length;
    } else {
      yield* makeSpace(task, v, 2);
      yield* convertInline(task, v, inode);
    }
  }
  if (lab?.point()) yield STEP;
  if (offset > sizeOf(v, inode)) yield* zeroOldTail(task, v, inode);
  const page = v.m.geometry.pageBytes;
  let done = 0;
  while (done < data.length) {
    const at = offset + done;
    const length = Math.min(page - (at % page), data.length - done);
    try {
      yield* writePage(task, v, inode, at, data.subarray(done, done + length));
    } catch (error) {
      if (done > 0 && error instanceof Errno && error.code === 'ENOSPC') return done;
      throw error;
    }
    done += length;
    yield* balanceDirty(task, v.m);
  }
  return done;
}

/** write_begin, copy, write_end for bytes within one page. */
function* writePage(task: Task, v: Vol, inode: number, at: number, data: Uint8Array): Op<void> {
  const { m } = v;
  const page = m.geometry.pageBytes;
  const index = Math.floor(at / page);
  const within = at % page;
  yield* makeSpace(task, v, 1);
  if (v.cow) yield* replacePage(task, m, inode, index);
  const pfn = yield* grabFolio(task, m, inode, index);
  try {
    if (lab?.point()) yield STEP;
    const uptodate = (load(m.state.flags, pfn) & PG.uptodate) !== 0;
    yield* waitStable(task, m, pfn);
    if (!uptodate && data.length < page) {
      if (lab?.point()) yield STEP;
      if (index * page >= sizeOf(v, inode)) yield* zeroTail(m, pfn, 0);
      else yield* fillFolio(task, v, inode, index, pfn);
    }
    yield* prepareWrite(task, v, inode, index, pfn);
    yield* storeBytes(m, pfn, within, data);
    if (lab?.point()) yield STEP;
    if (!uptodate) or(m.state.flags, pfn, PG.uptodate);
    if (lab?.point()) yield STEP;
    if (at + data.length > sizeOf(v, inode)) storeLong(m.state.iSize, inode, at + data.length);
    yield* markDirty(task, m, pfn);
  } finally {
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
    yield* putFolio(task, m, pfn);
  }
}

/** Writes bytes that fit into the inode; false if the file was converted meanwhile. */
function* writeInline(
  task: Task,
  v: Vol,
  inode: number,
  offset: number,
  data: Uint8Array,
): Op<boolean> {
  const { m } = v;
  const handle = yield* startHandle(task, v, 2);
  try {
    yield* downWrite(task, m.iDataSem, inode);
    try {
      if (!isInline(v, inode)) return false;
      const size = Math.max(sizeOf(v, inode), offset + data.length);
      storeLong(m.state.iSize, inode, size);
      yield* storeInline(task, v, handle, inode, offset, data, size);
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, m.iDataSem, inode);
    }
  } finally {
    yield* stopHandle(task, v, handle);
  }
  // The page, if it is cached, follows; a fill after the handle sees the new bytes.
  const pfn = yield* findFolio(task, m, inode, 0);
  if (pfn === 0) return true;
  yield* lockFolio(task, m, pfn);
  if (lab?.point()) yield STEP;
  if (load(m.state.mapping, pfn) === inode + 1) yield* storeBytes(m, pfn, offset, data);
  if (lab?.point()) yield STEP;
  unlockFolio(task, m, pfn);
  yield* putFolio(task, m, pfn);
  return true;
}

/**
 * Makes a file's data and metadata durable.
 * @param opened the open file that asks; without one, errors count that nobody has heard of
 * @throws Errno EIO, ENOSPC: also for an earlier failure of background writeback, once per open file
 */
export function* fsync(task: Task, v: Vol, inode: number, opened?: ErrorCursor): Op<void> {
  const cursor = opened ?? { errorSeen: yield* sampleErrors(v, inode) };
  let failure: Errno | null = null;
  try {
    yield* writeAllPages(task, v, inode);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    failure = error;
  }
  yield* flushInode(task, v, inode);
  if (lab?.point()) yield STEP;
  const tid = load(v.m.state.iPrivate, ip(inode, IP.tid));
  if (lab?.point()) yield STEP;
  yield* commitUpTo(task, v, tid, load(v.m.state.iPrivate, ip(inode, IP.tidKnown)) === 1);
  const earlier = yield* takeError(v, inode, cursor);
  if (failure !== null) throw failure;
  if (earlier !== null) throw earlier;
}

/**
 * Makes all that transaction `tid` changed durable, and all data written so far.
 * @param changed does the transaction surely change something, so that its commit flushes the device?
 */
export function* commitUpTo(task: Task, v: Vol, tid: number, changed: boolean): Op<void> {
  if (!v.journal) {
    yield* syncMetadata(task, v);
    return;
  }
  if (lab?.point()) yield STEP;
  const durable = tidAtLeast(committedTid(v), tid);
  if (lab?.point()) yield STEP;
  const flushes = changed && !durable && tid === currentTid(v);
  if (!durable) yield* commitTransaction(task, v, tid);
  // A commit that began before our data were written may not have flushed them.
  if (!flushes) yield* v.queue.transfer(task, FLUSH);
}

export function checkFile(v: Vol, inode: number): void {
  if (isType(v, inode, S_IF.file)) return;
  const code = isType(v, inode, S_IF.dir) ? 'EISDIR' : 'EINVAL';
  throw new Errno(code, `${inodeName(v.m, inode)} is not a regular file`);
}

/** @throws Errno EINVAL, EFBIG */
export function checkRange(offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0)
    throw new Errno('EINVAL', `offset ${String(offset)}: 0 to ${String(FILE_BYTES_MAX)}`);
  if (offset + length > FILE_BYTES_MAX)
    throw new Errno('EFBIG', `a file has at most ${String(FILE_BYTES_MAX)} B`);
}
