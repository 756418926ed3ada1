// Writeback of a DAX file: the data are on the media already, but for what the CPUs' caches hold
// (Linux: fs/dax.c, dax_writeback_mapping_range; order of steps: kernel.md 4.10).

import type { Machine } from '../machine.js';
import { spinLock, spinUnlock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import type { SyncMode } from './address-space.js';
import { grabEntry, unlockEntry } from './dax-entry.js';
import { clearMark, MARK, nextMarked } from './pagecache.js';
import { mkclean } from './rmap.js';

/**
 * Cleans the dirty entries of the range. It does not look at pins: what a device stores afterwards
 * is durable only by luck.
 * @returns pages cleaned; none for WB_SYNC_NONE, which DAX does not do
 */
export function* daxWriteback(
  task: Task,
  m: Machine,
  inode: number,
  mode: SyncMode,
  fromIndex: number,
  toIndex: number,
): Op<number> {
  if (mode === 'none') return 0;
  let cleaned = 0;
  for (let from = fromIndex; ; from++) {
    yield* spinLock(task, m.iPages, inode);
    from = nextMarked(m, inode, from, toIndex, MARK.dirty);
    if (lab?.point()) yield STEP;
    spinUnlock(task, m.iPages, inode);
    if (from < 0) return cleaned;
    // The lock of the entry keeps faults out until it is clean. CPU caches are written through here.
    const pfn = yield* grabEntry(task, m, inode, from);
    if (pfn !== 0) {
      yield* mkclean(task, m, inode, pfn);
      cleaned++;
    }
    yield* spinLock(task, m.iPages, inode);
    clearMark(m, inode, from, MARK.dirty);
    if (lab?.point()) yield STEP;
    spinUnlock(task, m.iPages, inode);
    yield* unlockEntry(task, m, inode, from);
  }
}
