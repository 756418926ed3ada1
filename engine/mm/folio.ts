// One page of memory as the kernel sees it: flags, the folio lock, references and pins.
// (Small folios only: one page each. Linux: include/linux/page-flags.h, mm/filemap.c, mm/gup.c.)

import type { Machine } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { add, and, cas, load, or, peek } from '../memory/word.js';
import { KernelBug } from '../sched/errors.js';
import { mightSleep, type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';

/** Bits of struct page's flags. */
export const PG = {
  locked: 1 << 0,
  waiters: 1 << 1,
  dirty: 1 << 2,
  writeback: 1 << 3,
  uptodate: 1 << 4,
  /** The file system's own state (buffers) is attached. */
  private: 1 << 5,
  referenced: 1 << 6,
  anon: 1 << 7,
  /** Read or write error on this page. */
  error: 1 << 8,
  /**
   * The block of the page is to be written (BH_Dirty; a page has one block). Set with `dirty`; only
   * a file system that writes blocks by itself looks at it, and clears it.
   */
  blockDirty: 1 << 9,
} as const;

/** GUP_PIN_COUNTING_BIAS: what one pin adds to the reference count of a small folio. */
export const PIN_BIAS = 1024;

/** Locks a folio; may sleep. */
export function* lockFolio(task: Task, m: Machine, pfn: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (!takeFolio(task, m, pfn)) yield* waitFolio(task, m, pfn);
}

/**
 * The first half of lockFolio(), for hot paths: locks the folio if nobody has it. One step; if it
 * returns false, `yield* waitFolio(...)` must follow in that step.
 */
export function takeFolio(task: Task, m: Machine, pfn: number): boolean {
  mightSleep(task);
  const { flags } = m.state;
  for (;;) {
    const value = peek(flags, pfn);
    if ((value & PG.locked) !== 0) return false;
    if (cas(flags, pfn, value, value | PG.locked) === value) break;
  }
  if (m.lockdep !== null) m.lockdep.acquire(task, m.folioClass);
  return true;
}

/** The second half of lockFolio(), after takeFolio() has failed. */
export function* waitFolio(task: Task, m: Machine, pfn: number): Op<void> {
  if (m.lockdep !== null) m.lockdep.acquire(task, m.folioClass);
  const flags = m.state.flags;
  for (;;) {
    const value = peek(flags, pfn);
    if ((value & PG.locked) === 0) {
      if (cas(flags, pfn, value, value | PG.locked) === value) return;
    } else if ((value & PG.waiters) !== 0 || cas(flags, pfn, value, value | PG.waiters) === value) {
      yield sleepOn(task, flags, pfn, value | PG.waiters);
    }
    if (lab?.point()) yield STEP;
  }
}

/** Locks a folio if nobody has it. One step. */
export function tryLockFolio(task: Task, m: Machine, pfn: number): boolean {
  if ((or(m.state.flags, pfn, PG.locked) & PG.locked) !== 0) return false;
  if (m.lockdep !== null) m.lockdep.acquired(task, m.folioClass);
  return true;
}

/** Unlocks a folio. One step. */
export function unlockFolio(task: Task, m: Machine, pfn: number): void {
  const before = and(m.state.flags, pfn, ~(PG.locked | PG.waiters));
  if ((before & PG.locked) === 0)
    throw new KernelBug(`BUG: unlock of unlocked folio ${String(pfn)}`);
  if ((before & PG.waiters) !== 0) wake(m.state.flags, pfn);
  if (m.lockdep !== null) m.lockdep.release(task, m.folioClass);
}

/** Unlocks a folio that addFolio() made locked. One step. */
export function unlockNewFolio(m: Machine, pfn: number): void {
  const before = and(m.state.flags, pfn, ~(PG.locked | PG.waiters));
  if ((before & PG.waiters) !== 0) wake(m.state.flags, pfn);
}

/** Sleeps until the folio is not under writeback (folio_wait_writeback). */
export function* waitOnWriteback(task: Task, m: Machine, pfn: number): Op<void> {
  mightSleep(task);
  const flags = m.state.flags;
  for (;;) {
    if (lab?.point()) yield STEP;
    const value = load(flags, pfn);
    if ((value & PG.writeback) === 0) return;
    if ((value & PG.waiters) === 0) {
      if (lab?.point()) yield STEP;
      if (cas(flags, pfn, value, value | PG.waiters) !== value) continue;
    }
    yield sleepOn(task, flags, pfn, value | PG.waiters);
  }
}

/**
 * Waits until a folio that is being written may be changed (folio_wait_stable): as far as the rules
 * in force ask for stable pages, and the storage needs them.
 */
export function* waitStable(task: Task, m: Machine, pfn: number): Op<void> {
  const { stablePages } = m.profile;
  if (stablePages === 'never' || (stablePages === 'if-needed' && !m.fs.stableWrites)) return;
  yield* waitOnWriteback(task, m, pfn);
}

/** The reference count of a free frame: no number of passing references lifts it above 0 (see alloc.ts). */
export const FREE = -(2 ** 30);

/** References that a folio can have: room is left below 2^31 for passing ones. */
const REFERENCES_MAX = 2 ** 31 - 2 ** 20;

/**
 * Takes references if the folio has any (folio_try_get). On false they were added all the same, and
 * the caller takes them back with undoGet(): two accesses are two steps. One step.
 */
export function tryGet(m: Machine, pfn: number, references: number): boolean {
  return isGettable(add(m.state.refcount, pfn, references));
}

/** What tryGet() makes of the count before it: has the folio references, and room for more? */
export function isGettable(before: number): boolean {
  return before > 0 && before < REFERENCES_MAX;
}

/** Takes a further reference to a folio that the caller knows to have one. One step. */
export function getFolio(m: Machine, pfn: number): void {
  add(m.state.refcount, pfn, 1);
}

/**
 * Might the folio be pinned for DMA? False positives from 1,024 plain references, no false
 * negatives (folio_maybe_dma_pinned). One step.
 */
export function maybePinned(m: Machine, pfn: number): boolean {
  return load(m.state.refcount, pfn) >= PIN_BIAS;
}

/** Counts pins taken or given back, as vmstat's nr_foll_pin_acquired and nr_foll_pin_released. */
export function countPins(m: Machine, acquired: number, released: number): void {
  if (acquired !== 0) Atomics.add(m.state.global, GLOBAL.pinAcquired, acquired);
  if (released !== 0) Atomics.add(m.state.global, GLOBAL.pinReleased, released);
}
