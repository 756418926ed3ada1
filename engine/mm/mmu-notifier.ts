// What mm tells a device that has page tables of its own and pins nothing (Linux:
// mm/mmu_notifier.c). A machine without such a device asks once, and finds none.

import type { Op, Task } from '../sched/op.js';

export interface MmuNotifier {
  /**
   * A PTE is about to be write-protected or taken away: the device forgets what it knows of the
   * page, and has finished every store through it when this returns. Before the PTL is taken.
   */
  invalidateStart(task: Task, mm: number, vpn: number): Op<void>;

  /** The PTE has been changed: the device may look at it again. After the PTL was released. */
  invalidateEnd(task: Task, mm: number, vpn: number): Op<void>;
}
