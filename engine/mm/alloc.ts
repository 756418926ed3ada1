// The page allocator: a list of free frames under the zone lock.
//
// A fast GUP that looked at a stale PTE may for a moment add references to a frame that nobody
// owns, and take them back. So the count of a free frame is FREE, far below 0, where such passing
// references never look like one to share; and whoever brings a count to 0, even by taking a
// passing reference back, frees the frame by the cas from 0 to FREE that only one of them wins.

import type { Machine } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { add, cas, load, read, store, write } from '../memory/word.js';
import { InvariantError, KernelBug } from '../sched/errors.js';
import { spinUnlock, takeSpinLock, waitSpinLock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { FREE, PG, PIN_BIAS } from './folio.js';

/** Puts all frames but number 0 on the free list. Once, before the machine runs. */
export function initAllocator(m: Machine): void {
  const { next, global, refcount } = m.state;
  refcount[0] = 1;
  for (let pfn = 1; pfn < m.geometry.pages; pfn++) {
    refcount[pfn] = FREE;
    next[pfn] = pfn + 1 < m.geometry.pages ? pfn + 1 : 0;
  }
  global[GLOBAL.freeHead] = m.geometry.pages > 1 ? 1 : 0;
  global[GLOBAL.freeCount] = m.geometry.pages - 1;
}

/** A frame with one reference, not zeroed; 0 if there is none free. May use what is kept for writeback. */
export function* allocPage(task: Task, m: Machine): Op<number> {
  return yield* takeFrame(task, m, 0);
}

/** As allocPage(), but 0 also if not more than `leave` frames are free. */
export function* takeFrame(task: Task, m: Machine, leave: number): Op<number> {
  const s = m.state;
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.zoneLock, 0)) yield* waitSpinLock(task, m.zoneLock, 0);
  const pfn = read(s.global, GLOBAL.freeCount) > leave ? read(s.global, GLOBAL.freeHead) : 0;
  if (pfn !== 0) {
    write(s.global, GLOBAL.freeHead, read(s.next, pfn));
    write(s.global, GLOBAL.freeCount, read(s.global, GLOBAL.freeCount) - 1);
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.zoneLock, 0);
  if (pfn === 0) return 0;
  if (lab?.point()) yield STEP;
  add(s.refcount, pfn, 1 - FREE);
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
  if (before <= references) yield* lastPut(task, m, pfn, before, references);
  // 1,024 plain references look like a pin: whoever waits for pins to be gone hears of the last one too.
  if (before >= PIN_BIAS && before - references < PIN_BIAS && m.pinWaits) {
    wake(m.state.refcount, pfn);
  }
}

/** After references were dropped from a count of `before`, not more than they are. */
export function* lastPut(
  task: Task,
  m: Machine,
  pfn: number,
  before: number,
  references: number,
): Op<void> {
  if (before === references) {
    yield* freeUnused(task, m, pfn);
    return;
  }
  const after = String(before - references);
  throw new KernelBug(`BUG: refcount of folio ${String(pfn)} underflows: ${after}`);
}

/** Takes back references that were added to a count that was not above 0: a try that failed. */
export function* undoGet(task: Task, m: Machine, pfn: number, references: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (add(m.state.refcount, pfn, -references) === references) yield* freeUnused(task, m, pfn);
}

/** Frees a frame whose count has come to 0, unless a passing reference is just there: that one will. */
export function* freeUnused(task: Task, m: Machine, pfn: number): Op<void> {
  if (lab?.point()) yield STEP;
  if (cas(m.state.refcount, pfn, 0, FREE) === 0) yield* freeFrozen(task, m, pfn);
}

/** Puts a frame whose count was brought to FREE back on the free list. */
export function* freeFrozen(task: Task, m: Machine, pfn: number): Op<void> {
  const s = m.state;
  if (pfn === 0) throw new InvariantError('frame 0 is never handed out');
  if (lab?.point()) yield STEP;
  const flags = load(s.flags, pfn);
  if ((flags & (PG.locked | PG.writeback | PG.private)) !== 0) {
    throw new KernelBug(
      `BUG: Bad page state: pfn ${String(pfn)} freed with flags ${String(flags)}`,
    );
  }
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.zoneLock, 0)) yield* waitSpinLock(task, m.zoneLock, 0);
  write(s.next, pfn, read(s.global, GLOBAL.freeHead));
  write(s.global, GLOBAL.freeHead, pfn);
  write(s.global, GLOBAL.freeCount, read(s.global, GLOBAL.freeCount) + 1);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.zoneLock, 0);
}
