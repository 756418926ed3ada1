// Page replacement: write(2) to a page whose version is on disk begins a new version in a new page,
// as file systems with copy-on-write and snapshots do. A pin still has the old page: what its device
// stores there afterwards is in no file (H1-d), unless the rules in force wait for pins, or leave
// pinned pages where they are.

import type { Machine } from '../machine.js';
import { load } from '../memory/word.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { putFolio } from './alloc.js';
import { findFolio } from './filemap.js';
import { lockFolio, maybePinned, PG, unlockFolio } from './folio.js';
import { unmapFolio } from './rmap.js';
import { truncateFolio } from './truncate.js';
import { waitForPins } from './writeback.js';

/**
 * Takes a clean page out of the cache before it is written, so that a new one comes in its place.
 * The caller is the only writer (i_rwsem) and holds no folio lock: who unpins may need that.
 */
export function* replacePage(task: Task, m: Machine, inode: number, index: number): Op<void> {
  const pfn = yield* findFolio(task, m, inode, index);
  if (pfn === 0) return;
  try {
    if (m.profile.pinnedPageReplacement === 'wait') yield* waitForPins(task, m, pfn);
    yield* lockFolio(task, m, pfn);
    try {
      if (yield* mayGo(task, m, inode, pfn)) yield* truncateFolio(task, m, inode, pfn);
    } finally {
      if (lab?.point()) yield STEP;
      unlockFolio(task, m, pfn);
    }
  } finally {
    yield* putFolio(task, m, pfn);
  }
}

/** Is the locked folio still the file's, unmapped now, and the same as what is on disk? */
function* mayGo(task: Task, m: Machine, inode: number, pfn: number): Op<boolean> {
  const busy = PG.dirty | PG.writeback;
  if (lab?.point()) yield STEP;
  if (load(m.state.mapping, pfn) !== inode + 1) return false;
  if (lab?.point()) yield STEP;
  if ((load(m.state.flags, pfn) & busy) !== 0) return false;
  yield* unmapFolio(task, m, inode, pfn); // no mapping, so no new pin after the test that follows
  if (lab?.point()) yield STEP;
  if ((load(m.state.flags, pfn) & busy) !== 0) return false;
  if (m.profile.pinnedPageReplacement === 'proceed') return true;
  if (lab?.point()) yield STEP;
  return !maybePinned(m, pfn);
}
