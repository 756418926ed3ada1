// Layout leases: the leave to pin pages of a file for long, which its holder gives back when the
// file is to be cut (proposal P21 of kernel.md; profile.longtermFilePin 'lease').
//
//   iLease   holder's address space + 1 (bits 0-15) | times taken (bits 16-28) | BROKEN; 0: free
//
// Whoever is about to truncate or punch breaks the lease before it takes invalidate_lock, and ends
// the break afterwards: until then nobody gets a new one.

import type { Machine } from '../machine.js';
import { and, cas, load, peek } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';

const HOLDER = 0xffff;
const ONCE = 1 << 16;
const TIMES = 0x1fff << 16;
const BROKEN = 1 << 29;

/** How long a truncate waits for a lease (lease-break-time is 45 s in Linux). */
export const LEASE_BREAK_MS = 10_000;

/**
 * Takes a layout lease of a file for a process; it may take it several times.
 * @throws Errno EAGAIN if another process has it, or it is being broken
 */
export function* takeLease(m: Machine, inode: number, mm: number): Op<void> {
  const { iLease } = m.state;
  for (;;) {
    if (lab?.point()) yield STEP;
    const lease = peek(iLease, inode);
    const holder = lease & HOLDER;
    if (
      (lease & BROKEN) !== 0 ||
      (holder !== 0 && holder !== mm + 1) ||
      (lease & TIMES) === TIMES
    ) {
      throw new Errno(
        'EAGAIN',
        `the layout lease of the file ${(lease & BROKEN) !== 0 ? 'is being broken' : 'is taken'}: try again later`,
      );
    }
    const taken = ((lease & TIMES) + ONCE) | (mm + 1);
    if (cas(iLease, inode, lease, taken) === lease) return;
  }
}

/** Gives a lease back once. Registrations that rest on it must have ended. @throws Errno EINVAL */
export function* giveLease(m: Machine, inode: number, mm: number): Op<void> {
  const { iLease } = m.state;
  for (;;) {
    if (lab?.point()) yield STEP;
    const lease = peek(iLease, inode);
    if ((lease & HOLDER) !== mm + 1) {
      throw new Errno('EINVAL', 'the process has no layout lease of the file');
    }
    const last = (lease & TIMES) === ONCE;
    const given = last ? lease & BROKEN : lease - ONCE;
    if (cas(iLease, inode, lease, given) !== lease) continue;
    if (last) wake(iLease, inode);
    return;
  }
}

/** Has the process a layout lease of the file? One step. */
export function hasLease(m: Machine, inode: number, mm: number): boolean {
  return (load(m.state.iLease, inode) & HOLDER) === mm + 1;
}

/** Is somebody waiting for the lease to be given back? Its holder asks now and then. One step. */
export function isLeaseBroken(m: Machine, inode: number): boolean {
  return (load(m.state.iLease, inode) & BROKEN) !== 0;
}

/**
 * Waits until nobody has a lease of the file, and keeps it so until endBreak().
 * @throws Errno ETIMEDOUT if its holder does not give it back
 */
export function* breakLease(
  task: Task,
  m: Machine,
  inode: number,
  timeoutMs: number = LEASE_BREAK_MS,
): Op<void> {
  const { iLease } = m.state;
  for (;;) {
    if (lab?.point()) yield STEP;
    const lease = peek(iLease, inode);
    if ((lease & BROKEN) !== 0) yield sleepOn(task, iLease, inode, lease, true);
    else if (cas(iLease, inode, lease, lease | BROKEN) === lease) break;
  }
  wake(iLease, inode);
  const deadline = performance.now() + timeoutMs;
  try {
    for (;;) {
      if (lab?.point()) yield STEP;
      const lease = load(iLease, inode);
      if ((lease & HOLDER) === 0) return;
      const left = deadline - performance.now();
      if (left <= 0) {
        throw new Errno(
          'ETIMEDOUT',
          `the layout lease of the file was not given back within ${String(timeoutMs)} ms: end the registrations of its pages`,
        );
      }
      yield sleepOn(task, iLease, inode, lease, true, left);
    }
  } catch (error) {
    yield* endBreak(m, inode);
    throw error;
  }
}

/** Ends a break: leases may be taken again. */
export function* endBreak(m: Machine, inode: number): Op<void> {
  if (lab?.point()) yield STEP;
  and(m.state.iLease, inode, ~BROKEN);
  wake(m.state.iLease, inode);
}
