// get_user_pages and pin_user_pages: references that let a device write to a page behind the back
// of everybody (Linux: mm/gup.c; order of steps: kernel.md 4.5 and 4.6).

import type { Machine } from '../machine.js';
import { load, read, stepAdd, stepLoad } from '../memory/word.js';
import { Errno, KernelBug } from '../sched/errors.js';
import { downRead, spinUnlock, takeSpinLock, upRead, waitSpinLock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { lastPut, putFolio, undoGet } from './alloc.js';
import { balanceDirty } from './balance.js';
import { markDirty } from './dirty.js';
import { type FaultRetry, handleFault, pageMkwrite } from './fault.js';
import {
  countPins,
  isGettable,
  lockFolio,
  PG,
  PIN_BIAS,
  tryGet,
  unlockFolio,
  unlockNewFolio,
  waitOnWriteback,
  waitStable,
} from './folio.js';
import { checkLongtermDax, isSlowForMedia, keepInode, keptInodes } from './gup-dax.js';
import { hasLease } from './lease.js';
import { mapPrivateCopy } from './private-copy.js';
import { PTE, pteIndex, ptlIndex } from './pte.js';
import { findVma, VM } from './vma.js';

/** FOLL_* flags, numbered as in Linux. A call without `pin` is a plain get (FOLL_GET). */
export const FOLL = { write: 1 << 0, nowait: 1 << 4, longterm: 1 << 8, pin: 1 << 19 } as const;

/** What to do about a refused long-term pin. */
const REMEDY = {
  allow: '',
  refuse: 'register a read-only or an anonymous buffer',
  lease: 'take a layout lease of the file first, or register an anonymous buffer',
  'private-copy': '',
} as const;

const LONGTERM_WRITE = FOLL.longterm | FOLL.write;

/**
 * Does a call with these flags, besides its references, hold the folio locks until the unpin? The
 * rules P2 and P11 ask it of writers that are quick.
 */
export function holdsLocks(m: Machine, flags: number): boolean {
  return m.profile.shortPinHolds !== 'nothing' && (flags & LONGTERM_WRITE) === FOLL.write;
}

/** What one reference of a call adds to a small folio's count. */
function referenceOf(flags: number): number {
  return (flags & FOLL.pin) !== 0 ? PIN_BIAS : 1;
}

/**
 * Takes a reference to each of `count` pages from `vpn` on: without locks as far as their PTEs
 * allow (get_user_pages_fast), then with mmap_lock and faults.
 * @param out receives the pfns, from index 0
 * @returns pages taken: `count`, unless a fault failed after the first
 * @throws Errno EFAULT, EIO, ENOSPC, ENOMEM if not even the first page could be had
 */
export function* pinUserPagesFast(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  count: number,
  flags: number,
  out: Int32Array,
): Op<number> {
  const done = holdsLocks(m, flags) ? 0 : yield* gupFast(task, m, mm, vpn, count, flags, out);
  if (done === count) return done;
  return yield* gupSlow(task, m, mm, vpn, count, flags, out, done, 'once');
}

/** The lock-free walk: per page, read the PTE, take the reference, read the PTE again. */
function* gupFast(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  count: number,
  flags: number,
  out: Int32Array,
): Op<number> {
  const { pte, refcount, flags: pageFlags, writeProtectSeq } = m.state;
  const reference = referenceOf(flags);
  const need = (flags & FOLL.write) !== 0 ? PTE.present | PTE.write : PTE.present;
  const first = pteIndex(m, mm, vpn);
  // The policy on long-term writable file pins needs the VMA: only anonymous pages go the fast way.
  const onlyAnon = (flags & LONGTERM_WRITE) === LONGTERM_WRITE;
  // Frames of the media that the slow way has to look at more closely.
  const slowFrom = isSlowForMedia(m, (flags & FOLL.longterm) !== 0, (flags & FOLL.pin) !== 0)
    ? m.mediaFirst
    : m.geometry.pages;
  const notWritten = waitsForWriteback(m, flags);
  if (vpn < 0 || vpn + count > m.geometry.mmPages) return 0; // what lies beyond is another address space's
  if (lab?.point()) yield STEP;
  const sequence = load(writeProtectSeq, mm);
  if ((sequence & 1) !== 0) return 0;
  let done = 0;
  for (; done < count; done++) {
    const at = first + done;
    const entry = lab === null ? Atomics.load(pte, at) : yield* stepLoad(pte, at);
    if ((entry & need) !== need) break;
    const pfn = entry >>> PTE.pfnShift;
    if (pfn >= slowFrom) break;
    const before =
      lab === null
        ? Atomics.add(refcount, pfn, reference)
        : yield* stepAdd(refcount, pfn, reference);
    if (!isGettable(before)) {
      yield* undoGet(task, m, pfn, reference);
      if (m.pinWaits) wake(refcount, pfn);
      break;
    }
    // Changed meanwhile, but for the bits that hardware sets: the page may be unmapped by now.
    const again = lab === null ? Atomics.load(pte, at) : yield* stepLoad(pte, at);
    if (((again ^ entry) & ~PTE.dirty) !== 0) {
      yield* letGo(task, m, pfn, reference);
      break;
    }
    if (onlyAnon) {
      if (lab?.point()) yield STEP;
      if ((load(pageFlags, pfn) & PG.anon) === 0) {
        yield* letGo(task, m, pfn, reference);
        break;
      }
    }
    if (notWritten) {
      if (lab?.point()) yield STEP;
      if ((load(pageFlags, pfn) & PG.writeback) !== 0) {
        yield* letGo(task, m, pfn, reference);
        break;
      }
    }
    out[done] = pfn;
  }
  if ((flags & FOLL.pin) !== 0) countPins(m, done, 0);
  if (lab?.point()) yield STEP;
  if (load(writeProtectSeq, mm) === sequence) return done;
  yield* unpinUserPages(task, m, out, done, reference, false);
  return 0;
}

/**
 * As pinUserPagesFast(), of another process's memory: never without mmap_lock
 * (pin_user_pages_remote).
 */
export function* pinUserPagesRemote(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  count: number,
  flags: number,
  out: Int32Array,
): Op<number> {
  return yield* gupSlow(task, m, mm, vpn, count, flags, out, 0, 'once');
}

/**
 * As pinUserPagesRemote(), of a caller that counts on mmap_lock being held all the time, so that its
 * faults can't be retried (plain pin_user_pages(), without a `locked` pointer): unless the rules let it.
 * With FOLL.nowait its faults may be retried, but by somebody else and later.
 * @throws as pinUserPagesFast(); Errno EAGAIN
 */
export function* pinUserPages(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  count: number,
  flags: number,
  out: Int32Array,
): Op<number> {
  const plain = m.profile.plainGupMayRetry ? 'once' : 'never';
  const retry = (flags & FOLL.nowait) !== 0 ? 'nowait' : plain;
  return yield* gupSlow(task, m, mm, vpn, count, flags, out, 0, retry);
}

/** The slow way: mmap_lock, VMA checks, faults (pin_user_pages_unlocked). */
function* gupSlow(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  count: number,
  flags: number,
  out: Int32Array,
  start: number,
  retry: FaultRetry,
): Op<number> {
  yield* downRead(task, m.mmapLock, mm);
  const isWrite = (flags & FOLL.write) !== 0;
  let done = start;
  let faulted = false;
  let tried = false;
  let locked = true;
  try {
    while (done < count) {
      if (!(yield* checkVma(m, mm, vpn + done, flags))) break;
      if (getsPrivateCopy(m, mm, vpn + done, flags)) {
        yield* mapPrivateCopy(task, m, mm, vpn + done);
      }
      const pfn = yield* followPage(task, m, mm, vpn + done, flags);
      if (pfn !== 0) {
        const held =
          pfn < m.mediaFirst
            ? yield* keep(task, m, mm, vpn + done, flags, pfn)
            : yield* keepInode(task, m, mm, vpn + done, (flags & FOLL.pin) !== 0);
        if (held) out[done++] = pfn;
        tried = false;
        continue;
      }
      tried = yield* handleFault(task, m, mm, vpn + done, isWrite, tried ? 'never' : retry);
      if (tried) {
        locked = false;
        if (retry === 'nowait') throw doubleUnlock();
        yield* downRead(task, m.mmapLock, mm);
        locked = true;
      }
      faulted = true;
    }
    if (done === 0) {
      throw new Errno(
        'EFAULT',
        `a long-term writable pin of a file mapping is refused by ${m.profile.name}: ${REMEDY[m.profile.longtermFilePin]}`,
      );
    }
  } catch (error) {
    if (done === 0 || !(error instanceof Errno)) throw error;
  } finally {
    if ((flags & FOLL.pin) !== 0) countPins(m, done - start, 0);
    if (locked) {
      if (lab?.point()) yield STEP;
      upRead(task, m.mmapLock, mm);
    }
  }
  if (faulted && isWrite) yield* balanceDirty(task, m);
  return done;
}

/** Whoever must not wait takes a retry to mean that mmap_lock is still held, and releases it. */
function doubleUnlock(): KernelBug {
  return new KernelBug(
    'BUG: bad unlock balance: mmap_lock is released by a caller with FOLL_NOWAIT, but the fault has dropped it',
    'H4-i',
  );
}

/** The checks of check_vma_flags(). False: refused by the rule on long-term file pins. */
function* checkVma(m: Machine, mm: number, vpn: number, flags: number): Op<boolean> {
  const s = m.state;
  const vma = findVma(m, mm, vpn);
  if (vma < 0)
    throw new Errno(
      'EFAULT',
      `nothing is mapped at page ${String(vpn)} of address space ${String(mm)}`,
    );
  const vmFlags = read(s.vmaFlags, vma);
  const isWrite = (flags & FOLL.write) !== 0;
  if ((vmFlags & (isWrite ? VM.write : VM.read)) === 0) {
    throw new Errno(
      'EFAULT',
      `page ${String(vpn)} is not mapped for ${isWrite ? 'writing' : 'reading'}`,
    );
  }
  if ((flags & FOLL.longterm) !== 0) yield* checkLongtermDax(m, mm, read(s.vmaInode, vma) - 1);
  if ((flags & LONGTERM_WRITE) !== LONGTERM_WRITE || !isSharedFile(m, vma)) return true;
  switch (m.profile.longtermFilePin) {
    case 'allow':
    case 'private-copy':
      return true;
    case 'refuse':
      return false;
    case 'lease':
      if (lab?.point()) yield STEP;
      return hasLease(m, read(s.vmaInode, vma) - 1, mm);
  }
}

/** Is this a long-term registration that gets a private copy of a file's page? Under mmap_lock. */
function getsPrivateCopy(m: Machine, mm: number, vpn: number, flags: number): boolean {
  if (m.profile.longtermFilePin !== 'private-copy') return false;
  return (flags & LONGTERM_WRITE) === LONGTERM_WRITE && isSharedFile(m, findVma(m, mm, vpn));
}

/** Does the VMA map a file shared? Under mmap_lock. */
function isSharedFile(m: Machine, vma: number): boolean {
  return (read(m.state.vmaFlags, vma) & VM.shared) !== 0 && read(m.state.vmaInode, vma) !== 0;
}

/** The page that the PTE allows, with the reference, taken under the PTL; 0 if it takes a fault. */
function* followPage(task: Task, m: Machine, mm: number, vpn: number, flags: number): Op<number> {
  const need = (flags & FOLL.write) !== 0 ? PTE.present | PTE.write : PTE.present;
  const lock = ptlIndex(m, mm, vpn);
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.ptl, lock)) yield* waitSpinLock(task, m.ptl, lock);
  if (lab?.point()) yield STEP;
  const entry = load(m.state.pte, pteIndex(m, mm, vpn));
  const pfn = (entry & need) === need ? entry >>> PTE.pfnShift : 0;
  let taken = true;
  if (pfn !== 0) {
    if (lab?.point()) yield STEP;
    taken = tryGet(m, pfn, referenceOf(flags));
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.ptl, lock);
  if (!taken) {
    yield* undoGet(task, m, pfn, referenceOf(flags));
    throw new Errno('ENOMEM', `page ${String(vpn)} has as many pins as it can count`);
  }
  return pfn;
}

/** Gives back a reference that was got in vain, and wakes who waits for pins to go. */
function* letGo(task: Task, m: Machine, pfn: number, reference: number): Op<void> {
  yield* putFolio(task, m, pfn, reference);
  if (m.pinWaits) wake(m.state.refcount, pfn);
}

/** P10: must a call with these flags not return a page under writeback? */
function waitsForWriteback(m: Machine, flags: number): boolean {
  return m.profile.gupWaitsForWriteback && (flags & FOLL.write) !== 0;
}

/**
 * What the rules in force ask of a page that was got: not to be under writeback (P10), or to be
 * locked until the unpin (P11) and told to its file system (P2). If that took waiting, the page may
 * be write-protected, or not the file's, by now: then it is let go of.
 * @returns false: look at the PTE again
 * @throws Errno ENOSPC, EIO from write_begin
 */
function* keep(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  flags: number,
  pfn: number,
): Op<boolean> {
  const locks = holdsLocks(m, flags);
  if (!locks && !waitsForWriteback(m, flags)) return true;
  let kept = false;
  try {
    kept = locks
      ? yield* lockForWrite(task, m, pteIndex(m, mm, vpn), pfn)
      : yield* isNotWritten(task, m, pfn);
  } finally {
    if (!kept) yield* letGo(task, m, pfn, referenceOf(flags));
  }
  return kept;
}

/** Is the folio not under writeback? If it is, waits until that ends: the caller has to fault again. */
function* isNotWritten(task: Task, m: Machine, pfn: number): Op<boolean> {
  if (lab?.point()) yield STEP;
  if ((load(m.state.flags, pfn) & PG.writeback) === 0) return true;
  yield* waitOnWriteback(task, m, pfn);
  return false;
}

/** Locks a folio that a PTE maps for writing, and tells its file system; false if it no longer does. */
function* lockForWrite(task: Task, m: Machine, pte: number, pfn: number): Op<boolean> {
  yield* lockFolio(task, m, pfn);
  let kept = false;
  try {
    // Under the folio lock nothing write-protects or truncates the page; a mapping that was only
    // taken away is faulted in again.
    if (lab?.point()) yield STEP;
    const entry = load(m.state.pte, pte);
    if (entry >>> PTE.pfnShift !== pfn || (entry & PTE.write) === 0) return false;
    if (m.profile.shortPinHolds === 'write-begin') {
      if (lab?.point()) yield STEP;
      const inode = load(m.state.mapping, pfn) - 1;
      if (inode >= 0) {
        yield* waitStable(task, m, pfn);
        yield* m.fs.prepareWrite(task, inode, read(m.state.index, pfn), pfn);
      }
    }
    kept = true;
    return true;
  } finally {
    if (!kept) {
      if (lab?.point()) yield STEP;
      unlockFolio(task, m, pfn);
    }
  }
}

/**
 * Gives references back (unpin_user_pages; put_page for plain gets).
 * @param reference PIN_BIAS for pins, 1 for gets
 * @param makeDirty marks each page dirty first, as unpin_user_pages_dirty_lock does: only pages
 *   that are seen clean are locked for it, since a dirty one will be written anyway
 * @param got the flags of the call that got the pages, where rules on short pins (P2, P11) may matter
 */
export function* unpinUserPages(
  task: Task,
  m: Machine,
  pfns: Int32Array,
  count: number,
  reference: number,
  makeDirty: boolean,
  got = 0,
): Op<void> {
  const { flags, refcount } = m.state;
  const { pinWaits } = m;
  const kept = reference === PIN_BIAS && m.pinKeepsInode ? yield* keptInodes(m, pfns, count) : null;
  const locked = holdsLocks(m, got);
  for (let i = 0; i < count; i++) {
    const pfn = pfns[i];
    if (makeDirty) {
      if (lab?.point()) yield STEP;
      if ((load(flags, pfn) & PG.dirty) === 0) yield* dirtyPinned(task, m, pfn, got);
    }
    if (locked && pfn < m.mediaFirst) {
      if (lab?.point()) yield STEP;
      unlockPinned(task, m, pfn);
    }
    const before =
      lab === null
        ? Atomics.add(refcount, pfn, -reference)
        : yield* stepAdd(refcount, pfn, -reference);
    if (before <= reference) yield* lastPut(task, m, pfn, before, reference);
    if (pinWaits) wake(refcount, pfn);
  }
  if (reference === PIN_BIAS) countPins(m, 0, count);
  if (kept !== null) for (const inode of kept) yield* m.fs.putInode(task, inode);
}

/** Unlocks the folio of a short pin. The lock goes with the pin: another task may have taken it. One step. */
function unlockPinned(task: Task, m: Machine, pfn: number): void {
  if (m.lockdep === null || m.lockdep.holds(task, m.folioClass)) unlockFolio(task, m, pfn);
  else unlockNewFolio(m, pfn);
}

/**
 * set_page_dirty_lock, or (P1) the same through page_mkwrite so that nothing is missed. Never fails.
 * @param got as in unpinUserPages(): who holds the folio lock since then does not take it again
 */
export function* dirtyPinned(task: Task, m: Machine, pfn: number, got = 0): Op<void> {
  if (holdsLocks(m, got)) {
    yield* markDirty(task, m, pfn);
    return;
  }
  if (m.profile.unpinDirtiesThroughMkwrite && (yield* dirtyWithNotice(task, m, pfn))) return;
  yield* lockFolio(task, m, pfn);
  yield* markDirty(task, m, pfn);
  if (lab?.point()) yield STEP;
  unlockFolio(task, m, pfn);
}

/**
 * Dirties a page as a write fault does. False if it has no file any more, or the file system can't
 * take it (no space, cut off meanwhile): the device has stored all the same.
 */
function* dirtyWithNotice(task: Task, m: Machine, pfn: number): Op<boolean> {
  if (lab?.point()) yield STEP;
  const inode = load(m.state.mapping, pfn) - 1;
  if (inode < 0) return false;
  try {
    if (!(yield* pageMkwrite(task, m, inode, read(m.state.index, pfn), pfn))) return false;
  } catch (error) {
    if (error instanceof Errno) return false;
    throw error;
  }
  if (m.profile.mkwriteReturnsLocked) {
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
  }
  return true;
}
