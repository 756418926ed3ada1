// What a CPU does when a program stores to or loads from its address space.

import type { Machine } from '../machine.js';
import { cas, load, store } from '../memory/word.js';
import { Errno, InvariantError } from '../sched/errors.js';
import { takeRead, upRead, waitRead } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { balanceDirty, isOverBackground } from './balance.js';
import { loadBytes, moveBytes, storeBytes } from './content.js';
import { type FaultRetry, handleFault } from './fault.js';
import { PTE, pteIndex } from './pte.js';

const WRITABLE = PTE.present | PTE.write;

/**
 * Stores `data` at `offsetBytes` of virtual page `vpn`, within that page: through the PTE, with a
 * fault if it isn't writable.
 * @throws Errno EFAULT (SIGSEGV), EIO, ENOSPC, ENOMEM (SIGBUS)
 */
export function* storeUser(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  offsetBytes: number,
  data: Uint8Array,
): Op<void> {
  const { pte, tlb } = m.state;
  checkRange(m, mm, vpn, offsetBytes, data.byteLength);
  const at = pteIndex(m, mm, vpn);
  for (;;) {
    // The CPU's TLB holds the translation while it stores: see pte.ts.
    if (lab?.point()) yield STEP;
    store(tlb, task.cpu, at + 1);
    if (lab?.point()) yield STEP;
    const entry = load(pte, at);
    if ((entry & WRITABLE) !== WRITABLE) {
      if (lab?.point()) yield STEP;
      store(tlb, task.cpu, 0);
      yield* faultIn(task, m, mm, vpn, true);
      continue;
    }
    if ((entry & PTE.dirty) === 0) {
      if (lab?.point()) yield STEP;
      if (cas(pte, at, entry, entry | PTE.dirty) !== entry) {
        if (lab?.point()) yield STEP;
        store(tlb, task.cpu, 0);
        continue;
      }
    }
    if (lab === null) moveBytes(m, entry >>> PTE.pfnShift, offsetBytes, data);
    else yield* storeBytes(m, entry >>> PTE.pfnShift, offsetBytes, data);
    if (lab?.point()) yield STEP;
    store(tlb, task.cpu, 0);
    return;
  }
}

/**
 * Loads bytes at `offsetBytes` of virtual page `vpn`, within that page, into `target`.
 * @throws as storeUser()
 */
export function* loadUser(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  offsetBytes: number,
  target: Uint8Array,
): Op<void> {
  const { pte, tlb } = m.state;
  checkRange(m, mm, vpn, offsetBytes, target.byteLength);
  const at = pteIndex(m, mm, vpn);
  for (;;) {
    if (lab?.point()) yield STEP;
    store(tlb, task.cpu, at + 1);
    if (lab?.point()) yield STEP;
    const entry = load(pte, at);
    if ((entry & PTE.present) !== 0) {
      yield* loadBytes(m, entry >>> PTE.pfnShift, offsetBytes, target);
      if (lab?.point()) yield STEP;
      store(tlb, task.cpu, 0);
      return;
    }
    if (lab?.point()) yield STEP;
    store(tlb, task.cpu, 0);
    yield* faultIn(task, m, mm, vpn, false);
  }
}

/** Page tables lie side by side: what is no page of this address space is one of another. */
function checkRange(
  m: Machine,
  mm: number,
  vpn: number,
  offsetBytes: number,
  lengthBytes: number,
): void {
  const { mmPages, pageBytes } = m.geometry;
  if (!(vpn >= 0 && vpn < mmPages)) {
    throw new Errno(
      'EFAULT',
      `page ${String(vpn)} lies outside of address space ${String(mm)} (${String(mmPages)} pages)`,
    );
  }
  if (!(offsetBytes >= 0 && offsetBytes + lengthBytes <= pageBytes)) {
    throw new InvariantError(`an access of ${String(lengthBytes)} bytes crosses a page border`);
  }
}

/** Takes a fault as a CPU does: with mmap_lock shared. */
export function* faultIn(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  isWrite: boolean,
): Op<void> {
  for (let retry: FaultRetry = 'once'; ; retry = 'never') {
    let dropped = false;
    if (lab?.point()) yield STEP;
    if (!takeRead(task, m.mmapLock, mm)) yield* waitRead(task, m.mmapLock, mm);
    try {
      dropped = yield* handleFault(task, m, mm, vpn, isWrite, retry);
    } finally {
      if (!dropped) {
        if (lab?.point()) yield STEP;
        upRead(task, m.mmapLock, mm);
      }
    }
    if (!dropped) break;
  }
  if (isWrite && isOverBackground(m)) yield* balanceDirty(task, m);
}
