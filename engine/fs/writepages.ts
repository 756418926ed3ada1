// writepages: dirty pages of a file to its blocks, in the order of kernel.md 4.4. The pages of a
// request are under writeback until their blocks are entered into the file (written.ts).

import type { Machine } from '../machine.js';
import type { SyncMode } from '../mm/address-space.js';
import { putFolio } from '../mm/alloc.js';
import { getFolio, waitOnWriteback } from '../mm/folio.js';
import { cacheLookup, clearMark, MARK, type Mark, nextMarked, setMark } from '../mm/pagecache.js';
import { copyBack } from '../mm/private-copy.js';
import { isMemoryShort } from '../mm/reclaim.js';
import { prepareWriteback, type ReadyFolio } from '../mm/writeback.js';
import { Errno } from '../sched/errors.js';
import { spinLock, spinUnlock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import type { Vol } from './core.js';
import { LAST_PAGE } from './layout.js';
import { Writer } from './writer.js';

/** Marks looked at under one hold of i_pages. */
const RETAG_BATCH = 4096;

/** What fsync and sync write of a file: all its dirty pages, and what private copies hold. @throws Errno as writepages() */
export function* writeAllPages(task: Task, v: Vol, inode: number): Op<void> {
  if (v.m.profile.longtermFilePin === 'private-copy') {
    yield* copyBack(task, v.m, inode, 0, LAST_PAGE);
  }
  yield* writepages(task, v, inode, 'all', 0, LAST_PAGE);
}

/** As FileSystem.writepages. @throws Errno EIO, ENOSPC, which the next fsync reports too */
export function* writepages(
  task: Task,
  v: Vol,
  inode: number,
  mode: SyncMode,
  fromIndex: number,
  toIndex: number,
): Op<number> {
  const { m } = v;
  const writer = new Writer(v, inode);
  const ready: ReadyFolio = { frame: 0, pinned: false };
  const found: Found = { pfns: new Int32Array(GATHER), indices: new Int32Array(GATHER) };
  const mark: Mark = mode === 'all' ? MARK.towrite : MARK.dirty;
  if (mode === 'all') yield* tagForWriteback(task, m, inode, fromIndex, toIndex);
  let count = 0;
  let next = 0;
  try {
    for (let index = fromIndex; index <= toIndex; ) {
      next = 0;
      count = yield* gather(task, m, inode, index, toIndex, mark, found);
      if (count === 0) break;
      index = found.indices[count - 1] + 1;
      while (next < count) {
        const i = next++;
        const pfn = found.pfns[i];
        if (writer.bounced > 0 && isMemoryShort(m)) yield* writer.drain(task);
        if (yield* prepareWriteback(task, m, inode, pfn, mode, ready)) {
          yield* writer.add(task, pfn, found.indices[i], ready.frame);
        } else {
          yield* putFolio(task, m, pfn);
        }
      }
    }
  } catch (error) {
    if (error instanceof Errno) {
      while (next < count) yield* putFolio(task, m, found.pfns[next++]);
      yield* writer.finish(task);
    }
    throw error;
  }
  yield* writer.finish(task);
  if (mode === 'all') yield* waitForOthers(task, m, inode, fromIndex, toIndex, found);
  if (writer.error !== null) throw writer.error;
  return writer.written;
}

/** DIRTY marks of the range become TOWRITE marks too, so that later dirtying does not prolong the walk. */
function* tagForWriteback(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<void> {
  for (let index = fromIndex; index >= 0 && index <= toIndex; ) {
    yield* spinLock(task, m.iPages, inode);
    for (let i = 0; i < RETAG_BATCH; i++) {
      index = nextMarked(m, inode, index, toIndex, MARK.dirty);
      if (index < 0) break;
      setMark(m, inode, index, MARK.towrite);
      index++;
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, m.iPages, inode);
  }
}

/** Folios looked up under one hold of i_pages. */
const GATHER = 32;

interface Found {
  readonly pfns: Int32Array;
  readonly indices: Int32Array;
}

/** The next folios with the mark, with references; their TOWRITE marks are taken off. Returns how many. */
function* gather(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
  mark: Mark,
  found: Found,
): Op<number> {
  let count = 0;
  yield* spinLock(task, m.iPages, inode);
  for (let index = fromIndex; count < GATHER; index++) {
    index = nextMarked(m, inode, index, toIndex, mark);
    if (index < 0) break;
    const pfn = cacheLookup(m, inode, index);
    if (lab?.point()) yield STEP;
    getFolio(m, pfn);
    if (mark === MARK.towrite) clearMark(m, inode, index, MARK.towrite);
    found.pfns[count] = pfn;
    found.indices[count++] = index;
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  return count;
}

/** Waits for pages of the range that somebody else is writing (filemap_fdatawait). */
function* waitForOthers(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
  found: Found,
): Op<void> {
  for (let index = fromIndex; index <= toIndex; ) {
    const count = yield* gather(task, m, inode, index, toIndex, MARK.writeback, found);
    if (count === 0) return;
    index = found.indices[count - 1] + 1;
    for (let i = 0; i < count; i++) {
      yield* waitOnWriteback(task, m, found.pfns[i]);
      yield* putFolio(task, m, found.pfns[i]);
    }
  }
}
