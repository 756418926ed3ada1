// Faults on files of persistent memory: the PTE maps the media itself (Linux: fs/dax.c,
// dax_iomap_pte_fault; order of steps: kernel.md 4.10).

import type { Machine } from '../machine.js';
import { add, cas, load, read, store, write } from '../memory/word.js';
import {
  spinUnlock,
  takeRead,
  takeSpinLock,
  upRead,
  waitRead,
  waitSpinLock,
} from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import type { DaxOperations } from './address-space.js';
import { grabEntry, insertEntry, unlockEntry } from './dax-entry.js';
import { checkSize } from './filemap.js';
import { PTE, pteIndex, ptlIndex } from './pte.js';
import { isMapCounted } from './rmap.js';

/**
 * Maps page `index` of a DAX inode at `vpn`. The caller holds mmap_lock shared and looks at the PTE
 * again afterwards.
 * @throws Errno EIO (past the end of the file), ENOSPC, ENOMEM: SIGBUS
 */
export function* daxFault(
  task: Task,
  m: Machine,
  dax: DaxOperations,
  mm: number,
  vpn: number,
  inode: number,
  index: number,
  isWrite: boolean,
): Op<void> {
  // invalidate_lock first: nobody changes the layout of the file while a page is looked up and mapped.
  if (lab?.point()) yield STEP;
  if (!takeRead(task, m.invalidateLock, inode)) yield* waitRead(task, m.invalidateLock, inode);
  try {
    if (lab?.point()) yield STEP;
    checkSize(m, inode, index);
    const cached = yield* grabEntry(task, m, inode, index);
    try {
      const pfn = cached !== 0 ? cached : yield* dax.frameOf(task, inode, index);
      yield* insertEntry(task, m, inode, index, pfn, isWrite);
      yield* insertPfn(task, m, mm, vpn, pfn, isWrite);
    } finally {
      yield* unlockEntry(task, m, inode, index);
    }
  } finally {
    if (lab?.point()) yield STEP;
    upRead(task, m.invalidateLock, inode);
  }
}

/** Maps the frame, or makes its present mapping writable (vmf_insert_page_mkwrite). */
function* insertPfn(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  pfn: number,
  isWrite: boolean,
): Op<void> {
  const s = m.state;
  const at = pteIndex(m, mm, vpn);
  const lock = ptlIndex(m, mm, vpn);
  const bits = isWrite ? PTE.present | PTE.write | PTE.dirty : PTE.present;
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.ptl, lock)) yield* waitSpinLock(task, m.ptl, lock);
  if (lab?.point()) yield STEP;
  const entry = load(s.pte, at);
  if (entry === 0) {
    if (isMapCounted(m, pfn)) {
      if (lab?.point()) yield STEP;
      add(s.refcount, pfn, 1);
      if (lab?.point()) yield STEP;
      add(s.mapcount, pfn, 1);
    }
    if (lab?.point()) yield STEP;
    store(s.pte, at, (pfn << PTE.pfnShift) | bits);
    write(s.pteCount, lock, read(s.pteCount, lock) + 1);
  } else if (entry >>> PTE.pfnShift === pfn) {
    if (lab?.point()) yield STEP;
    cas(s.pte, at, entry, entry | bits);
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.ptl, lock);
}
