// DAX entries: what the page tree of a DAX inode holds in place of pages. A DAX page is the media
// itself, so that there is nothing to cache: an entry says which frame it is, and its lock keeps
// faults and writeback of one page apart (Linux: fs/dax.c; kernel.md 4.10).
//
//   entry   pfn (bits 4 and up) | EMPTY 8 | LOCKED 1      (zero pages and PMDs are not modelled)
//
// Entries are changed under i_pages. Who finds one locked sleeps on its slot until that changes.

import type { Machine } from '../machine.js';
import { load, read, store, write } from '../memory/word.js';
import { spinLock, spinUnlock } from '../sched/lock.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import {
  cacheDelete,
  cacheInsert,
  cacheSlot,
  giveNodes,
  MARK,
  nextCached,
  nodesMissing,
  setMark,
} from './pagecache.js';
import { takeNodesOrReclaim } from './reclaim.js';

const LOCKED = 1;
const EMPTY = 8;
const PFN_SHIFT = 4;

/**
 * Locks the entry at `index`, an empty one if there was none (grab_mapping_entry).
 * @returns its frame, or 0
 * @throws Errno ENOMEM
 */
export function* grabEntry(task: Task, m: Machine, inode: number, index: number): Op<number> {
  const { node } = m.state;
  let spare = 0;
  let have = 0;
  yield* spinLock(task, m.iPages, inode);
  for (;;) {
    const slot = yield* unlockedSlot(task, m, inode, index);
    const entry = slot < 0 ? 0 : read(node, slot);
    const missing = entry === 0 ? nodesMissing(m, inode, index) : 0;
    if (missing <= have) {
      if (entry === 0) spare = cacheInsert(m, inode, index, EMPTY | LOCKED, spare);
      else write(node, slot, entry | LOCKED);
      if (lab?.point()) yield STEP;
      spinUnlock(task, m.iPages, inode);
      yield* giveNodes(task, m, spare);
      return entry >>> PFN_SHIFT;
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, m.iPages, inode);
    yield* giveNodes(task, m, spare);
    spare = yield* takeNodesOrReclaim(task, m, missing);
    have = missing;
    yield* spinLock(task, m.iPages, inode);
  }
}

/**
 * Says which frame a locked entry is, and ties the frame to the file (dax_insert_entry,
 * dax_associate_entry): that is how a pin finds its inode.
 */
export function* insertEntry(
  task: Task,
  m: Machine,
  inode: number,
  index: number,
  pfn: number,
  isDirty: boolean,
): Op<void> {
  const s = m.state;
  yield* spinLock(task, m.iPages, inode);
  write(s.node, cacheSlot(m, inode, index), (pfn << PFN_SHIFT) | LOCKED);
  if (isDirty) setMark(m, inode, index, MARK.dirty);
  write(s.index, pfn, index);
  if (lab?.point()) yield STEP;
  store(s.mapping, pfn, inode + 1);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
}

/** Unlocks an entry, and wakes who waits for it (dax_unlock_entry). */
export function* unlockEntry(task: Task, m: Machine, inode: number, index: number): Op<void> {
  const { node } = m.state;
  yield* spinLock(task, m.iPages, inode);
  const slot = cacheSlot(m, inode, index);
  write(node, slot, read(node, slot) & ~LOCKED);
  wake(node, slot);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
}

/**
 * The first frame of the range that somebody besides its mappings has a reference to
 * (dax_layout_busy_page, without its unmapping); 0 if there is none.
 */
export function* busyFrame(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<number> {
  let found = 0;
  yield* spinLock(task, m.iPages, inode);
  for (let index = fromIndex; found === 0; index++) {
    index = nextCached(m, inode, index, toIndex);
    if (index < 0) break;
    const slot = yield* unlockedSlot(task, m, inode, index);
    const pfn = slot < 0 ? 0 : read(m.state.node, slot) >>> PFN_SHIFT;
    if (pfn !== 0 && (yield* isBusy(m, pfn))) found = pfn;
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  return found;
}

/** Has anybody a reference to this frame of the media, besides its mappings where they have one (6.15)? */
function* isBusy(m: Machine, pfn: number): Op<boolean> {
  if (lab?.point()) yield STEP;
  const references = load(m.state.refcount, pfn);
  if (m.profile.daxIdleCount === 'one') return references > 1;
  if (lab?.point()) yield STEP;
  return references !== load(m.state.mapcount, pfn);
}

/** Called with i_pages held and a frame that is about to lose its entry. */
export type OnDelete = (pfn: number) => Op<void>;

/** Takes the entries of the range out of the file, and their frames with them (dax_delete_mapping_entry). */
export function* deleteEntries(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
  onDelete: OnDelete | null,
): Op<void> {
  const s = m.state;
  for (;;) {
    yield* spinLock(task, m.iPages, inode);
    const index = nextCached(m, inode, fromIndex, toIndex);
    let freed = 0;
    if (index >= 0) {
      const slot = yield* unlockedSlot(task, m, inode, index);
      const entry = slot < 0 ? 0 : read(s.node, slot);
      const pfn = entry >>> PFN_SHIFT;
      if (pfn !== 0) {
        if (onDelete !== null) yield* onDelete(pfn);
        write(s.index, pfn, 0);
        if (lab?.point()) yield STEP;
        store(s.mapping, pfn, 0); // dax_disassociate_entry: page and inode forget each other
      }
      if (entry !== 0) {
        freed = cacheDelete(m, inode, index);
        wake(s.node, slot);
      }
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, m.iPages, inode);
    yield* giveNodes(task, m, freed);
    if (index < 0) return;
  }
}

/** The slot of `index` once nobody has its entry locked. Called, and returns, with i_pages held. */
function* unlockedSlot(task: Task, m: Machine, inode: number, index: number): Op<number> {
  const { node } = m.state;
  for (;;) {
    const slot = cacheSlot(m, inode, index);
    const entry = slot < 0 ? 0 : read(node, slot);
    if ((entry & LOCKED) === 0) return slot;
    if (lab?.point()) yield STEP;
    spinUnlock(task, m.iPages, inode);
    yield sleepOn(task, node, slot, entry);
    yield* spinLock(task, m.iPages, inode);
  }
}
