// Dirtying a folio and starting and ending its writeback: flag, marks in the tree, accounting.
// (Linux: mm/page-writeback.c; the hook is ext4_dirty_folio, fs/ext4/inode.c.)

import type { Machine } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { and, load, or, read } from '../memory/word.js';
import { spinUnlock, takeSpinLock, waitSpinLock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { PG } from './folio.js';
import { I_STATE } from './inode-state.js';
import { clearMark, MARK, setMark } from './pagecache.js';

/**
 * Marks a folio dirty (folio_mark_dirty). A folio that no file owns any more only gets the flag,
 * and nothing tracks it.
 */
export function* markDirty(task: Task, m: Machine, pfn: number): Op<void> {
  const s = m.state;
  if (lab?.point()) yield STEP;
  const inode = load(s.mapping, pfn) - 1;
  if (lab?.point()) yield STEP;
  const before = or(s.flags, pfn, PG.dirty | PG.blockDirty);
  if (inode < 0 || (before & PG.anon) !== 0) return;
  if ((before & PG.private) === 0) {
    m.report({
      kind: 'warn',
      hazard: null,
      task: task.name,
      message: `WARN: folio ${String(pfn)} of inode ${String(inode)} dirtied without buffers`,
      page: { ino: s.ino[inode], index: s.index[pfn], pfn },
    });
  }
  if ((before & PG.dirty) !== 0) return;
  accountDirty(m, 1);
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.iPages, inode)) yield* waitSpinLock(task, m.iPages, inode);
  if (lab?.point()) yield STEP;
  const owned = load(s.mapping, pfn) - 1 === inode;
  if (lab?.point()) yield STEP;
  // Whoever cleaned it since then took it off the account, and would not see a mark set now.
  const stillDirty = (load(s.flags, pfn) & PG.dirty) !== 0;
  if (owned && stillDirty) setMark(m, inode, read(s.index, pfn), MARK.dirty);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  if (owned) {
    // A hint for the flusher, set after the mark; no decision of the lab's programs rests on it.
    Atomics.or(s.iState, inode, I_STATE.dirtyPages);
    yield* m.fs.dirtyPages(task, inode);
  } else if (stillDirty) {
    accountDirty(m, -1);
  }
}

/** Marks a folio clean that leaves its file or is dropped (folio_cancel_dirty). */
export function* cancelDirty(task: Task, m: Machine, inode: number, pfn: number): Op<void> {
  const s = m.state;
  if (lab?.point()) yield STEP;
  if ((load(s.flags, pfn) & PG.dirty) === 0) return;
  // Flag and mark go under one lock: a markDirty() in between would be left without its mark.
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.iPages, inode)) yield* waitSpinLock(task, m.iPages, inode);
  if (lab?.point()) yield STEP;
  const before = and(s.flags, pfn, ~PG.dirty);
  if (lab?.point()) yield STEP;
  if (load(s.mapping, pfn) - 1 === inode) clearMark(m, inode, read(s.index, pfn), MARK.dirty);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  if ((before & PG.dirty) !== 0) accountDirty(m, -1);
}

/**
 * Clears the dirty flag and nothing else (folio_clear_dirty): the page stays on the account, and in
 * the tree keeps its mark. What ext4 did from 5.18 on with a page that it drops (kernel.md 3).
 */
export function* clearDirtyFlag(m: Machine, pfn: number): Op<void> {
  if (lab?.point()) yield STEP;
  and(m.state.flags, pfn, ~PG.dirty);
}

/** Sets writeback on a locked folio: the flag, and the marks (folio_start_writeback). */
export function* startWriteback(task: Task, m: Machine, inode: number, pfn: number): Op<void> {
  const s = m.state;
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.iPages, inode)) yield* waitSpinLock(task, m.iPages, inode);
  if (lab?.point()) yield STEP;
  const before = or(s.flags, pfn, PG.writeback);
  const index = read(s.index, pfn);
  setMark(m, inode, index, MARK.writeback);
  if ((before & PG.dirty) === 0) clearMark(m, inode, index, MARK.dirty);
  clearMark(m, inode, index, MARK.towrite);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  Atomics.add(s.global, GLOBAL.nrWriteback, 1);
}

/** Ends writeback: mark and flag, and wakes who waits (folio_end_writeback). */
export function* endWriteback(task: Task, m: Machine, inode: number, pfn: number): Op<void> {
  const s = m.state;
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.iPages, inode)) yield* waitSpinLock(task, m.iPages, inode);
  clearMark(m, inode, read(s.index, pfn), MARK.writeback);
  if (lab?.point()) yield STEP;
  const before = and(s.flags, pfn, ~(PG.writeback | PG.waiters));
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  Atomics.add(s.global, GLOBAL.nrWriteback, -1);
  Atomics.add(s.global, GLOBAL.nrWritten, 1);
  if ((before & PG.waiters) !== 0) wake(s.flags, pfn);
}

/** Folios ended under one hold of i_pages. */
const END_BATCH = 32;

/** As endWriteback(), for many folios of one file. */
export function* endWritebackOf(
  task: Task,
  m: Machine,
  inode: number,
  pfns: Int32Array,
  count: number,
): Op<void> {
  const s = m.state;
  for (let from = 0; from < count; from += END_BATCH) {
    const to = Math.min(from + END_BATCH, count);
    if (lab?.point()) yield STEP;
    if (!takeSpinLock(task, m.iPages, inode)) yield* waitSpinLock(task, m.iPages, inode);
    for (let i = from; i < to; i++) {
      const pfn = pfns[i];
      clearMark(m, inode, read(s.index, pfn), MARK.writeback);
      if (lab?.point()) yield STEP;
      const before = and(s.flags, pfn, ~(PG.writeback | PG.waiters));
      if ((before & PG.waiters) !== 0) wake(s.flags, pfn);
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, m.iPages, inode);
  }
  Atomics.add(s.global, GLOBAL.nrWriteback, -count);
  Atomics.add(s.global, GLOBAL.nrWritten, count);
}

/** Statistics only: no decision of the lab's programs rests on them, so they are no steps. */
export function accountDirty(m: Machine, delta: number): void {
  Atomics.add(m.state.global, GLOBAL.nrDirty, delta);
}
