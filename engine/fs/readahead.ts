// Reading runs of pages that are not cached with one request each (Linux: mm/readahead.c, with the
// window being what the caller is going to read).

import { or } from '../memory/word.js';
import { putFolio } from '../mm/alloc.js';
import { checksumFrame, zeroTail } from '../mm/content.js';
import { addFolio } from '../mm/filemap.js';
import { PG, unlockNewFolio } from '../mm/folio.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { loadChecksum } from './checksums.js';
import type { Vol } from './core.js';
import { sizeOf } from './dinode.js';
import { mapBlock } from './folio-state.js';

/** Pages read at once. */
const WINDOW = 64;

/**
 * Fills pages from `index` to at most `last` that are not cached and lie in one run of blocks.
 * Errors are left to who reads the pages one by one. The caller holds invalidate_lock shared.
 */
export function* readAhead(
  task: Task,
  v: Vol,
  inode: number,
  index: number,
  last: number,
): Op<void> {
  if (last <= index) return;
  const { phys, length } = yield* mapBlock(task, v, inode, index);
  if (phys === 0) return;
  const most = Math.min(WINDOW, length, last - index + 1);
  const frames = new Int32Array(most);
  const count = yield* addFolios(task, v, inode, index, frames);
  if (count === 0) return;
  let good = false;
  try {
    yield* v.queue.transfer(task, { op: 'read', block: phys, frames, count, fua: false });
    good = true;
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
  for (let i = 0; i < count; i++) {
    yield* finishFolio(task, v, inode, index + i, phys + i, frames[i], good);
  }
}

/** Adds new, locked folios until one is cached already or memory is short. */
function* addFolios(
  task: Task,
  v: Vol,
  inode: number,
  index: number,
  frames: Int32Array,
): Op<number> {
  let count = 0;
  try {
    while (count < frames.length) {
      const pfn = yield* addFolio(task, v.m, inode, index + count, true);
      if (pfn === 0) break;
      frames[count++] = pfn;
    }
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
  return count;
}

function* finishFolio(
  task: Task,
  v: Vol,
  inode: number,
  index: number,
  block: number,
  pfn: number,
  wasRead: boolean,
): Op<void> {
  const { m } = v;
  let good = wasRead;
  if (good && v.checksums) {
    good = (yield* loadChecksum(task, v, block)) === (yield* checksumFrame(m, pfn));
  }
  if (lab?.point()) yield STEP;
  const within = sizeOf(v, inode) - index * m.geometry.pageBytes;
  if (within > 0 && within < m.geometry.pageBytes) yield* zeroTail(m, pfn, within);
  if (lab?.point()) yield STEP;
  if (good) or(m.state.flags, pfn, PG.uptodate);
  if (lab?.point()) yield STEP;
  unlockNewFolio(m, pfn);
  yield* putFolio(task, m, pfn);
}
