// Bytes of the last page behind the end of a file: they must be zeroes before the file grows over them.

import { load, read, write } from '../memory/word.js';
import { putFolio } from '../mm/alloc.js';
import { storeBytes, zeroTail } from '../mm/content.js';
import { markDirty } from '../mm/dirty.js';
import { findFolio, readFolio } from '../mm/filemap.js';
import { lockFolio, unlockFolio, waitStable } from '../mm/folio.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { ip, isInline, type Vol } from './core.js';
import { sizeOf } from './dinode.js';
import { mapBlock, prepareWrite } from './folio-state.js';
import { IP } from './layout.js';
import { writepages } from './writepages.js';

/**
 * Before a file grows: zeroes the rest of its last page. A mapping may have stored there; writeback
 * does not write that. And a block may hold what an append wrote before a power cut, if the size that
 * covered it was lost: it goes to disk as zeroes first, once for each time that the inode is read in.
 * The caller holds i_rwsem alone.
 */
export function* zeroOldTail(task: Task, v: Vol, inode: number): Op<void> {
  const page = v.m.geometry.pageBytes;
  if (lab?.point()) yield STEP;
  const size = sizeOf(v, inode);
  if (size % page === 0) return;
  const index = Math.floor(size / page);
  const known = read(v.m.state.iPrivate, ip(inode, IP.tailKnown)) === 1;
  if (known || isInline(v, inode)) {
    yield* zeroCached(task, v, inode, index, size % page);
    return;
  }
  yield* zeroWithin(task, v, inode, size, (index + 1) * page);
  yield* writepages(task, v, inode, 'all', index, index);
  write(v.m.state.iPrivate, ip(inode, IP.tailKnown), 1);
}

/** Zeroes the end of a page if it is cached; nothing of that needs to be written. */
function* zeroCached(task: Task, v: Vol, inode: number, index: number, from: number): Op<void> {
  const { m } = v;
  const pfn = yield* findFolio(task, m, inode, index);
  if (pfn === 0) return;
  yield* lockFolio(task, m, pfn);
  yield* waitStable(task, m, pfn);
  if (lab?.point()) yield STEP;
  if (load(m.state.mapping, pfn) === inode + 1) yield* zeroTail(m, pfn, from);
  if (lab?.point()) yield STEP;
  unlockFolio(task, m, pfn);
  yield* putFolio(task, m, pfn);
}

/** Zeroes bytes [from, to) within one page, through the cache; a hole stays one. */
export function* zeroWithin(task: Task, v: Vol, inode: number, from: number, to: number): Op<void> {
  const { m } = v;
  const page = m.geometry.pageBytes;
  const index = Math.floor(from / page);
  const cached = yield* findFolio(task, m, inode, index);
  if (cached !== 0) yield* putFolio(task, m, cached);
  else if (isInline(v, inode)) return;
  else if ((yield* mapBlock(task, v, inode, index)).phys === 0) return;
  const pfn = yield* readFolio(task, m, inode, index);
  try {
    yield* waitStable(task, m, pfn);
    if (!isInline(v, inode)) yield* prepareWrite(task, v, inode, index, pfn);
    yield* storeBytes(m, pfn, from % page, new Uint8Array(to - from));
    if (!isInline(v, inode)) yield* markDirty(task, m, pfn);
  } finally {
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
    yield* putFolio(task, m, pfn);
  }
}
