// Finding pages of a file in the page cache, and bringing them in (Linux: mm/filemap.c).

import type { Machine } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { loadLong } from '../memory/long.js';
import { add, and, load, or, read, store, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { spinUnlock, takeSpinLock, waitSpinLock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { putFolio } from './alloc.js';
import { accountDirty } from './dirty.js';
import { getFolio, lockFolio, PG, unlockFolio } from './folio.js';
import { cacheDelete, cacheInsert, cacheLookup, giveNodes, nodesMissing } from './pagecache.js';
import { allocPageOrReclaim, takeNodesOrReclaim } from './reclaim.js';

/** The folio at `index` with a reference, or 0 if none is cached (filemap_get_folio). */
export function* findFolio(task: Task, m: Machine, inode: number, index: number): Op<number> {
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.iPages, inode)) yield* waitSpinLock(task, m.iPages, inode);
  const pfn = cacheLookup(m, inode, index);
  if (pfn !== 0) {
    if (lab?.point()) yield STEP;
    getFolio(m, pfn); // under i_pages a cached folio has the cache's reference
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  return pfn;
}

/**
 * The folio at `index`, locked and with a reference, added to the cache if it is not there (then
 * not uptodate).
 * @throws Errno ENOMEM
 */
export function* grabFolio(task: Task, m: Machine, inode: number, index: number): Op<number> {
  for (;;) {
    const found = yield* findFolio(task, m, inode, index);
    const pfn = found !== 0 ? found : yield* addFolio(task, m, inode, index);
    if (pfn === 0) continue; // somebody else added it first
    yield* lockFolio(task, m, pfn);
    if (lab?.point()) yield STEP;
    if (load(m.state.mapping, pfn) === inode + 1) return pfn;
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn); // truncated meanwhile
    yield* putFolio(task, m, pfn);
  }
}

/**
 * As grabFolio(), and filled from the file: uptodate.
 * @throws Errno ENOMEM, EIO
 */
export function* readFolio(task: Task, m: Machine, inode: number, index: number): Op<number> {
  const pfn = yield* grabFolio(task, m, inode, index);
  if (lab?.point()) yield STEP;
  if ((load(m.state.flags, pfn) & PG.uptodate) !== 0) return pfn;
  try {
    yield* m.fs.readFolio(task, inode, index, pfn);
  } catch (error) {
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
    yield* putFolio(task, m, pfn);
    throw error;
  }
  if (lab?.point()) yield STEP;
  or(m.state.flags, pfn, PG.uptodate);
  return pfn;
}

/** A store or load past the last page of a file is a SIGBUS. One step. */
export function checkSize(m: Machine, inode: number, index: number): void {
  const size = loadLong(m.state.iSize, inode);
  if (index * m.geometry.pageBytes >= size) {
    throw new Errno(
      'EIO',
      `page ${String(index)} lies past the end of a file of ${String(size)} bytes (SIGBUS)`,
    );
  }
}

/**
 * Takes a locked folio, not under writeback, out of its file (filemap_remove_folio), with the dirty
 * state that it may still have, and drops the cache's reference. The caller has one of its own.
 */
export function* removeFolio(task: Task, m: Machine, inode: number, pfn: number): Op<void> {
  const s = m.state;
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.iPages, inode)) yield* waitSpinLock(task, m.iPages, inode);
  const freed = cacheDelete(m, inode, read(s.index, pfn));
  if (lab?.point()) yield STEP;
  store(s.mapping, pfn, 0);
  if (lab?.point()) yield STEP;
  const before = and(s.flags, pfn, ~PG.dirty);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  if ((before & PG.dirty) !== 0) accountDirty(m, -1);
  Atomics.add(s.global, GLOBAL.nrFilePages, -1);
  yield* giveNodes(task, m, freed);
  yield* putFolio(task, m, pfn);
}

/**
 * Adds a new folio with the cache's reference and the caller's; 0 if `index` was taken.
 * @param locked it appears locked, for unlockNewFolio(): readahead holds many, which lockdep ignores
 */
export function* addFolio(
  task: Task,
  m: Machine,
  inode: number,
  index: number,
  locked = false,
): Op<number> {
  const s = m.state;
  const pfn = yield* allocPageOrReclaim(task, m, 'fs');
  write(s.index, pfn, index);
  if (lab?.point()) yield STEP;
  if (locked) or(s.flags, pfn, PG.locked);
  if (lab?.point()) yield STEP;
  add(s.refcount, pfn, 1);
  let spare = 0;
  let have = 0;
  for (;;) {
    if (lab?.point()) yield STEP;
    if (!takeSpinLock(task, m.iPages, inode)) yield* waitSpinLock(task, m.iPages, inode);
    const taken = cacheLookup(m, inode, index) !== 0;
    // Most insertions take no new node: what is missing is reserved without the lock, then looked at again.
    const missing = taken ? 0 : nodesMissing(m, inode, index);
    const inserts = !taken && missing <= have;
    if (inserts) {
      spare = cacheInsert(m, inode, index, pfn, spare);
      if (lab?.point()) yield STEP;
      store(s.mapping, pfn, inode + 1);
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, m.iPages, inode);
    yield* giveNodes(task, m, spare);
    if (inserts) break;
    if (taken) {
      yield* dropNewFolio(task, m, pfn);
      return 0;
    }
    try {
      spare = yield* takeNodesOrReclaim(task, m, missing);
    } catch (error) {
      yield* dropNewFolio(task, m, pfn);
      throw error;
    }
    have = missing;
  }
  Atomics.add(s.global, GLOBAL.nrFilePages, 1);
  return pfn;
}

/** Frees a folio that did not get into the cache; nobody else knows it. */
function* dropNewFolio(task: Task, m: Machine, pfn: number): Op<void> {
  if (lab?.point()) yield STEP;
  and(m.state.flags, pfn, ~PG.locked);
  yield* putFolio(task, m, pfn, 2);
}
