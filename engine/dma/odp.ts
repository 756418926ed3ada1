// ODP (on-demand paging): a device that pins nothing. It has page tables of its own, forgets an
// entry when the MMU notifier says so, and faults to get it again (proposal P9; Linux:
// drivers/infiniband/core/umem_odp.c and the interval notifiers of mm/mmu_notifier.c).
//
//   words:  sequence | invalidations that run | pfn that it may write to, or 0 | is it storing?
//
// A fault reads the sequence before it looks at the PTE, and again after it has entered the pfn: an
// invalidation in between counts the sequence up, and the fault starts over (mmu_interval_read_begin
// and _retry). The last word is the device's TLB: an invalidation waits until no store is in flight.

import type { Machine } from '../machine.js';
import { add, load, store } from '../memory/word.js';
import { faultIn } from '../mm/access.js';
import { storeBytes } from '../mm/content.js';
import type { MmuNotifier } from '../mm/mmu-notifier.js';
import { PTE, pteIndex } from '../mm/pte.js';
import { type Op, sleepOn, spinOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';

/** Words of shared state that a region of one page takes. */
export const ODP_WORDS = 4;

const SEQUENCE = 0;
const RUNNING = 1;
const ENTRY = 2;
const STORING = 3;

const WRITABLE = PTE.present | PTE.write;

/** One page of a process that a device may write to. Has no state but its words: make one where it is needed. */
export class OdpPage implements MmuNotifier {
  /**
   * @param words shared, all 0 at first
   * @param at where its ODP_WORDS words start
   */
  constructor(
    private readonly m: Machine,
    private readonly mm: number,
    private readonly vpn: number,
    private readonly words: Int32Array,
    private readonly at: number,
  ) {}

  *invalidateStart(task: Task, mm: number, vpn: number): Op<void> {
    if (mm !== this.mm || vpn !== this.vpn) return;
    const { words, at } = this;
    if (lab?.point()) yield STEP;
    add(words, at + RUNNING, 1);
    if (lab?.point()) yield STEP;
    add(words, at + SEQUENCE, 1);
    if (lab?.point()) yield STEP;
    store(words, at + ENTRY, 0);
    for (;;) {
      if (lab?.point()) yield STEP;
      if (load(words, at + STORING) === 0) return;
      yield spinOn(task, words, at + STORING, 1);
    }
  }

  *invalidateEnd(_task: Task, mm: number, vpn: number): Op<void> {
    if (mm !== this.mm || vpn !== this.vpn) return;
    if (lab?.point()) yield STEP;
    add(this.words, this.at + RUNNING, -1);
    wake(this.words, this.at + RUNNING);
  }

  /**
   * The device stores `data` at a byte offset of the page, with a fault if it has no entry for it.
   * @throws Errno EFAULT, EIO, ENOSPC, ENOMEM: the fault failed, and the peer is told
   */
  *store(task: Task, offsetBytes: number, data: Uint8Array): Op<void> {
    const { words, at } = this;
    for (;;) {
      if (lab?.point()) yield STEP;
      store(words, at + STORING, 1);
      if (lab?.point()) yield STEP;
      const pfn = load(words, at + ENTRY);
      if (pfn !== 0) yield* storeBytes(this.m, pfn, offsetBytes, data);
      if (lab?.point()) yield STEP;
      store(words, at + STORING, 0);
      if (pfn !== 0) return;
      yield* this.fault(task);
    }
  }

  /** Enters the page that the process's PTE lets it write to (hmm_range_fault). */
  private *fault(task: Task): Op<void> {
    const { m, mm, vpn, words, at } = this;
    for (;;) {
      if (lab?.point()) yield STEP;
      const sequence = load(words, at + SEQUENCE);
      if (lab?.point()) yield STEP;
      const running = load(words, at + RUNNING);
      if (running !== 0) {
        yield sleepOn(task, words, at + RUNNING, running);
        continue;
      }
      yield* faultIn(task, m, mm, vpn, true);
      if (lab?.point()) yield STEP;
      const entry = load(m.state.pte, pteIndex(m, mm, vpn));
      if ((entry & WRITABLE) !== WRITABLE) continue;
      if (lab?.point()) yield STEP;
      store(words, at + ENTRY, entry >>> PTE.pfnShift);
      if (lab?.point()) yield STEP;
      if (load(words, at + SEQUENCE) === sequence) return;
      if (lab?.point()) yield STEP;
      store(words, at + ENTRY, 0);
    }
  }
}
