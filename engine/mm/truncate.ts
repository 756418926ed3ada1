// Taking pages of a file out of the page cache: truncate and punch, unmapping of a range, and
// invalidation for direct I/O (Linux: mm/truncate.c, mm/memory.c; order of steps: kernel.md 4.9).
//
// Ranges of pages are closed: [fromIndex, toIndex], up to PAGE_INDEX_MAX. All of it costs by what is cached and mapped,
// not by how long the range is. Zeroing part of a page is the business of the file system.

import type { Machine } from '../machine.js';
import { load, read } from '../memory/word.js';
import { downRead, spinLock, spinUnlock, upRead } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { putFolio } from './alloc.js';
import { cancelDirty } from './dirty.js';
import { removeFolio } from './filemap.js';
import { getFolio, lockFolio, maybePinned, PG, unlockFolio, waitOnWriteback } from './folio.js';
import { cacheLookup, nextCached } from './pagecache.js';
import { unmapFolio, zapRange } from './rmap.js';

/**
 * Takes all pages of the range out of the file (truncate_inode_pages_range): waits for their
 * writeback, unmaps them, drops their buffers and dirty state. A pinned folio survives detached;
 * its device goes on writing to it harmlessly. The caller holds invalidate_lock exclusively and has
 * set i_size.
 */
export function* truncatePages(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<void> {
  const s = m.state;
  let index = fromIndex;
  for (;;) {
    const pfn = yield* nextFolio(task, m, inode, index, toIndex);
    if (pfn === 0) return;
    yield* lockFolio(task, m, pfn);
    if (lab?.point()) yield STEP;
    const owned = load(s.mapping, pfn) === inode + 1;
    if (owned) {
      index = read(s.index, pfn);
      yield* waitOnWriteback(task, m, pfn);
      yield* truncateFolio(task, m, inode, pfn);
    }
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
    yield* putFolio(task, m, pfn);
    if (owned && index++ >= toIndex) return;
  }
}

/**
 * Takes one locked folio, not under writeback, out of its file (truncate_inode_folio). The caller
 * has a reference of its own.
 */
export function* truncateFolio(task: Task, m: Machine, inode: number, pfn: number): Op<void> {
  yield* unmapFolio(task, m, inode, pfn);
  if (lab?.point()) yield STEP;
  if ((load(m.state.flags, pfn) & PG.private) !== 0) yield* m.fs.invalidateFolio(task, inode, pfn);
  yield* cancelDirty(task, m, inode, pfn);
  yield* removeFolio(task, m, inode, pfn);
}

/**
 * Takes away all page-table entries that map pages of the range, in whatever address space
 * (unmap_mapping_range). Dirty ones dirty their folios.
 */
export function* unmapRange(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<void> {
  const s = m.state;
  yield* downRead(task, m.iMmapRwsem, inode);
  for (let vma = read(s.iMmap, inode); vma !== 0; vma = read(s.vmaNextInFile, vma - 1)) {
    const pgoff = read(s.vmaPgoff, vma - 1);
    const from = Math.max(fromIndex, pgoff);
    const to = Math.min(toIndex, pgoff + read(s.vmaPages, vma - 1) - 1);
    if (from > to) continue;
    const vpn = read(s.vmaStart, vma - 1) + from - pgoff;
    yield* zapRange(task, m, read(s.vmaMm, vma - 1) - 1, vpn, to - from + 1);
  }
  if (lab?.point()) yield STEP;
  upRead(task, m.iMmapRwsem, inode);
}

/**
 * Takes the clean pages of the range out of the cache, so that direct I/O and later reads see the
 * same data (invalidate_inode_pages2_range): waits for their writeback and unmaps them. Plain
 * references don't save a page (invalidate_complete_folio2 ignores them).
 * @returns how many pages had to stay: dirty again, their buffers in use, or pinned where the rules
 *   in force keep such pages; the caller falls back to buffered I/O
 */
export function* invalidateRange(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<number> {
  const s = m.state;
  let stayed = 0;
  let index = fromIndex;
  for (;;) {
    const pfn = yield* nextFolio(task, m, inode, index, toIndex);
    if (pfn === 0) return stayed;
    yield* lockFolio(task, m, pfn);
    if (lab?.point()) yield STEP;
    const owned = load(s.mapping, pfn) === inode + 1;
    if (owned) {
      index = read(s.index, pfn);
      yield* waitOnWriteback(task, m, pfn);
      yield* unmapFolio(task, m, inode, pfn);
      if (!(yield* invalidateOne(task, m, inode, pfn))) stayed++;
    }
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
    yield* putFolio(task, m, pfn);
    if (owned && index++ >= toIndex) return stayed;
  }
}

/** Takes a locked, unmapped folio out of its file if it is clean and its buffers let go of it. */
function* invalidateOne(task: Task, m: Machine, inode: number, pfn: number): Op<boolean> {
  const { flags } = m.state;
  if (!m.profile.invalidatesPinned) {
    if (lab?.point()) yield STEP;
    if (maybePinned(m, pfn)) return false;
  }
  if (lab?.point()) yield STEP;
  const before = load(flags, pfn);
  if ((before & PG.dirty) !== 0) return false;
  if ((before & PG.private) !== 0 && !(yield* m.fs.releaseFolio(task, inode, pfn))) return false;
  if (lab?.point()) yield STEP;
  if ((load(flags, pfn) & PG.dirty) !== 0) return false;
  yield* removeFolio(task, m, inode, pfn);
  return true;
}

/** The first folio cached at or after `index`, with a reference, or 0. */
export function* nextFolio(
  task: Task,
  m: Machine,
  inode: number,
  index: number,
  toIndex: number,
): Op<number> {
  yield* spinLock(task, m.iPages, inode);
  const found = nextCached(m, inode, index, toIndex);
  const pfn = found < 0 ? 0 : cacheLookup(m, inode, found);
  if (pfn !== 0) {
    if (lab?.point()) yield STEP;
    getFolio(m, pfn);
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  return pfn;
}
