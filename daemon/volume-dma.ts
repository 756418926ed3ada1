// What a device does with a file in one transfer, through pins that it holds only for that; and where a file has holes.

import { deviceLoad, deviceStore } from '../engine/dma/device.js';
import { dropPages, holdPages } from '../engine/dma/hold.js';
import { isInline } from '../engine/fs/core.js';
import { sizeOf } from '../engine/fs/dinode.js';
import { mapBlock } from '../engine/fs/folio-state.js';
import { readAhead } from '../engine/fs/readahead.js';
import type { Volume } from '../engine/fs/volume.js';
import type { Machine } from '../engine/machine.js';
import { load, read } from '../engine/memory/word.js';
import { faultIn } from '../engine/mm/access.js';
import { putFolio } from '../engine/mm/alloc.js';
import { findFolio } from '../engine/mm/filemap.js';
import { PG } from '../engine/mm/folio.js';
import { FOLL, holdsLocks } from '../engine/mm/gup.js';
import { PTE, pteIndex } from '../engine/mm/pte.js';
import { nextFolio } from '../engine/mm/truncate.js';
import { Errno } from '../engine/sched/errors.js';
import { downRead, upRead } from '../engine/sched/lock.js';
import type { Op, Task } from '../engine/sched/op.js';
import type { FileExtent } from './machine-service.js';

/** Pages that one transfer pins at a time: other requests, and a machine with little memory, need some, too. */
export const TRANSFER_PINS_MAX = 16;
/** Cached pages that one look for holes goes through. */
const LOOKS_MAX = 4096;

/** A page in the cache that is one of these may hold what its block does not, or have none yet (delayed allocation). */
const WRITTEN = PG.dirty | PG.writeback | PG.private;

/**
 * Moves bytes between `bytes` and the pages mapped from `vpn` on, by DMA: pins some pages (in old kernels: gets them)
 * as direct I/O does, with FOLL_WRITE where the device stores, lets the device copy asking nobody, and gives them back,
 * dirty where it stored.
 * @param within where the transfer begins, in bytes from the start of page `vpn`
 * @throws Errno EIO (past the end of the file, or the disk's), ENOSPC, EFAULT, ENOMEM; what lies before is transferred
 */
export function* transfer(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  within: number,
  bytes: Uint8Array,
  direction: 'load' | 'store',
): Op<void> {
  const { pageBytes } = m.geometry;
  const reference = m.profile.directIoReference;
  const stores = direction === 'store';
  const flags = stores ? FOLL.write : 0;
  const pages = Math.ceil(((within % pageBytes) + bytes.byteLength) / pageBytes);
  const locks = holdsLocks(m, flags);
  const pfns = new Int32Array(locks ? 1 : Math.min(TRANSFER_PINS_MAX, pages));
  for (let done = 0; done < bytes.byteLength; ) {
    const start = (within + done) % pageBytes;
    const first = vpn + Math.floor((within + done) / pageBytes);
    const left = bytes.byteLength - done;
    const wanted = Math.min(pfns.length, Math.ceil((start + left) / pageBytes));
    // Rules that keep pinned pages locked (P2, P11): a fault while the lock is held could wait for the flusher, which
    // would wait for the lock. So it is taken before, and pages are held one by one.
    if (locks) yield* faultIn(task, m, mm, first, true);
    const held = yield* holdPages(task, m, mm, first, wanted, flags, reference, pfns);
    const length = Math.min(left, held * pageBytes - start);
    const part = bytes.subarray(done, done + length);
    try {
      if (stores) yield* deviceStore(m, pfns, held, start, part);
      else yield* deviceLoad(m, pfns, held, start, part);
    } finally {
      yield* dropPages(task, m, pfns, held, reference, stores, flags);
    }
    done += length;
  }
}

/**
 * Reads pages of a file that are neither mapped nor cached with few large requests, since each would take a fault and a
 * request of its own otherwise (do_sync_mmap_readahead). Errors are left to the faults.
 * @param vpn where page `index` of the file is mapped
 */
export function* readMapped(
  task: Task,
  v: Volume,
  inode: number,
  mm: number,
  vpn: number,
  index: number,
  count: number,
): Op<void> {
  const { m } = v;
  for (let i = 0; i + 1 < count; i++) {
    if ((load(m.state.pte, pteIndex(m, mm, vpn + i)) & PTE.present) !== 0) continue;
    const cached = yield* findFolio(task, m, inode, index + i);
    if (cached !== 0) {
      yield* putFolio(task, m, cached);
      continue;
    }
    yield* downRead(task, m.invalidateLock, inode);
    try {
      yield* readAhead(task, v, inode, index + i, index + count - 1);
    } finally {
      upRead(task, m.invalidateLock, inode);
    }
  }
}

/** @throws Errno EIO if the file ends before `end`: whoever was told its size has to hear that */
export function checkReaches(v: Volume, inode: number, end: number): void {
  const size = sizeOf(v, inode);
  if (size >= end) return;
  throw new Errno(
    'EIO',
    `the file has been cut to ${size} bytes, and the request goes to ${end}: give it its size again`,
  );
}

/**
 * Data and holes of a file from an offset on, in turns, at least one; they may end before the range does, and the last one
 * may go on behind it. A page that was written but has no block yet is data.
 * @throws Errno EIO (also if the file has been cut below the range), EUCLEAN
 */
export function* fileExtents(
  task: Task,
  v: Volume,
  inode: number,
  offset: number,
  lengthBytes: number,
  max: number,
): Op<FileExtent[]> {
  const { pageBytes } = v.m.geometry;
  const found: { lengthBytes: number; data: boolean }[] = [];
  const last = Math.ceil((offset + lengthBytes) / pageBytes) - 1;
  const looks = { left: LOOKS_MAX };
  for (let index = Math.floor(offset / pageBytes); index <= last && looks.left > 0; ) {
    const { data, pages } = yield* runAt(task, v, inode, index, last, looks);
    const bytes = (index + pages) * pageBytes - Math.max(offset, index * pageBytes);
    const before = found.at(-1);
    if (before?.data === data) before.lengthBytes += bytes;
    else if (found.length === max) break;
    else found.push({ lengthBytes: bytes, data });
    index += pages;
  }
  checkReaches(v, inode, offset + lengthBytes);
  return found;
}

/** Pages from `index` on that are alike. What was not looked at is taken for data. */
function* runAt(
  task: Task,
  v: Volume,
  inode: number,
  index: number,
  last: number,
  looks: { left: number },
): Op<{ data: boolean; pages: number }> {
  const rest = last - index + 1;
  if (isInline(v, inode)) return { data: true, pages: rest };
  looks.left--;
  const before = yield* mapBlock(task, v, inode, index);
  if (before.phys !== 0) return { data: true, pages: Math.min(before.length, rest) };
  const end = Math.min(index + before.length, last + 1);
  const written = yield* nextWritten(task, v, inode, index, end, looks);
  if (written === index) return { data: true, pages: 1 };
  // What was dirty when it was looked up as a hole may have got its block, and have left the cache, since.
  const after = yield* mapBlock(task, v, inode, index);
  return { data: after.phys !== 0, pages: Math.min(after.length, written - index) };
}

/** The first page of [index, end) that may hold what was written and has no block yet; `end` if there is none. */
function* nextWritten(
  task: Task,
  v: Volume,
  inode: number,
  index: number,
  end: number,
  looks: { left: number },
): Op<number> {
  const { m } = v;
  let at = index;
  for (; at < end && looks.left > 0; looks.left--) {
    const pfn = yield* nextFolio(task, m, inode, at, end - 1);
    if (pfn === 0) return end;
    // Taken out of the file since, it may have any index by now.
    const found = Math.min(Math.max(at, read(m.state.index, pfn)), end - 1);
    const written = (load(m.state.flags, pfn) & WRITTEN) !== 0;
    yield* putFolio(task, m, pfn);
    if (written) return found;
    at = found + 1;
  }
  return looks.left > 0 ? end : at;
}
