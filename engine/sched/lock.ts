// Spinlocks, mutexes and reader-writer semaphores over words of shared state.
//
// A lock is an index into an array of words of one class; lockdep tracks classes, and a dead task's
// locks can be told by the owner in the word:
//
//   spinlock   0 free, else the owner's task id
//   mutex      0 free, else the owner's task id | SLEEPERS
//   rwsem      readers (bits 0-15) | WRITER | WRITER_WAITING | SLEEPERS
//
// Acquire with `yield* spinLock(...)`; release with `if (lab?.point()) yield STEP;` before the plain
// release function. A queued writer holds readers back, as in Linux: that is what turns the
// write(2)/mmap(2) inversion (H4-b) into a real hang.

import { and, cas, exchange, peek, store } from '../memory/word.js';
import { KernelBug } from './errors.js';
import type { Lockdep } from './lockdep.js';
import { mightSleep, type Op, sleepOn, spinOn, type Task } from './op.js';
import { lab, STEP } from './step.js';
import { wake } from './wait.js';

const SLEEPERS = 1 << 30;
const READERS = 0xffff;
const WRITER = 1 << 16;
const WRITER_WAITING = 1 << 17;

/** The bits of a lock's word, for whoever names them. */
export const LOCK_BITS = {
  readers: READERS,
  writer: WRITER,
  writerWaiting: WRITER_WAITING,
  sleepers: SLEEPERS,
} as const;

/** An array of locks of one class. */
export interface Locks {
  readonly words: Int32Array;
  /** The class, from lockClass(). */
  readonly cls: number;
  readonly lockdep: Lockdep | null;
}

/** Takes spinlock `index`; the task must not sleep until it is released. */
export function* spinLock(task: Task, locks: Locks, index: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, locks, index)) yield* waitSpinLock(task, locks, index);
}

/**
 * The first half of spinLock(), for hot paths: takes the lock if it is free, without the cost of a
 * generator. One step; if it returns false, `yield* waitSpinLock(...)` must follow in that step.
 */
export function takeSpinLock(task: Task, locks: Locks, index: number): boolean {
  if (cas(locks.words, index, 0, task.id) !== 0) return false;
  if (locks.lockdep !== null) locks.lockdep.acquire(task, locks.cls);
  task.atomicDepth++;
  return true;
}

/** The second half of spinLock(), after takeSpinLock() has failed. */
export function* waitSpinLock(task: Task, locks: Locks, index: number): Op<void> {
  if (locks.lockdep !== null) locks.lockdep.acquire(task, locks.cls);
  for (;;) {
    const owner = peek(locks.words, index);
    if (owner === task.id) throw new KernelBug(`BUG: spinlock recursion by ${task.name}`);
    if (owner !== 0) yield spinOn(task, locks.words, index, owner);
    if (lab?.point()) yield STEP;
    if (cas(locks.words, index, 0, task.id) === 0) break;
  }
  task.atomicDepth++;
}

/** Releases a spinlock. One step. */
export function spinUnlock(task: Task, locks: Locks, index: number): void {
  store(locks.words, index, 0);
  task.atomicDepth--;
  if (locks.lockdep !== null) locks.lockdep.release(task, locks.cls);
}

/** Takes mutex `index`; may sleep. */
export function* mutexLock(task: Task, locks: Locks, index: number): Op<void> {
  mightSleep(task);
  if (locks.lockdep !== null) locks.lockdep.acquire(task, locks.cls);
  for (;;) {
    if (lab?.point()) yield STEP;
    const value = peek(locks.words, index);
    if (value === 0) {
      if (cas(locks.words, index, 0, task.id) === 0) return;
    } else if (
      (value & SLEEPERS) !== 0 ||
      cas(locks.words, index, value, value | SLEEPERS) === value
    ) {
      yield sleepOn(task, locks.words, index, value | SLEEPERS);
    }
  }
}

/** Takes mutex `index` if it is free. One step. */
export function tryMutexLock(task: Task, locks: Locks, index: number): boolean {
  if (cas(locks.words, index, 0, task.id) !== 0) return false;
  if (locks.lockdep !== null) locks.lockdep.acquired(task, locks.cls);
  return true;
}

/** Releases a mutex. One step. */
export function mutexUnlock(task: Task, locks: Locks, index: number): void {
  const before = exchange(locks.words, index, 0);
  if ((before & SLEEPERS) !== 0) wake(locks.words, index);
  if (locks.lockdep !== null) locks.lockdep.release(task, locks.cls);
}

/** Takes rwsem `index` shared; may sleep, also behind a writer that only waits. */
export function* downRead(task: Task, locks: Locks, index: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (!takeRead(task, locks, index)) yield* waitRead(task, locks, index);
}

/**
 * The first half of downRead(), for hot paths: takes the lock shared if no writer has it or waits
 * for it. One step; if it returns false, `yield* waitRead(...)` must follow in that step.
 */
export function takeRead(task: Task, locks: Locks, index: number): boolean {
  mightSleep(task);
  for (;;) {
    const value = peek(locks.words, index);
    if ((value & (WRITER | WRITER_WAITING)) !== 0) return false;
    if (cas(locks.words, index, value, value + 1) === value) break;
  }
  if (locks.lockdep !== null) locks.lockdep.acquire(task, locks.cls);
  return true;
}

/** The second half of downRead(), after takeRead() has failed. */
export function* waitRead(task: Task, locks: Locks, index: number): Op<void> {
  if (locks.lockdep !== null) locks.lockdep.acquire(task, locks.cls);
  for (;;) {
    const value = peek(locks.words, index);
    if ((value & (WRITER | WRITER_WAITING)) === 0) {
      if (cas(locks.words, index, value, value + 1) === value) return;
    } else if (
      (value & SLEEPERS) !== 0 ||
      cas(locks.words, index, value, value | SLEEPERS) === value
    ) {
      yield sleepOn(task, locks.words, index, value | SLEEPERS);
    }
    if (lab?.point()) yield STEP;
  }
}

/** Releases a shared hold. One step. */
export function upRead(task: Task, locks: Locks, index: number): void {
  for (;;) {
    const value = peek(locks.words, index);
    const last = (value & READERS) === 1;
    const after = last ? 0 : value - 1;
    if (cas(locks.words, index, value, after) !== value) continue;
    if (last && (value & SLEEPERS) !== 0) wake(locks.words, index);
    break;
  }
  if (locks.lockdep !== null) locks.lockdep.release(task, locks.cls);
}

/** Takes rwsem `index` exclusively; may sleep, and holds back new readers while it waits. */
export function* downWrite(task: Task, locks: Locks, index: number): Op<void> {
  mightSleep(task);
  if (locks.lockdep !== null) locks.lockdep.acquire(task, locks.cls);
  const waiting = WRITER_WAITING | SLEEPERS;
  for (;;) {
    if (lab?.point()) yield STEP;
    const value = peek(locks.words, index);
    if ((value & (WRITER | READERS)) === 0) {
      if (cas(locks.words, index, value, WRITER | (value & SLEEPERS)) === value) return;
    } else if (
      (value & waiting) === waiting ||
      cas(locks.words, index, value, value | waiting) === value
    ) {
      yield sleepOn(task, locks.words, index, value | waiting);
    }
  }
}

/** Releases an exclusive hold. One step. */
export function upWrite(task: Task, locks: Locks, index: number): void {
  const before = and(locks.words, index, 0);
  if ((before & SLEEPERS) !== 0) wake(locks.words, index);
  if (locks.lockdep !== null) locks.lockdep.release(task, locks.cls);
}
