// Memory registrations of an RDMA device: pages held for months, written to by a peer at any time
// without the CPU (Linux: drivers/infiniband/core/umem.c). io_uring's fixed buffers are the same.

import type { Machine } from '../machine.js';
import { add, cas, exchange, load, peek } from '../memory/word.js';
import { FOLL } from '../mm/gup.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { deviceLoad, deviceStore } from './device.js';
import { dmaReference, dropPages, holdPages } from './hold.js';
import { LOCKED_PERCENT, REGISTRATION_PAGES_MAX } from './limits.js';

/** Pages that a device may use until they are deregistered. Structured-clonable: any thread may be the device. */
export interface Registration {
  readonly mm: number;
  readonly vpn: number;
  readonly pages: number;
  /** May the peer write to it (IB_ACCESS_REMOTE_WRITE)? */
  readonly writable: boolean;
  /** In shared memory. */
  readonly pfns: Int32Array;
  /** [0]: REGISTRATION. In shared memory. */
  readonly state: Int32Array;
}

const REGISTRATION = { live: 1, gone: 2 } as const;

/** Pages that one process of the machine may have registered (RLIMIT_MEMLOCK). */
export function lockedPagesMax(m: Machine): number {
  return Math.max(1, Math.floor((m.geometry.pages * LOCKED_PERCENT) / 100));
}

/**
 * Registers pages of a process: FOLL_LONGTERM, and FOLL_WRITE if the peer may write.
 * @throws Errno EFAULT (not mapped so, or refused by the rules in force), ENOMEM (over the limit on
 *   locked memory, or out of memory), EINVAL; nothing is held then
 */
export function* rdmaRegister(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  pages: number,
  writable = true,
): Op<Registration> {
  if (!Number.isSafeInteger(pages) || pages <= 0 || pages > REGISTRATION_PAGES_MAX) {
    throw new Errno(
      'EINVAL',
      `a registration of ${String(pages)} pages: it has 1 to ${String(REGISTRATION_PAGES_MAX)}`,
    );
  }
  yield* chargeLocked(m, mm, pages);
  const pfns = new Int32Array(new SharedArrayBuffer(pages * 4));
  const flags = FOLL.longterm | (writable ? FOLL.write : 0);
  let held = 0;
  try {
    held = yield* holdPages(task, m, mm, vpn, pages, flags, dmaReference(m), pfns);
    if (held < pages) {
      throw new Errno(
        'EFAULT',
        `only ${String(held)} of ${String(pages)} pages from page ${String(vpn)} on can be registered`,
      );
    }
  } catch (error) {
    yield* dropPages(task, m, pfns, held, dmaReference(m), false);
    yield* unchargeLocked(m, mm, pages);
    throw error;
  }
  const state = new Int32Array(new SharedArrayBuffer(4));
  state[0] = REGISTRATION.live;
  return { mm, vpn, pages, writable, pfns, state };
}

/** The peer writes: stores into the pages, whatever has become of them. @throws Errno EINVAL, EACCES */
export function* rdmaWrite(
  m: Machine,
  registration: Registration,
  page: number,
  offsetBytes: number,
  data: Uint8Array,
): Op<void> {
  const { pfns, pages, writable } = registration;
  if (!writable) throw new Errno('EACCES', 'the memory is registered for reading only');
  yield* checkLive(registration);
  yield* deviceStore(m, pfns, pages, page * m.geometry.pageBytes + offsetBytes, data);
}

/** The peer reads. @throws Errno EINVAL */
export function* rdmaRead(
  m: Machine,
  registration: Registration,
  page: number,
  offsetBytes: number,
  target: Uint8Array,
): Op<void> {
  const { pfns, pages } = registration;
  yield* checkLive(registration);
  yield* deviceLoad(m, pfns, pages, page * m.geometry.pageBytes + offsetBytes, target);
}

/**
 * Ends a registration: the pages are marked dirty (if the peer could write) and let go. The device
 * must be quiet, as after ibv_dereg_mr.
 * @throws Errno EINVAL if it has ended before
 */
export function* rdmaDeregister(task: Task, m: Machine, registration: Registration): Op<void> {
  const { mm, pages, pfns, state, writable } = registration;
  if (lab?.point()) yield STEP;
  if (exchange(state, 0, REGISTRATION.gone) !== REGISTRATION.live) throw gone();
  yield* dropPages(task, m, pfns, pages, dmaReference(m), writable);
  yield* unchargeLocked(m, mm, pages);
}

function* checkLive(registration: Registration): Op<void> {
  if (lab?.point()) yield STEP;
  if (load(registration.state, 0) !== REGISTRATION.live) throw gone();
}

function gone(): Errno {
  return new Errno('EINVAL', 'the memory is not registered any more: register it again');
}

function* chargeLocked(m: Machine, mm: number, pages: number): Op<void> {
  const { mmLocked } = m.state;
  const limit = lockedPagesMax(m);
  for (;;) {
    if (lab?.point()) yield STEP;
    const locked = peek(mmLocked, mm);
    if (locked + pages > limit) {
      throw new Errno(
        'ENOMEM',
        `${String(locked)} pages are registered: ${String(pages)} more exceed the limit of ${String(limit)} (RLIMIT_MEMLOCK)`,
      );
    }
    if (cas(mmLocked, mm, locked, locked + pages) === locked) return;
  }
}

function* unchargeLocked(m: Machine, mm: number, pages: number): Op<void> {
  if (lab?.point()) yield STEP;
  add(m.state.mmLocked, mm, -pages);
}
