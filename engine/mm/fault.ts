// Page faults: reads, and the write fault on a shared file mapping with page_mkwrite, in the order
// of kernel.md 4.2 (Linux: mm/memory.c, fs/buffer.c).

import type { Machine } from '../machine.js';
import { loadLong } from '../memory/long.js';
import { add, cas, load, or, read, store, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import {
  downRead,
  spinUnlock,
  takeRead,
  takeSpinLock,
  upRead,
  waitRead,
  waitSpinLock,
} from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { lastPut, putFolio } from './alloc.js';
import { zeroTail } from './content.js';
import { markDirty } from './dirty.js';
import { readFolio } from './filemap.js';
import { getFolio, lockFolio, PG, takeFolio, unlockFolio, waitFolio, waitStable } from './folio.js';
import { PTE, pteIndex, ptlIndex } from './pte.js';
import { allocPageOrReclaim } from './reclaim.js';
import { findVma, VM } from './vma.js';

/**
 * What the caller of a fault allows: mmap_lock to be dropped once (FAULT_FLAG_ALLOW_RETRY, not yet
 * TRIED); that too, but not to wait, so that the lock stays held after all (RETRY_NOWAIT); or neither.
 */
export type FaultRetry = 'once' | 'nowait' | 'never';

/**
 * Handles a fault at `vpn` (handle_mm_fault). The caller holds mmap_lock shared and looks at the
 * PTE again afterwards: a fault may have to be taken twice.
 * @returns true if mmap_lock was dropped (VM_FAULT_RETRY): take it, and fault again with `never`
 * @throws Errno EFAULT for what would be SIGSEGV; EAGAIN if it must not wait, but would; EIO, ENOSPC, ENOMEM for what would be SIGBUS
 */
export function* handleFault(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  isWrite: boolean,
  retry: FaultRetry = 'never',
): Op<boolean> {
  const s = m.state;
  const vma = findVma(m, mm, vpn);
  if (vma < 0)
    throw new Errno(
      'EFAULT',
      `nothing is mapped at page ${String(vpn)} of address space ${String(mm)}`,
    );
  const flags = read(s.vmaFlags, vma);
  if ((flags & (isWrite ? VM.write : VM.read)) === 0) {
    throw new Errno(
      'EFAULT',
      `page ${String(vpn)} is not mapped for ${isWrite ? 'writing' : 'reading'}`,
    );
  }
  if (lab?.point()) yield STEP;
  const entry = load(s.pte, pteIndex(m, mm, vpn));
  if ((entry & PTE.present) !== 0 && (!isWrite || (entry & PTE.write) !== 0)) return false;
  const inode = read(s.vmaInode, vma) - 1;
  if (inode < 0) {
    yield* anonymousFault(task, m, mm, vpn);
    return false;
  }
  const index = read(s.vmaPgoff, vma) + vpn - read(s.vmaStart, vma);
  const wasMapped = (entry & PTE.present) !== 0;
  let pfn: number;
  if (wasMapped) {
    pfn = yield* mappedFolio(task, m, mm, vpn, entry);
    if (pfn === 0) return false; // the PTE changed: fault again if need be
  } else {
    pfn = yield* lockedFileFolio(task, m, inode, index);
    // A read fault keeps the folio locked until it is mapped, so that a truncate finds the mapping.
    if (!isWrite) yield* installPte(task, m, mm, vpn, pfn, PTE.present, false);
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
  }
  try {
    if (!isWrite) return false;
    if (yield* retryUnlocked(task, m, mm, inode, retry)) return true;
    yield* writeFault(task, m, mm, vpn, inode, index, pfn, wasMapped);
    return false;
  } finally {
    if (lab?.point()) yield STEP;
    const before = add(s.refcount, pfn, -1);
    if (before <= 1) yield* lastPut(task, m, pfn, before, 1);
  }
}

/**
 * What a file system's page_mkwrite can't do under mmap_lock is done without it (MkwriteRetry).
 * @returns true if mmap_lock was dropped for it
 * @throws Errno EIO if it is needed, but the caller of the fault can't cope with that; EAGAIN; as prepare()
 */
function* retryUnlocked(
  task: Task,
  m: Machine,
  mm: number,
  inode: number,
  retry: FaultRetry,
): Op<boolean> {
  const { mkwriteRetry } = m.fs;
  if (mkwriteRetry === undefined || mkwriteRetry === null) return false;
  if (!(yield* mkwriteRetry.needed(task, inode))) return false;
  if (retry === 'never') {
    throw new Errno('EIO', 'page_mkwrite has to drop mmap_lock, but may not (SIGBUS)');
  }
  if (retry === 'nowait' && mkwriteRetry.heedsNowait) {
    throw new Errno('EAGAIN', 'page_mkwrite would have to wait: fault from where it may');
  }
  yield* mkwriteRetry.hold(task, inode);
  if (lab?.point()) yield STEP;
  upRead(task, m.mmapLock, mm);
  try {
    yield* mkwriteRetry.prepare(task, inode);
  } catch (error) {
    // A fault that fails returns with the lock held.
    yield* downRead(task, m.mmapLock, mm);
    throw error;
  }
  return true;
}

/** The folio that a present PTE maps, with a reference; 0 if the PTE changed. */
function* mappedFolio(task: Task, m: Machine, mm: number, vpn: number, entry: number): Op<number> {
  const lock = ptlIndex(m, mm, vpn);
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.ptl, lock)) yield* waitSpinLock(task, m.ptl, lock);
  if (lab?.point()) yield STEP;
  const same = load(m.state.pte, pteIndex(m, mm, vpn)) === entry;
  const pfn = same ? entry >>> PTE.pfnShift : 0;
  if (same) {
    if (lab?.point()) yield STEP;
    getFolio(m, pfn);
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.ptl, lock);
  return pfn;
}

/** The file's folio, read in, locked and with a reference (filemap_fault). @throws Errno EIO, ENOMEM */
export function* lockedFileFolio(task: Task, m: Machine, inode: number, index: number): Op<number> {
  if (lab?.point()) yield STEP;
  if (!takeRead(task, m.invalidateLock, inode)) yield* waitRead(task, m.invalidateLock, inode);
  try {
    if (lab?.point()) yield STEP;
    checkSize(m, inode, index);
    return yield* readFolio(task, m, inode, index);
  } finally {
    if (lab?.point()) yield STEP;
    upRead(task, m.invalidateLock, inode);
  }
}

/** A write fault on a page of a file, for the rules of old kernels. */
interface WriteFault {
  readonly mm: number;
  readonly vpn: number;
  readonly inode: number;
  readonly index: number;
  readonly pfn: number;
  readonly wasMapped: boolean;
}

const DIRTIED = PTE.present | PTE.write | PTE.dirty;

/** @param wasMapped the page was mapped when the fault began, read-only */
function* writeFault(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  inode: number,
  index: number,
  pfn: number,
  wasMapped: boolean,
): Op<void> {
  if (!(yield* pageMkwrite(task, m, inode, index, pfn))) return;
  if (!m.profile.mkwriteReturnsLocked) {
    yield* finishUnlocked(task, m, { mm, vpn, inode, index, pfn, wasMapped });
    return;
  }
  // page_mkwrite returned the folio locked (2.6.30 on), so nothing cleans it before the PTE is dirty.
  const installed = yield* installPte(task, m, mm, vpn, pfn, DIRTIED, wasMapped);
  if (installed) yield* markDirty(task, m, pfn);
  if (lab?.point()) yield STEP;
  unlockFolio(task, m, pfn);
}

/**
 * page_mkwrite returned the folio unlocked (before 2.6.30): until it is dirty for good it may be
 * cleaned (H3-a) or truncated (H3-b). A page that was not mapped is locked again to be mapped, since
 * nobody would find its mapping (__do_fault of 2.6.28); with P12 every page is, to be prepared and
 * dirtied before the PTE is writable.
 */
function* finishUnlocked(task: Task, m: Machine, fault: WriteFault): Op<void> {
  const { mm, vpn, inode, index, pfn, wasMapped } = fault;
  const prepares = m.profile.mkwritePreparesDirty;
  const locks = prepares || !wasMapped;
  if (locks) yield* lockFolio(task, m, pfn);
  let installed = false;
  try {
    if (locks) {
      if (lab?.point()) yield STEP;
      if (load(m.state.mapping, pfn) !== inode + 1) return;
    }
    if (prepares) {
      yield* m.fs.prepareWrite(task, inode, index, pfn);
      yield* markDirty(task, m, pfn);
    }
    installed = yield* installPte(task, m, mm, vpn, pfn, DIRTIED, wasMapped);
  } finally {
    if (locks) {
      if (lab?.point()) yield STEP;
      unlockFolio(task, m, pfn);
    }
  }
  if (installed && !prepares) yield* markDirty(task, m, pfn);
}

/**
 * Tells the file system that a page is about to be written through a mapping (page_mkwrite,
 * block_page_mkwrite): reserves its block, attaches buffers, dirties it, waits for stable pages.
 * @returns false if the folio is not the file's any more (VM_FAULT_NOPAGE: look again)
 * @throws Errno ENOSPC, EIO: the store ends in SIGBUS
 */
export function* pageMkwrite(
  task: Task,
  m: Machine,
  inode: number,
  index: number,
  pfn: number,
): Op<boolean> {
  const s = m.state;
  if (lab?.point()) yield STEP;
  if (!takeRead(task, m.invalidateLock, inode)) yield* waitRead(task, m.invalidateLock, inode);
  try {
    if (lab?.point()) yield STEP;
    if (m.fs.needsBeforeMkwrite(inode)) yield* m.fs.beforeMkwrite(task, inode);
    if (lab?.point()) yield STEP;
    if (!takeFolio(task, m, pfn)) yield* waitFolio(task, m, pfn);
    let keepLock = false;
    try {
      if (lab?.point()) yield STEP;
      if (load(s.mapping, pfn) !== inode + 1) return false;
      if (lab?.point()) yield STEP;
      checkSize(m, inode, index);
      yield* m.fs.prepareWrite(task, inode, index, pfn);
      yield* markDirty(task, m, pfn);
      yield* waitStable(task, m, pfn);
      keepLock = m.profile.mkwriteReturnsLocked;
      return true;
    } finally {
      if (!keepLock) {
        if (lab?.point()) yield STEP;
        unlockFolio(task, m, pfn);
      }
    }
  } finally {
    if (lab?.point()) yield STEP;
    upRead(task, m.invalidateLock, inode);
  }
}

/** A store or load past the last page of a file is a SIGBUS. One step. */
function checkSize(m: Machine, inode: number, index: number): void {
  const size = loadLong(m.state.iSize, inode);
  if (index * m.geometry.pageBytes >= size) {
    throw new Errno(
      'EIO',
      `page ${String(index)} lies past the end of a file of ${String(size)} bytes (SIGBUS)`,
    );
  }
}

function* anonymousFault(task: Task, m: Machine, mm: number, vpn: number): Op<void> {
  const s = m.state;
  const pfn = yield* allocPageOrReclaim(task, m, 'fs');
  yield* zeroTail(m, pfn, 0);
  if (lab?.point()) yield STEP;
  or(s.flags, pfn, PG.anon | PG.uptodate);
  yield* installPte(task, m, mm, vpn, pfn, DIRTIED, false);
  yield* putFolio(task, m, pfn);
}

/**
 * Maps `pfn` at `vpn`, or makes its present mapping writable. The mapping takes a reference.
 * @param wasMapped it was when the fault began: a mapping that went away meanwhile stays away (pte_same)
 * @returns false if something else is mapped there now
 */
export function* installPte(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  pfn: number,
  bits: number,
  wasMapped: boolean,
): Op<boolean> {
  const s = m.state;
  const at = pteIndex(m, mm, vpn);
  const lock = ptlIndex(m, mm, vpn);
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.ptl, lock)) yield* waitSpinLock(task, m.ptl, lock);
  let installed = false;
  if (lab?.point()) yield STEP;
  const entry = load(s.pte, at);
  if (entry === 0 && !wasMapped) {
    if (lab?.point()) yield STEP;
    add(s.refcount, pfn, 1);
    if (lab?.point()) yield STEP;
    add(s.mapcount, pfn, 1);
    if (lab?.point()) yield STEP;
    store(s.pte, at, (pfn << PTE.pfnShift) | bits);
    write(s.pteCount, lock, read(s.pteCount, lock) + 1);
    installed = true;
  } else if (entry !== 0 && entry >>> PTE.pfnShift === pfn) {
    if (lab?.point()) yield STEP;
    cas(s.pte, at, entry, entry | bits);
    installed = true;
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.ptl, lock);
  return installed;
}
