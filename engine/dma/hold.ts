// How a device gets hold of user pages and lets go of them: by pins, or in older kernels by plain
// references, as the rules in force say for its kind of access.

import type { Machine } from '../machine.js';
import { PIN_BIAS } from '../mm/folio.js';
import { dirtyPinned, FOLL, pinUserPagesFast, unpinUserPages } from '../mm/gup.js';
import type { Op, Task } from '../sched/op.js';

/** How a kind of access refers to pages. */
export type Reference = 'get' | 'pin';

/** What RDMA and process_vm_writev use. A device that pins nothing (ODP) is another one: odp.ts. */
export function dmaReference(m: Machine): Reference {
  return m.profile.dmaReference === 'get' ? 'get' : 'pin';
}

/** Holds pages for a transfer (iov_iter_extract_pages). @returns pages held. @throws as pinUserPagesFast() */
export function* holdPages(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  count: number,
  flags: number,
  reference: Reference,
  pfns: Int32Array,
): Op<number> {
  const foll = reference === 'pin' ? flags | FOLL.pin : flags;
  return yield* pinUserPagesFast(task, m, mm, vpn, count, foll, pfns);
}

/**
 * Lets pages go. With `dirty`, what a device wrote is marked first: unpin_user_pages_dirty_lock, or
 * for plain references set_page_dirty_lock and put_page.
 * @param got as in unpinUserPages()
 */
export function* dropPages(
  task: Task,
  m: Machine,
  pfns: Int32Array,
  count: number,
  reference: Reference,
  dirty: boolean,
  got = 0,
): Op<void> {
  if (reference === 'pin') {
    yield* unpinUserPages(task, m, pfns, count, PIN_BIAS, dirty, got);
    return;
  }
  for (let i = 0; dirty && i < count; i++) yield* dirtyPinned(task, m, pfns[i], got);
  yield* unpinUserPages(task, m, pfns, count, 1, false, got);
}
