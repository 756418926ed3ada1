// Private copies of shared file pages for long-term registrations, and their way back into the file
// at fsync (the rule longtermFilePin 'private-copy'; Hellwig and Kara 2023). The process maps the
// copy in place of the file's page, so that it and its device see the same bytes; nobody else sees
// them before the next fsync. A copy is told by its mapping: an anonymous page in a mapping of a file.

import type { Machine } from '../machine.js';
import { loadLong } from '../memory/long.js';
import { load, or, read } from '../memory/word.js';
import { downRead, spinLock, spinUnlock, upRead } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { putFolio } from './alloc.js';
import { copyFrame } from './content.js';
import { markDirty } from './dirty.js';
import { installPte, lockedFileFolio, pageMkwrite } from './fault.js';
import { getFolio, lockFolio, PG, unlockFolio } from './folio.js';
import { PTE, pteIndex, ptlIndex } from './pte.js';
import { allocPageOrReclaim } from './reclaim.js';
import { zapPte } from './rmap.js';
import { findVma } from './vma.js';

/**
 * Maps a private copy at `vpn` of a shared file mapping, unless there is one. The caller holds
 * mmap_lock shared.
 * @throws Errno ENOMEM, EIO
 */
export function* mapPrivateCopy(task: Task, m: Machine, mm: number, vpn: number): Op<void> {
  const s = m.state;
  const vma = findVma(m, mm, vpn);
  const inode = read(s.vmaInode, vma) - 1;
  if (lab?.point()) yield STEP;
  const entry = load(s.pte, pteIndex(m, mm, vpn));
  if (entry !== 0) {
    if (lab?.point()) yield STEP;
    if ((load(s.flags, entry >>> PTE.pfnShift) & PG.anon) !== 0) return;
  }
  const copy = yield* allocPageOrReclaim(task, m, 'fs');
  try {
    // Under the folio lock nobody can map the file's page again before the copy is there.
    const index = read(s.vmaPgoff, vma) + vpn - read(s.vmaStart, vma);
    const pfn = yield* lockedFileFolio(task, m, inode, index);
    yield* zapPte(task, m, mm, vpn, pfn);
    yield* copyFrame(m, copy, pfn);
    if (lab?.point()) yield STEP;
    or(s.flags, copy, PG.anon | PG.uptodate);
    yield* installPte(task, m, mm, vpn, copy, PTE.present | PTE.write | PTE.dirty, false);
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
    yield* putFolio(task, m, pfn);
  } finally {
    yield* putFolio(task, m, copy);
  }
}

/**
 * Copies what private copies of the range hold back into the file's pages, which are dirty then:
 * fsync, before it writes them. Of several copies of a page the last one found counts.
 * @throws Errno ENOSPC, ENOMEM, EIO
 */
export function* copyBack(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<void> {
  const copies = yield* findCopies(task, m, inode, fromIndex, toIndex);
  try {
    for (const { index, copy } of copies) {
      if (lab?.point()) yield STEP;
      const isInFile = index * m.geometry.pageBytes < loadLong(m.state.iSize, inode);
      if (isInFile) yield* copyOne(task, m, inode, index, copy);
    }
  } finally {
    for (const { copy } of copies) yield* putFolio(task, m, copy);
  }
}

/** As a CPU's store to the file's page would go: through page_mkwrite. */
function* copyOne(task: Task, m: Machine, inode: number, index: number, copy: number): Op<void> {
  const pfn = yield* lockedFileFolio(task, m, inode, index);
  if (lab?.point()) yield STEP;
  unlockFolio(task, m, pfn);
  try {
    if (!(yield* pageMkwrite(task, m, inode, index, pfn))) return; // truncated meanwhile
    if (!m.profile.mkwriteReturnsLocked) yield* lockFolio(task, m, pfn);
    yield* copyFrame(m, pfn, copy);
    yield* markDirty(task, m, pfn);
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
  } finally {
    yield* putFolio(task, m, pfn);
  }
}

interface Copy {
  readonly index: number;
  readonly copy: number;
}

/** The copies in all mappings of the range, each with a reference. */
function* findCopies(
  task: Task,
  m: Machine,
  inode: number,
  fromIndex: number,
  toIndex: number,
): Op<Copy[]> {
  const s = m.state;
  const copies: Copy[] = [];
  yield* downRead(task, m.iMmapRwsem, inode);
  for (let vma = read(s.iMmap, inode); vma !== 0; vma = read(s.vmaNextInFile, vma - 1)) {
    const pgoff = read(s.vmaPgoff, vma - 1);
    const to = Math.min(toIndex, pgoff + read(s.vmaPages, vma - 1) - 1);
    for (let index = Math.max(fromIndex, pgoff); index <= to; index++) {
      const vpn = read(s.vmaStart, vma - 1) + index - pgoff;
      const copy = yield* getCopy(task, m, read(s.vmaMm, vma - 1) - 1, vpn);
      if (copy !== 0) copies.push({ index, copy });
    }
  }
  if (lab?.point()) yield STEP;
  upRead(task, m.iMmapRwsem, inode);
  return copies;
}

/** The anonymous page mapped at `vpn`, with a reference, or 0. */
function* getCopy(task: Task, m: Machine, mm: number, vpn: number): Op<number> {
  const lock = ptlIndex(m, mm, vpn);
  yield* spinLock(task, m.ptl, lock);
  if (lab?.point()) yield STEP;
  let copy = load(m.state.pte, pteIndex(m, mm, vpn)) >>> PTE.pfnShift;
  if (copy !== 0) {
    if (lab?.point()) yield STEP;
    if ((load(m.state.flags, copy) & PG.anon) === 0) copy = 0;
  }
  if (copy !== 0) {
    if (lab?.point()) yield STEP;
    getFolio(m, copy);
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.ptl, lock);
  return copy;
}
