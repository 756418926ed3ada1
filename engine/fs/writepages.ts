// writepages: dirty pages of a file to its blocks, in the order of kernel.md 4.4. The pages of a
// request are under writeback until their blocks are entered into the file (written.ts).

import type { Machine } from '../machine.js';
import { exchange } from '../memory/word.js';
import type { SyncMode } from '../mm/address-space.js';
import { putFolio } from '../mm/alloc.js';
import { getFolio, waitOnWriteback } from '../mm/folio.js';
import { cacheLookup, clearMark, MARK, type Mark, nextMarked, setMark } from '../mm/pagecache.js';
import { prepareWriteback, type ReadyFolio } from '../mm/writeback.js';
import { Errno } from '../sched/errors.js';
import { spinLock, spinUnlock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { ip, type Vol } from './core.js';
import { IP } from './layout.js';
import { Writer } from './writer.js';

/** Marks looked at under one hold of i_pages. */
const RETAG_BATCH = 4096;

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
  const mark: Mark = mode === 'all' ? MARK.towrite : MARK.dirty;
  if (mode === 'all') yield* tagForWriteback(task, m, inode, fromIndex, toIndex);
  try {
    for (let index = fromIndex; index <= toIndex; ) {
      const found = yield* nextMarkedFolio(task, m, inode, index, toIndex, mark);
      if (found === null) break;
      index = found.index + 1;
      if (yield* prepareWriteback(task, m, inode, found.pfn, mode, ready)) {
        yield* writer.add(task, found.pfn, found.index, ready.frame);
      } else {
        yield* putFolio(task, m, found.pfn);
      }
    }
  } catch (error) {
    if (error instanceof Errno) yield* writer.finish(task);
    throw error;
  }
  yield* writer.finish(task);
  if (mode === 'all') yield* waitForOthers(task, m, inode, fromIndex, toIndex);
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

interface Found {
  readonly pfn: number;
  readonly index: number;
}

/** The next folio with the mark, with a reference; its TOWRITE mark is taken off. */
function* nextMarkedFolio(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
  mark: Mark,
): Op<Found | null> {
  yield* spinLock(task, m.iPages, inode);
  const index = nextMarked(m, inode, fromIndex, toIndex, mark);
  const pfn = index < 0 ? 0 : cacheLookup(m, inode, index);
  if (pfn !== 0) {
    if (lab?.point()) yield STEP;
    getFolio(m, pfn);
    if (mark === MARK.towrite) clearMark(m, inode, index, MARK.towrite);
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  return pfn === 0 ? null : { pfn, index };
}

/** Waits for pages of the range that somebody else is writing (filemap_fdatawait). */
function* waitForOthers(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<void> {
  for (let index = fromIndex; index <= toIndex; ) {
    const found = yield* nextMarkedFolio(task, m, inode, index, toIndex, MARK.writeback);
    if (found === null) return;
    yield* waitOnWriteback(task, m, found.pfn);
    yield* putFolio(task, m, found.pfn);
    index = found.index + 1;
  }
}

/** The error of a failed writeback, once: 0, or Linux's errno. */
export function* takeError(v: Vol, inode: number): Op<number> {
  if (lab?.point()) yield STEP;
  return exchange(v.m.state.iPrivate, ip(inode, IP.error), 0);
}
