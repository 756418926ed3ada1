// Breaking the layout of a DAX file: before blocks are freed, nobody may refer to their pages, since
// the page is the block and the next owner gets the very same one (Linux: fs/dax.c,
// dax_layout_busy_page and dax_break_layout; order of steps: kernel.md 4.10).
//
// The mappings go first, and only then the references are looked at: a fast GUP has its reference
// before the look, or fails its second look at the PTE; a slow one holds the lock that unmapping
// takes (H2-k). Waits for idle pages are a lock of their own to lockdep, `page_idle`, which short
// pins hold: so it sees that reclaim waits for pins, and pins for reclaim (H2-e).

import type { Machine } from '../machine.js';
import { load, read } from '../memory/word.js';
import { downWrite, upWrite } from '../sched/lock.js';
import { lockClass } from '../sched/lockdep.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { PAGE_INDEX_MAX } from './address-space.js';
import { busyFrame, deleteEntries } from './dax-entry.js';
import { unmapRange } from './truncate.js';

const PAGE_IDLE = lockClass('page_idle');

/**
 * How to wait for busy pages. `interruptible` and `uninterruptible`: the caller holds
 * invalidate_lock exclusively, and the wait drops it meanwhile. `final`: uninterruptible, and no
 * lock is held, since nobody can find the inode any more.
 */
export type BreakWait = 'interruptible' | 'uninterruptible' | 'final';

/**
 * Waits until nobody refers to the pages of the range, and keeps them unmapped (dax_break_layout,
 * dax_break_layout_final).
 * @throws Errno EINTR: the entries stay, though unmapped
 */
export function* breakLayout(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
  wait: BreakWait,
): Op<void> {
  noteIdleWait(task, m);
  for (;;) {
    const pfn = yield* layoutBusyPage(task, m, inode, fromIndex, toIndex);
    if (pfn === 0) break;
    yield* waitPageIdle(task, m, inode, pfn, wait);
  }
  // Since 6.15 the entries go with the break, so that truncate finds none.
  if (m.profile.daxIdleCount === 'zero') {
    yield* deleteEntries(task, m, inode, fromIndex, toIndex, null);
  }
}

/** Unmaps the range, and returns its first busy frame, or 0 (dax_layout_busy_page). May sleep. */
export function* layoutBusyPage(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<number> {
  if (m.profile.daxBusyScan === 'before-unmap') {
    const busy = yield* busyFrame(task, m, inode, fromIndex, toIndex);
    if (busy === 0) yield* unmapRange(task, m, inode, fromIndex, toIndex);
    return busy;
  }
  yield* unmapRange(task, m, inode, fromIndex, toIndex);
  return yield* busyFrame(task, m, inode, fromIndex, toIndex);
}

function* waitPageIdle(
  task: Task,
  m: Machine,
  inode: number,
  pfn: number,
  wait: BreakWait,
): Op<void> {
  const { refcount } = m.state;
  const idle = m.profile.daxIdleCount === 'one' ? 1 : 0;
  for (;;) {
    if (lab?.point()) yield STEP;
    const references = load(refcount, pfn);
    if (references === idle) return;
    if (wait === 'final') {
      yield sleepOn(task, refcount, pfn, references);
      continue;
    }
    if (lab?.point()) yield STEP;
    upWrite(task, m.invalidateLock, inode);
    try {
      yield sleepOn(task, refcount, pfn, references, wait === 'interruptible');
    } finally {
      yield* downWrite(task, m.invalidateLock, inode);
    }
  }
}

/** Tells lockdep that the task may wait for idle pages with the locks that it holds. */
function noteIdleWait(task: Task, m: Machine): void {
  m.lockdep?.acquire(task, PAGE_IDLE);
  m.lockdep?.release(task, PAGE_IDLE);
}

/** Tells lockdep that the task keeps pages from being idle: until endShortPin(), it gives them back itself. */
export function beginShortPin(task: Task, m: Machine): void {
  m.lockdep?.acquire(task, PAGE_IDLE);
}

export function endShortPin(task: Task, m: Machine): void {
  m.lockdep?.release(task, PAGE_IDLE);
}

/**
 * Takes the entries of a range out of the file, busy or not (truncate_inode_pages_range on a DAX
 * file). The caller has set i_size and unmapped the range, and holds invalidate_lock exclusively, or
 * is the eviction of the inode.
 */
export function* truncateEntries(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<void> {
  const onDelete = m.profile.daxTruncateWarns
    ? (pfn: number): Op<void> => warnOfDelete(task, m, inode, pfn)
    : null;
  yield* deleteEntries(task, m, inode, fromIndex, toIndex, onDelete);
}

/** Before 6.15 dax_disassociate_entry warns of a busy page; since then truncate warns of any entry. */
function* warnOfDelete(task: Task, m: Machine, inode: number, pfn: number): Op<void> {
  const isNew = m.profile.daxIdleCount === 'zero';
  if (!isNew) {
    if (lab?.point()) yield STEP;
    if (load(m.state.refcount, pfn) <= 1) return;
  }
  const page = { ino: m.state.ino[inode], index: read(m.state.index, pfn), pfn };
  const what = isNew
    ? 'its entry is still there at truncate (truncate_folio_batch_exceptionals)'
    : 'truncated while busy (dax_disassociate_entry)';
  m.report({
    kind: 'warn',
    hazard: null,
    task: task.name,
    message: `WARN: DAX page ${String(page.index)} of inode ${String(page.ino)}: ${what}`,
    page,
  });
}

/** truncate_inode_pages_final(), for a DAX inode: nothing maps it any more. */
export function* truncateEntriesFinal(task: Task, m: Machine, inode: number): Op<void> {
  yield* truncateEntries(task, m, inode, 0, PAGE_INDEX_MAX);
}
