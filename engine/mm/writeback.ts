// Writeback of one folio, up to the point where its file system submits it: kernel.md 4.4, steps 2
// to 7 (Linux: mm/page-writeback.c, mm/rmap.c, fs/ext4/inode.c).

import type { Machine } from '../machine.js';
import { loadLong } from '../memory/long.js';
import { add, and, load, or, peek, read } from '../memory/word.js';
import type { PinnedAction } from '../profile/profile.js';
import { KernelBug } from '../sched/errors.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import type { SyncMode } from './address-space.js';
import { putFolio, takeFrame } from './alloc.js';
import { copyFrame, zeroTail } from './content.js';
import { accountDirty, cancelDirty, clearDirtyFlag, markDirty, startWriteback } from './dirty.js';
import {
  maybePinned,
  PG,
  PIN_BIAS,
  takeFolio,
  unlockFolio,
  waitFolio,
  waitOnWriteback,
} from './folio.js';
import { allocPageOrReclaim, watermarks } from './reclaim.js';
import { mkclean } from './rmap.js';

/** What markDirty() sets. */
const DIRTY = PG.dirty | PG.blockDirty;

/** What to submit for a folio that was made ready: its own frame, or a bounce page. */
export interface ReadyFolio {
  /** The frame that holds what is to be written; differs from the folio's pfn if bounced. */
  frame: number;
  /** Might the folio have been pinned when it was cleaned? */
  pinned: boolean;
}

/**
 * Makes a dirty folio ready for writing. On true it is locked and under writeback: the file system
 * submits `ready.frame`, unlocks the folio, and at completion calls endWriteback() and frees a
 * bounce page. On false it is unlocked and is not to be written now.
 * @throws Errno ENOSPC (repair), ENOMEM (bounce, SYNC_ALL): unlocked, and still dirty
 */
export function* prepareWriteback(
  task: Task,
  m: Machine,
  inode: number,
  pfn: number,
  mode: SyncMode,
  ready: ReadyFolio,
): Op<boolean> {
  const action = mode === 'all' ? m.profile.pinnedSyncAll : m.profile.pinnedSyncNone;
  const looksAtPins = action !== 'proceed';
  const { flags, index } = m.state;
  if (lab?.point()) yield STEP;
  if (!takeFolio(task, m, pfn)) yield* waitFolio(task, m, pfn);
  let submits = false;
  try {
    // Steps 2 and 3: still this file's, dirty, and not under writeback (SYNC_ALL waits for that).
    if (lab?.point()) yield STEP;
    if (load(m.state.mapping, pfn) !== inode + 1) return false;
    if (lab?.point()) yield STEP;
    const value = load(flags, pfn);
    if ((value & PG.dirty) === 0) return false;
    if ((value & PG.writeback) !== 0) {
      if (mode === 'none') return false;
      yield* waitOnWriteback(task, m, pfn);
    }
    // Step 4: buffers come and go under the folio lock, so that the flag seen above still holds.
    if ((value & PG.private) === 0 && !(yield* withoutBuffers(task, m, inode, pfn))) return false;

    let pinned = false;
    if (looksAtPins && m.profile.pinnedTest === 'before-mkclean') {
      if (lab?.point()) yield STEP;
      pinned = maybePinned(m, pfn);
    }
    // Step 5 takes the dirty state (folio_clear_dirty_for_io): write-protects the mappings first, so
    // that the next CPU store faults, then tests and clears the flag. The DIRTY mark stays until
    // writeback starts.
    const protectFirst = m.profile.mkcleanOrder === 'protect-first';
    if (protectFirst && (yield* mkclean(task, m, inode, pfn))) {
      // Marked again, unless page and block are: a block may have been written since the fault (H3-d).
      if (lab?.point()) yield STEP;
      if ((load(flags, pfn) & DIRTY) !== DIRTY) yield* markDirty(task, m, pfn);
    }
    // A rule that blocks mkclean until the pins are gone (W1) sleeps here: the flag is still set, so
    // that whoever gives a pin back finds the page dirty, and does not want the folio lock.
    if (action === 'wait' && m.profile.pinnedTest === 'after-mkclean') {
      yield* waitForPins(task, m, pfn);
    }
    if (lab?.point()) yield STEP;
    if ((and(flags, pfn, ~PG.dirty) & PG.dirty) === 0) return false;
    accountDirty(m, -1);
    // 2.6.19: what was stored through the mappings is not marked again, so that buffers which were
    // written since the fault stay clean (H3-d).
    if (!protectFirst) yield* mkclean(task, m, inode, pfn);
    if (looksAtPins && m.profile.pinnedTest === 'after-mkclean') {
      if (lab?.point()) yield STEP;
      pinned = maybePinned(m, pfn);
    }

    ready.frame = pfn;
    ready.pinned = pinned;
    if (pinned && !(yield* applyAction(task, m, pfn, mode, action, ready))) return false;
    // Step 6: only now is i_size looked at, and what lies past it zeroed in what is written.
    if (lab?.point()) yield STEP;
    const within = loadLong(m.state.iSize, inode) - read(index, pfn) * m.geometry.pageBytes;
    if (within > 0 && within < m.geometry.pageBytes) yield* zeroTail(m, ready.frame, within);
    if (pinned && m.profile.pinnedStaysDirty) yield* markDirty(task, m, pfn);
    yield* startWriteback(task, m, inode, pfn);
    submits = true;
    return true;
  } finally {
    if (!submits) {
      if (lab?.point()) yield STEP;
      unlockFolio(task, m, pfn);
    }
  }
}

/** What happens to a dirty folio that the file system was never told of. True: write it. */
function* withoutBuffers(task: Task, m: Machine, inode: number, pfn: number): Op<boolean> {
  const where = `page ${String(read(m.state.index, pfn))} of inode ${String(inode)}`;
  switch (m.profile.dirtyWithoutBuffers) {
    case 'bug':
      throw new KernelBug(`BUG: writeback of ${where}: dirty, but without buffers`, 'H0-a');
    case 'warn-drop':
      m.report({
        kind: 'warn',
        hazard: 'H0-a',
        task: task.name,
        message: `WARN: ${where} is dirty without buffers: dirty bit dropped, data not written`,
        page: { ino: m.state.ino[inode], index: m.state.index[pfn], pfn },
      });
      if (m.profile.dropLeaksAccounting) yield* clearDirtyFlag(m, pfn);
      else yield* cancelDirty(task, m, inode, pfn);
      return false;
    case 'repair':
      yield* m.fs.prepareWrite(task, inode, read(m.state.index, pfn), pfn);
      return true;
  }
}

/** The rule in force for a pinned folio. False: not now; it is dirty again. */
function* applyAction(
  task: Task,
  m: Machine,
  pfn: number,
  mode: SyncMode,
  action: PinnedAction,
  ready: ReadyFolio,
): Op<boolean> {
  switch (action) {
    case 'proceed':
      return true;
    case 'skip':
      yield* markDirty(task, m, pfn);
      return false;
    case 'wait':
      yield* waitForPins(task, m, pfn);
      return true;
    case 'bounce': {
      const bounce = yield* allocBounce(task, m, pfn, mode);
      if (bounce === 0) return false;
      yield* copyFrame(m, bounce, pfn);
      ready.frame = bounce;
      return true;
    }
  }
}

/** Sleeps until the folio can't be pinned any more. */
export function* waitForPins(task: Task, m: Machine, pfn: number): Op<void> {
  for (;;) {
    if (lab?.point()) yield STEP;
    const count = peek(m.state.refcount, pfn);
    if (count < PIN_BIAS) {
      if (load(m.state.refcount, pfn) < PIN_BIAS) return;
      continue;
    }
    yield sleepOn(task, m.state.refcount, pfn, count);
  }
}

/**
 * A frame for the copy of a pinned page. Without memory the page stays dirty: for SYNC_NONE until
 * later (0), but fsync must not say that it was written.
 * @throws Errno ENOMEM for SYNC_ALL
 */
function* allocBounce(task: Task, m: Machine, pfn: number, mode: SyncMode): Op<number> {
  // Copies leave memory to those who have to complete them.
  const frame = yield* takeFrame(task, m, watermarks(m).low);
  if (frame !== 0) return frame;
  try {
    if (mode === 'all') return yield* allocPageOrReclaim(task, m, 'nofs');
  } catch (error) {
    yield* markDirty(task, m, pfn);
    throw error;
  }
  yield* markDirty(task, m, pfn);
  return 0;
}

/** Attaches the file system's state to a locked folio: flag, word and a reference (attach_private). */
export function* attachBuffers(m: Machine, pfn: number): Op<void> {
  if (lab?.point()) yield STEP;
  const before = or(m.state.flags, pfn, PG.private);
  if ((before & PG.private) !== 0) return;
  if (lab?.point()) yield STEP;
  add(m.state.refcount, pfn, 1);
}

/** Takes the file system's state off a locked folio, and its reference (detach_private). */
export function* detachBuffers(task: Task, m: Machine, pfn: number): Op<void> {
  if (lab?.point()) yield STEP;
  const before = and(m.state.flags, pfn, ~PG.private);
  if ((before & PG.private) !== 0) yield* putFolio(task, m, pfn);
}
