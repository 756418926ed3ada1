// Direct I/O: whole pages between a file's blocks and frames of the caller, past the page cache
// (kernel.md 4.8; Linux: mm/filemap.c, generic_file_direct_write).

import { storeLong } from '../memory/long.js';
import { loadBytes, zeroTail } from '../mm/content.js';
import { invalidateRange } from '../mm/truncate.js';
import { Errno } from '../sched/errors.js';
import { downRead, downWrite, upRead, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { makeSpace } from './alloc.js';
import { isInline, type Vol } from './core.js';
import { sizeOf, touch } from './dinode.js';
import { checkFile, checkRange, writeLocked } from './file.js';
import { mapBlock, verifyChecksum } from './folio-state.js';
import { convertInline, readInline } from './inline.js';
import { zeroOldTail } from './tail.js';
import { writepages } from './writepages.js';
import { Writer } from './writer.js';

/**
 * Fills frames from `offset` on, zeroes past the end of the file.
 * @param offset a whole number of pages
 * @throws Errno EINVAL, EIO (also a wrong checksum)
 */
export function* directRead(
  task: Task,
  v: Vol,
  inode: number,
  offset: number,
  pfns: Int32Array,
  count: number,
): Op<void> {
  const first = firstPage(v, inode, offset, count);
  if (count === 0) return;
  yield* downRead(task, v.m.iRwsem, inode);
  try {
    yield* writepages(task, v, inode, 'all', first, first + count - 1);
    for (let done = 0; done < count; ) {
      done += yield* readRun(task, v, inode, first + done, pfns.subarray(done, count));
    }
  } finally {
    if (lab?.point()) yield STEP;
    upRead(task, v.m.iRwsem, inode);
  }
}

/** Fills the first of `pfns` from one run of blocks, or a hole; returns how many. */
function* readRun(task: Task, v: Vol, inode: number, index: number, pfns: Int32Array): Op<number> {
  if (lab?.point()) yield STEP;
  if (isInline(v, inode) && (yield* readInline(task, v, inode, index, pfns[0]))) return 1;
  const { phys, length } = yield* mapBlock(task, v, inode, index);
  const count = Math.min(length, pfns.length, 256);
  if (phys === 0) {
    for (let i = 0; i < count; i++) yield* zeroTail(v.m, pfns[i], 0);
    return count;
  }
  yield* v.queue.transfer(task, { op: 'read', block: phys, frames: pfns, count, fua: false });
  for (let i = 0; v.checksums && i < count; i++) {
    yield* verifyChecksum(task, v, inode, index + i, phys + i, pfns[i]);
  }
  return count;
}

/**
 * Writes frames to the file from `offset` on, invalidating the cached pages of the range before and
 * after; pages that must stay in the cache (dirty again, or pinned) are written through it.
 * @param offset a whole number of pages
 * @throws Errno EINVAL, ENOSPC, EFBIG, EIO
 */
export function* directWrite(
  task: Task,
  v: Vol,
  inode: number,
  offset: number,
  pfns: Int32Array,
  count: number,
): Op<void> {
  const { m } = v;
  const first = firstPage(v, inode, offset, count);
  if (count === 0) return;
  const last = first + count - 1;
  yield* makeSpace(task, v, count);
  yield* downWrite(task, m.iRwsem, inode);
  try {
    yield* touch(v, inode);
    yield* convertInline(task, v, inode);
    yield* writepages(task, v, inode, 'all', first, last);
    if ((yield* invalidateRange(task, m, inode, first, last)) > 0) {
      yield* writeThroughCache(task, v, inode, first, pfns, count);
      return;
    }
    const end = (last + 1) * m.geometry.pageBytes;
    if (lab?.point()) yield STEP;
    if (end > sizeOf(v, inode)) {
      yield* zeroOldTail(task, v, inode);
      if (lab?.point()) yield STEP;
      storeLong(m.state.iSize, inode, end);
    }
    yield* writeFrames(task, v, inode, first, pfns, count);
    yield* invalidateRange(task, m, inode, first, last);
  } finally {
    if (lab?.point()) yield STEP;
    upWrite(task, m.iRwsem, inode);
  }
}

function* writeFrames(
  task: Task,
  v: Vol,
  inode: number,
  first: number,
  pfns: Int32Array,
  count: number,
): Op<void> {
  const writer = new Writer(v, inode);
  try {
    for (let i = 0; i < count; i++) yield* writer.addFrame(task, first + i, pfns[i]);
  } finally {
    yield* writer.finish(task);
  }
  if (writer.error !== null) throw writer.error;
}

function* writeThroughCache(
  task: Task,
  v: Vol,
  inode: number,
  first: number,
  pfns: Int32Array,
  count: number,
): Op<void> {
  const page = v.m.geometry.pageBytes;
  const bytes = new Uint8Array(page);
  for (let i = 0; i < count; i++) {
    yield* loadBytes(v.m, pfns[i], 0, bytes);
    yield* writeLocked(task, v, inode, (first + i) * page, bytes);
  }
  yield* writepages(task, v, inode, 'all', first, first + count - 1);
}

function firstPage(v: Vol, inode: number, offset: number, count: number): number {
  const page = v.m.geometry.pageBytes;
  checkFile(v, inode);
  checkRange(offset, count * page);
  if (offset % page !== 0) {
    throw new Errno('EINVAL', `direct I/O at ${String(offset)}: a multiple of ${String(page)}`);
  }
  return offset / page;
}
