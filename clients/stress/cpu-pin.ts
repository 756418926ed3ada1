// Short pins of a CPU: pages handed to devices as direct I/O does, process_vm_writev, vmsplice.

import { dropPages, holdPages } from '../../engine/dma/hold.js';
import { readPipe, type SplicePipe, vmsplice } from '../../engine/dma/vmsplice.js';
import { processVmWritev } from '../../engine/dma/vmwritev.js';
import { FOLL } from '../../engine/mm/gup.js';
import type { Op } from '../../engine/sched/op.js';
import { type DmaQueue, SLOT } from './dma-queue.js';
import { type Job, type Scratch, type Spot, tolerate, unregisteredSpot } from './job.js';
import { BATCH_PAGES, OUTSTANDING_MAX, SHORT_PIN_MS } from './limits.js';
import { rowOf } from './plan.js';
import { CELL_BYTES, PAGE_BYTES, writeStamp } from './stamp.js';
import { EVENT } from './tables.js';

/** Pages that are pinned and in the hands of a device. */
interface Outstanding {
  readonly queue: DmaQueue;
  readonly device: number;
  readonly spot: Spot;
  readonly pfns: Int32Array;
  readonly slots: number[];
  /** When to unpin, once the device is done; 0: it is not yet. */
  dueMs: number;
}

/** The short pins of one CPU. */
export class ShortPins {
  private readonly out: Outstanding[] = [];
  private readonly pages = new Int32Array(BATCH_PAGES);

  constructor(private readonly job: Job) {}

  get count(): number {
    return this.out.length;
  }

  /** Pins pages for writing and hands them to a device, as a direct read into a mapping does. */
  *handOver(): Op<void> {
    const { job } = this;
    const { plan, random, tables, board, m, task } = job;
    if (plan.devices === 0 || this.out.length >= OUTSTANDING_MAX) return;
    const device = random.below(plan.devices);
    const queue = job.queues[device];
    const spot = unregisteredSpot(job);
    const want = Math.min(1 + random.below(BATCH_PAGES), spot.file.pages - spot.page);
    const slots = this.claim(queue, device, spot, want);
    if (slots.length === 0) return;
    const cuts = slots.map((_, i) => tables.cutsBefore(spot.file, spot.page + i));
    let held = 0;
    try {
      const vpn = job.vpns[spot.file.number] + spot.page;
      held = yield* holdPages(
        task,
        m,
        job.mm,
        vpn,
        slots.length,
        FOLL.write,
        job.m.profile.directIoReference,
        this.pages,
      );
    } catch (error) {
      tolerate(job, error, spot, cuts[0]);
    }
    for (let i = held; i < slots.length; i++) this.release(queue, device, spot, slots, i);
    if (held === 0) return;
    board.add(job.worker, 'short-pin');
    board.add(job.worker, 'pagesPinned', held);
    const pfns = this.pages.slice(0, held);
    this.out.push({ queue, device, spot, pfns, slots: slots.slice(0, held), dueMs: 0 });
    for (let i = 0; i < held; i++) {
      tables.note(spot.file, spot.page + i, EVENT.shortPin);
      queue.submit(slots[i], pfns[i], spot.file.number, spot.page + i, cuts[i]);
    }
  }

  /** Unpins what devices are done with; with `all`, waits for everything. */
  *reap(all: boolean): Op<void> {
    for (let i = 0; i < this.out.length; ) {
      const one = this.out[i];
      if (!this.isDue(one, all)) i++;
      else {
        this.out.splice(i, 1);
        yield* this.unpin(one);
      }
    }
  }

  private isDue(one: Outstanding, all: boolean): boolean {
    for (const slot of one.slots) {
      while (all && !one.queue.isDone(slot) && !this.job.m.panicked) one.queue.await(slot, 20);
      if (!one.queue.isDone(slot)) return false;
    }
    const now = performance.now();
    if (one.dueMs === 0) one.dueMs = now + (this.job.random.below(1000) / 1000) * SHORT_PIN_MS;
    return all || now >= one.dueMs;
  }

  private *unpin(one: Outstanding): Op<void> {
    const { job } = this;
    const { tables, plan } = job;
    yield* dropPages(
      job.task,
      job.m,
      one.pfns,
      one.pfns.length,
      job.m.profile.directIoReference,
      true,
    );
    // The direct I/O is answered now, not when the device was done: before, nobody knew of it.
    for (let i = 0; i < one.slots.length; i++) {
      const slot = one.slots[i];
      if (one.queue.field(slot, SLOT.accountable) === 1) {
        const sequence = one.queue.field(slot, SLOT.sequence);
        const cuts = one.queue.field(slot, SLOT.cuts);
        const { file, page } = one.spot;
        tables.answer(file, page + i, plan.cpus + one.device, sequence, cuts);
      }
      this.release(one.queue, one.device, one.spot, one.slots, i);
    }
  }

  /** Slots of the queue, as many as the next pages of the spot have no pin out for this device. */
  private claim(queue: DmaQueue, device: number, spot: Spot, want: number): number[] {
    const { tables, plan } = this.job;
    const slots: number[] = [];
    for (let i = 0; i < want; i++) {
      const row = rowOf(spot.file, spot.page + i, plan.cpus + device);
      if (Atomics.compareExchange(tables.pinned, row, 0, 1) !== 0) break;
      const slot = queue.claim();
      if (slot < 0) {
        Atomics.store(tables.pinned, row, 0);
        break;
      }
      tables.throughPin[row] = 1;
      slots.push(slot);
    }
    return slots;
  }

  private release(
    queue: DmaQueue,
    device: number,
    spot: Spot,
    slots: readonly number[],
    i: number,
  ): void {
    const { tables, plan } = this.job;
    queue.release(slots[i]);
    Atomics.store(tables.pinned, rowOf(spot.file, spot.page + i, plan.cpus + device), 0);
  }
}

const pfns = new Int32Array(BATCH_PAGES);

/** process_vm_writev into the CPU's own cell: a store through a pin. */
export function* remoteWrite(job: Job, scratch: Scratch): Op<void> {
  const { m, task, tables, worker, board } = job;
  const spot = unregisteredSpot(job);
  const { file, page } = spot;
  const cuts = tables.cutsBefore(file, page);
  tables.throughPin[rowOf(file, page, worker)] = 1;
  const sequence = tables.begin(file, page, worker);
  writeStamp(scratch.cellWords, 0, worker, sequence, file.number, page);
  const address = (job.vpns[file.number] + page) * PAGE_BYTES + worker * CELL_BYTES;
  tables.note(file, page, EVENT.shortPin);
  try {
    yield* processVmWritev(task, m, job.mm, address, scratch.cell, pfns);
  } catch (error) {
    tolerate(job, error, spot, cuts);
    return;
  }
  // Through a pin that may be older than a cut: then the page is out of the account.
  if (!tables.cutSince(file, page, cuts)) tables.answer(file, page, worker, sequence, cuts);
  board.add(worker, 'process_vm_writev');
  board.add(worker, 'pagesPinned');
  board.add(worker, 'storeBytes', CELL_BYTES);
}

/** vmsplice: pages held by plain references in a pipe, read and let go a little later. */
export function* splice(job: Job, pipe: SplicePipe, target: Uint8Array): Op<void> {
  const spot = unregisteredSpot(job);
  const cuts = job.tables.cutsBefore(spot.file, spot.page);
  if (pipe.count > pipe.pagesMax / 2) yield* readPipe(job.task, job.m, pipe, target);
  try {
    const vpn = job.vpns[spot.file.number] + spot.page;
    const pages = Math.min(BATCH_PAGES, spot.file.pages - spot.page);
    yield* vmsplice(job.task, job.m, job.mm, vpn, pages, pipe);
  } catch (error) {
    tolerate(job, error, spot, cuts);
    return;
  }
  job.board.add(job.worker, 'vmsplice');
}
