// Page tables: one word per virtual page, flat per address space, and the emulated TLB.
//
//   PTE   pfn (bits 8-31) | DIRTY | WRITE | PRESENT; 0 if nothing is mapped
//
// A CPU that stores through a PTE publishes the PTE's number in its TLB slot, looks at the PTE
// again, stores, and takes the slot back. Whoever write-protects a PTE then waits until no CPU holds
// that translation: a TLB shootdown. Without it a store could land after mkclean unnoticed, which
// real hardware doesn't allow.

import type { Machine } from '../machine.js';
import { PTES_PER_TABLE } from '../memory/layout.js';
import { load } from '../memory/word.js';
import { type Op, spinOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';

export const PTE = { present: 1, write: 2, dirty: 4, pfnShift: 8 } as const;

/** Number of the PTE of virtual page `vpn` of address space `mm`. */
export function pteIndex(m: Machine, mm: number, vpn: number): number {
  return mm * m.geometry.mmPages + vpn;
}

/** Number of the page-table lock that covers virtual page `vpn` of `mm`. */
export function ptlIndex(m: Machine, mm: number, vpn: number): number {
  return mm * Math.ceil(m.geometry.mmPages / PTES_PER_TABLE) + Math.floor(vpn / PTES_PER_TABLE);
}

/** Waits until no CPU stores through this PTE any more (flush_tlb_page). Spins; fine under the PTL. */
export function* flushTlb(task: Task, m: Machine, pte: number): Op<void> {
  const { tlb } = m.state;
  for (let cpu = 0; cpu < tlb.length; cpu++) {
    for (;;) {
      if (lab?.point()) yield STEP;
      if (load(tlb, cpu) !== pte + 1) break;
      yield spinOn(task, tlb, cpu, pte + 1);
    }
  }
}
