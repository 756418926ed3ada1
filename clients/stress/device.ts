// The job of one device: it stores into pages that CPUs have pinned and handed over, and into pages
// that it has registered for long. It asks nobody, as hardware does.

import { deviceStore } from '../../engine/dma/device.js';
import {
  type Registration,
  rdmaDeregister,
  rdmaRegister,
  rdmaWrite,
} from '../../engine/dma/rdma.js';
import { giveLease, isLeaseBroken, takeLease } from '../../engine/mm/lease.js';
import type { BlockingDriver } from '../../engine/sched/blocking.js';
import { Errno } from '../../engine/sched/errors.js';
import { type Op, sleepOn } from '../../engine/sched/op.js';
import { type DmaQueue, SLOT } from './dma-queue.js';
import { type Job, report, Scratch, type Spot, sharedFile } from './job.js';
import {
  REGISTERED_PAGES,
  REGISTRATION_MS_MAX,
  REGISTRATION_MS_MIN,
  REGISTRATION_PAGES,
} from './limits.js';
import { type FilePlan, rowOf } from './plan.js';
import { CELL_BYTES, writeStamp } from './stamp.js';
import { EVENT } from './tables.js';

/** How long a device rests when it has nothing to do, and at most between two stores of one DMA. */
const REST_MS = 1;
const STORE_GAP_US = 300;
/** Stores that one DMA makes to a page. */
const STORES_MAX = 3;
/** How long after a refused registration it tries again. */
const REFUSED_MS = 100;

interface Held {
  readonly registration: Registration;
  readonly file: FilePlan;
  readonly page: number;
  /** Cuts of each page that had ended when the pin began. */
  readonly cuts: readonly number[];
  readonly untilMs: number;
  readonly leased: boolean;
}

/** Runs device `job.worker` until the board says stop and no CPU can hand it anything any more. */
export function runDevice(job: Job, driver: BlockingDriver, cpusRun: () => boolean): void {
  const { m, task, board } = job;
  const device = new Device(job, job.queues[job.worker - job.plan.cpus]);
  while (!m.panicked && (!board.stopping || cpusRun())) driver.run(task, device.turn());
  if (!m.panicked) driver.run(task, device.quit());
}

class Device {
  private readonly scratch = new Scratch();
  private readonly one = new Int32Array(1);
  private held: Held | null = null;
  private nextSlot = 0;
  private notBeforeMs = 0;

  constructor(
    private readonly job: Job,
    private readonly queue: DmaQueue,
  ) {}

  /** Serves what is queued, or stores into its registration, or rests. */
  *turn(): Op<void> {
    const { job, queue } = this;
    const seen = queue.bell;
    const slot = queue.pending(this.nextSlot);
    if (slot >= 0) {
      this.nextSlot = slot + 1;
      yield* this.serve(slot);
    }
    const now = performance.now();
    if (this.held !== null) {
      const broken = isLeaseBroken(job.m, job.inodes[this.held.file.number]);
      if (broken || now >= this.held.untilMs || job.board.stopping) yield* this.quit();
      else yield* this.storeRegistered(this.held);
    } else if (now >= this.notBeforeMs && !job.board.stopping) {
      yield* this.register();
    }
    if (slot < 0) yield sleepOn(job.task, queue.words, 0, seen, false, REST_MS);
  }

  /** Deregisters what is held. */
  *quit(): Op<void> {
    const { held, job } = this;
    if (held === null) return;
    this.held = null;
    yield* rdmaDeregister(job.task, job.m, held.registration);
    if (held.leased) yield* giveLease(job.m, job.inodes[held.file.number], job.mm);
    for (let i = 0; i < held.cuts.length; i++) {
      job.tables.note(held.file, held.page + i, EVENT.longUnpin);
      Atomics.sub(job.tables.longPins, held.file.firstPage + held.page + i, 1);
    }
    job.board.add(job.worker, 'long-unpin');
  }

  /** A page of a CPU: stores to it a few times within its pin. */
  private *serve(slot: number): Op<void> {
    const { job, queue, one } = this;
    const file = job.plan.files[queue.field(slot, SLOT.file)];
    const page = queue.field(slot, SLOT.page);
    const cuts = queue.field(slot, SLOT.cuts);
    one[0] = queue.field(slot, SLOT.pfn);
    const spot = { file, page };
    const stores = 1 + job.random.below(STORES_MAX);
    let sequence = 0;
    let accountable = true;
    for (let i = 0; i < stores; i++) {
      if (job.random.oneIn(2)) yield* this.rest(job.random.below(STORE_GAP_US) / 1000);
      accountable = !job.tables.cutSince(file, page, cuts);
      sequence = this.stamp(spot);
      yield* deviceStore(job.m, one, 1, job.worker * CELL_BYTES, this.scratch.cell);
      this.count(spot);
    }
    queue.complete(slot, sequence, accountable);
  }

  /** All pages of the registration, each once. */
  private *storeRegistered(held: Held): Op<void> {
    const { job } = this;
    const { tables, worker } = job;
    for (let i = 0; i < held.cuts.length; i++) {
      const spot = { file: held.file, page: held.page + i };
      const accountable = !tables.cutSince(spot.file, spot.page, held.cuts[i]);
      const sequence = this.stamp(spot);
      yield* rdmaWrite(job.m, held.registration, i, worker * CELL_BYTES, this.scratch.cell);
      // The peer is told at once; the pin goes on.
      if (accountable) tables.answer(spot.file, spot.page, worker, sequence, held.cuts[i]);
      this.count(spot);
    }
    yield* this.rest(job.random.below(STORE_GAP_US) / 1000);
  }

  /** Registers pages for long: writable pins of a file, which most rules refuse. */
  private *register(): Op<void> {
    const { job } = this;
    const { tables, random, board, worker, m } = job;
    const file = sharedFile(job);
    const pages = 1 + random.below(REGISTRATION_PAGES);
    const page = random.below(REGISTERED_PAGES - pages + 1);
    const inode = job.inodes[file.number];
    const leased = m.profile.longtermFilePin === 'lease';
    const cuts = Array.from({ length: pages }, (_, i) => tables.cutsBefore(file, page + i));
    this.notBeforeMs = performance.now() + random.below(REFUSED_MS);
    let hasLease = false;
    try {
      if (leased) {
        yield* takeLease(m, inode, job.mm);
        hasLease = true;
      }
      const vpn = job.vpns[file.number] + page;
      const registration = yield* rdmaRegister(job.task, m, job.mm, vpn, pages);
      const term = random.below(REGISTRATION_MS_MAX - REGISTRATION_MS_MIN);
      const untilMs = performance.now() + REGISTRATION_MS_MIN + term;
      this.held = { registration, file, page, cuts, untilMs, leased };
    } catch (error) {
      if (hasLease) yield* giveLease(m, inode, job.mm);
      if (!(error instanceof Errno) || m.panicked) throw error;
      this.refused(error, { file, page }, cuts);
      return;
    }
    for (let i = 0; i < pages; i++) {
      tables.throughPin[rowOf(file, page + i, worker)] = 1;
      Atomics.add(tables.longPins, file.firstPage + page + i, 1);
      tables.note(file, page + i, EVENT.longPin);
    }
    board.add(worker, 'long-pin');
    board.add(worker, 'pagesPinned', pages);
  }

  /** Refused by the rules, or by a lease that another has, or because the file is just being cut. */
  private refused(error: Errno, spot: Spot, cuts: readonly number[]): void {
    const { job } = this;
    const cut = cuts.some((count, i) => job.tables.cutSince(spot.file, spot.page + i, count));
    if (error.code === 'EFAULT' || error.code === 'EAGAIN' || (error.code === 'EIO' && cut)) {
      job.board.add(job.worker, 'long-pin-refused');
    } else {
      report(job, 'spurious-error', null, spot, error.message);
    }
  }

  private stamp(spot: Spot): number {
    const { tables, worker } = this.job;
    const sequence = tables.begin(spot.file, spot.page, worker);
    writeStamp(this.scratch.cellWords, 0, worker, sequence, spot.file.number, spot.page);
    return sequence;
  }

  private count(spot: Spot): void {
    const { tables, board, worker } = this.job;
    tables.note(spot.file, spot.page, EVENT.dma);
    board.add(worker, 'dma-write');
    board.add(worker, 'dmaBytes', CELL_BYTES);
  }

  private *rest(ms: number): Op<void> {
    const { board, task } = this.job;
    if (!board.stopping) yield sleepOn(task, board.control, 0, 0, false, ms);
  }
}
