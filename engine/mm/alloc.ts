// The page allocator: a list of free frames under the zone lock.
//
// A free frame has refcount 0. A fast GUP that looked at a stale PTE may for a moment add pins to
// it and take them back (folio.ts, tryGet); since a frame is handed out by a cas from 0 to 1, such
// a passing reference delays the allocator and never confuses it.

import type { Machine } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { add, cas, read, store, write } from '../memory/word.js';
import { InvariantError, KernelBug } from '../sched/errors.js';
import { spinLock, spinUnlock } from '../sched/lock.js';
import { type Op, spinOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';

/** Puts all frames but number 0 on the free list. Once, before the machine runs. */
export function initAllocator(m: Machine): void {
  const { next, global } = m.state;
  for (let pfn = 1; pfn < m.geometry.pages; pfn++) {
    next[pfn] = pfn + 1 < m.geometry.pages ? pfn + 1 : 0;
  }
  global[GLOBAL.freeHead] = m.geometry.pages > 1 ? 1 : 0;
  global[GLOBAL.freeCount] = m.geometry.pages - 1;
}

/** A frame with one reference, not zeroed; 0 if there is none free. */
export function* allocPage(task: Task, m: Machine): Op<number> {
  const s = m.state;
  yield* spinLock(task, m.zoneLock, 0);
  const pfn = read(s.global, GLOBAL.freeHead);
  if (pfn !== 0) {
    write(s.global, GLOBAL.freeHead, read(s.next, pfn));
    write(s.global, GLOBAL.freeCount, read(s.global, GLOBAL.freeCount) - 1);
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.zoneLock, 0);
  if (pfn === 0) return 0;
  for (;;) {
    if (lab?.point()) yield STEP;
    const passing = cas(s.refcount, pfn, 0, 1);
    if (passing === 0) break;
    yield spinOn(task, s.refcount, pfn, passing);
  }
  // Nobody else knows the frame yet, but a stale fast GUP may still read these.
  if (lab?.point()) yield STEP;
  store(s.flags, pfn, 0);
  if (lab?.point()) yield STEP;
  store(s.mapping, pfn, 0);
  write(s.private, pfn, 0);
  write(s.mapcount, pfn, 0);
  return pfn;
}

/** Drops `references`; the last one frees the frame. */
export function* putFolio(task: Task, m: Machine, pfn: number, references = 1): Op<void> {
  if (lab?.point()) yield STEP;
  const before = add(m.state.refcount, pfn, -references);
  if (before === references) yield* freePage(task, m, pfn);
  else if (before < references) {
    throw new KernelBug(
      `BUG: refcount of folio ${String(pfn)} underflows: ${String(before - references)}`,
    );
  }
}

/** Puts a frame whose last reference is gone back on the free list. */
export function* freePage(task: Task, m: Machine, pfn: number): Op<void> {
  const s = m.state;
  if (pfn === 0) throw new InvariantError('frame 0 is never handed out');
  yield* spinLock(task, m.zoneLock, 0);
  write(s.next, pfn, read(s.global, GLOBAL.freeHead));
  write(s.global, GLOBAL.freeHead, pfn);
  write(s.global, GLOBAL.freeCount, read(s.global, GLOBAL.freeCount) + 1);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.zoneLock, 0);
}
