// Bringing pages of a file to its blocks in batches: which block each goes to, requests in flight, and
// what follows when they are answered. Used by writepages (folios) and direct I/O (bare frames).

import { add, load, or, read, store, write } from '../memory/word.js';
import { lastPut, putFolio } from '../mm/alloc.js';
import { checksumFrame } from '../mm/content.js';
import { endWriteback, endWritebackOf } from '../mm/dirty.js';
import { PG, unlockFolio } from '../mm/folio.js';
import { Errno } from '../sched/errors.js';
import { downRead, upRead } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { claimRun, endRun, type Run, reserve, unclaim, unreserve } from './alloc.js';
import { WriteBatch } from './batch.js';
import { inodeName, ip, type Vol } from './core.js';
import { recordError } from './errseq.js';
import { lookupExtent, type Mapping } from './extents.js';
import { BUFFER_STATE, IP, VOL } from './layout.js';
import { readBack } from './read-back.js';
import { recordWritten } from './written.js';

/** Requests of one writer that are in flight. */
const IN_FLIGHT_MAX = 8;

/** Most blocks claimed at once. */
const CLAIM_MAX = 256;

/** Of the blocks that nobody has reserved, a run takes at most 1 / 2^2 ahead. */
const AHEAD_SHIFT = 2;

/** The state of one writepages or direct write: the batch that is being filled, those in flight, claimed blocks. */
export class Writer {
  written = 0;
  /** Bounce pages taken since the last drain(). */
  bounced = 0;
  error: Errno | null = null;
  private batch: WriteBatch | null = null;
  private readonly inFlight: WriteBatch[] = [];
  private readonly run: Run = { start: 0, length: 0 };
  private hasRun = false;
  private readonly map: Mapping = { phys: 0, length: 0 };
  private mapStart = 0;
  private mapSeq = 0;

  constructor(
    private readonly v: Vol,
    private readonly inode: number,
  ) {}

  /** Takes a folio that is locked and under writeback, with a reference; unlocks it. */
  *add(task: Task, pfn: number, index: number, frame: number): Op<void> {
    const { v } = this;
    const { m } = v;
    let block = 0;
    if (!v.noOverwrite) {
      if (lab?.point()) yield STEP;
      block = this.remembered(index, load(m.state.iPrivate, ip(this.inode, IP.mapSeq)));
      if (block === 0) block = yield* this.mapped(task, index);
    }
    const fresh = block === 0;
    if (fresh) {
      block = yield* this.claim(task, pfn, index);
      if (block === 0) {
        yield* this.lose(task, pfn, frame);
        return;
      }
    } else if ((read(m.state.private, pfn) & BUFFER_STATE.reserved) !== 0) {
      write(m.state.private, pfn, BUFFER_STATE.mapped);
      if (lab?.point()) yield STEP;
      unreserve(v, 1);
    }
    let batch = this.batch;
    if (batch === null || !batch.takes(block, fresh)) batch = yield* this.nextBatch(task);
    // The checksum is of the page as it is now; what the device reads later may differ (H1-b).
    const sum = v.checksums ? yield* checksumFrame(m, frame) : 0;
    batch.add(block, fresh, frame, pfn, index, sum);
    if (frame !== pfn) this.bounced++;
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
  }

  /** Takes a frame of a direct write. @throws Errno ENOSPC */
  *addFrame(task: Task, index: number, frame: number): Op<void> {
    const { v } = this;
    const block = v.noOverwrite ? 0 : yield* this.mapped(task, index);
    if (block === 0 && !(yield* reserve(v, 1, v.heldBack))) {
      throw new Errno(
        'ENOSPC',
        `no block for page ${String(index)} of ${inodeName(v.m, this.inode)}`,
      );
    }
    const target = block === 0 ? yield* this.nextClaimed(task, CLAIM_MAX) : block;
    let batch = this.batch;
    if (batch === null || !batch.takes(target, block === 0)) batch = yield* this.nextBatch(task);
    const sum = v.checksums ? yield* checksumFrame(v.m, frame) : 0;
    batch.add(target, block === 0, frame, 0, index, sum);
  }

  /** Submits the batch that is being filled; the next one, empty. */
  private *nextBatch(task: Task): Op<WriteBatch> {
    if (this.batch !== null) yield* this.submit(task);
    const batch = this.v.batches.pop() ?? new WriteBatch();
    this.batch = batch;
    return batch;
  }

  /** Submits what is left, waits for all, and gives back what was claimed too much. */
  *finish(task: Task): Op<void> {
    yield* this.drain(task);
    yield* this.dropRun(task);
  }

  /** Submits what is left and waits for all: gives bounce pages back. */
  *drain(task: Task): Op<void> {
    if (this.batch !== null) yield* this.submit(task);
    while (this.inFlight.length > 0) yield* this.complete(task);
    this.bounced = 0;
  }

  /** The block that page `index` has, from the last lookup if no extents were removed since; or 0. */
  private remembered(index: number, seq: number): number {
    const into = index - this.mapStart;
    const { map } = this;
    if (seq !== this.mapSeq || map.phys === 0 || into < 0 || into >= map.length) return 0;
    return map.phys + into;
  }

  /** The block that page `index` has, or 0. The caller holds the folio lock, so it stays. */
  private *mapped(task: Task, index: number): Op<number> {
    const { v, inode, map } = this;
    if (lab?.point()) yield STEP;
    this.mapSeq = load(v.m.state.iPrivate, ip(inode, IP.mapSeq));
    this.mapStart = index;
    yield* downRead(task, v.m.iDataSem, inode);
    try {
      yield* lookupExtent(task, v, inode, index, map);
    } finally {
      if (lab?.point()) yield STEP;
      upRead(task, v.m.iDataSem, inode);
    }
    return map.phys;
  }

  /** A claimed block for a locked folio, from its reservation; 0 if a rule in force lost that. */
  private *claim(task: Task, pfn: number, index: number): Op<number> {
    const { v, inode } = this;
    const { m } = v;
    const state = read(m.state.private, pfn);
    if ((state & BUFFER_STATE.reserved) === 0 && !(yield* reserve(v, 1, 0))) {
      m.report({
        kind: 'late-enospc',
        hazard: 'H1-e',
        task: task.name,
        message: `no block is left for dirty page ${String(index)} of ${inodeName(m, inode)}, which had no reservation: its data are lost`,
        page: { ino: read(m.state.ino, inode), index, pfn },
      });
      this.error ??= new Errno(
        'ENOSPC',
        `no block for page ${String(index)} of ${inodeName(m, inode)}`,
      );
      return 0;
    }
    // Dirty again already (a pinned page that stays dirty): that write needs a block of its own.
    if (lab?.point()) yield STEP;
    const again = v.noOverwrite && (load(m.state.flags, pfn) & PG.dirty) !== 0;
    const keeps = again && (yield* reserve(v, 1, v.heldBack));
    write(m.state.private, pfn, BUFFER_STATE.mapped | (keeps ? BUFFER_STATE.reserved : 0));
    const cached = Atomics.load(m.state.nrPages, inode) - this.written;
    this.written++;
    return yield* this.nextClaimed(task, cached);
  }

  /** The next block of the claimed run, or of a new one of about `want`. */
  private *nextClaimed(task: Task, want: number): Op<number> {
    const { v, run } = this;
    const { iPrivate } = v.m.state;
    const at = ip(this.inode, IP.goal);
    if (run.length === 0) {
      yield* this.dropRun(task);
      if (lab?.point()) yield STEP;
      const goal = load(iPrivate, at);
      const ahead = yield* this.reserveAhead(Math.min(CLAIM_MAX, want) - 1);
      yield* claimRun(task, v, goal, 1 + ahead, run);
      this.hasRun = true;
      if (lab?.point()) yield STEP;
      unreserve(v, 1 + ahead - run.length);
    } else {
      // Reserved twice: with the run, and for the page.
      if (lab?.point()) yield STEP;
      unreserve(v, 1);
    }
    run.length--;
    const block = run.start++;
    if (run.length === 0) {
      if (lab?.point()) yield STEP;
      store(iPrivate, at, run.start);
    }
    return block;
  }

  /**
   * Reserves blocks for a run before their pages come, while there are plenty. Without that, somebody
   * with a reservation could find all free blocks claimed: in a handle he must not wait for this writer,
   * who may wait for a commit, and so for that handle.
   * @returns how many, perhaps 0
   */
  private *reserveAhead(want: number): Op<number> {
    const { v } = this;
    if (lab?.point()) yield STEP;
    const spare = (load(v.words, VOL.available) - v.heldBack) >> AHEAD_SHIFT;
    const count = Math.min(want, spare);
    return count > 0 && (yield* reserve(v, count, v.heldBack)) ? count : 0;
  }

  /** Ends the writeback of a folio that can't be written. */
  private *lose(task: Task, pfn: number, frame: number): Op<void> {
    const { m } = this.v;
    if (lab?.point()) yield STEP;
    or(m.state.flags, pfn, PG.error);
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
    yield* this.fail(this.error);
    yield* this.release(task, pfn, frame);
  }

  private *submit(task: Task): Op<void> {
    const batch = this.batch;
    if (batch === null) return;
    this.batch = null;
    batch.ticket = yield* this.v.queue.submit(task, batch);
    this.inFlight.push(batch);
    if (this.inFlight.length >= IN_FLIGHT_MAX) yield* this.complete(task);
  }

  /** Waits for the oldest batch in flight and makes its blocks the file's. */
  private *complete(task: Task): Op<void> {
    const { v, inode } = this;
    const batch = this.inFlight.shift();
    if (batch === undefined) return;
    let failure: Errno | null = null;
    try {
      yield* v.queue.wait(task, batch.ticket);
      if (v.readBack && v.checksums) yield* readBack(task, v, inode, batch);
      yield* recordWritten(task, v, inode, batch);
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      failure = error;
      yield* this.fail(error);
      // Blocks that did not become the file's stay claimed until the next mount: a failed handle
      // may have entered some of them.
    }
    if (batch.pfns[0] !== 0) yield* this.endBatch(task, batch, failure !== null);
    if (!batch.fresh) this.written += batch.count;
    batch.reset();
    v.batches.push(batch);
  }

  /** Ends the writeback of a batch of folios and lets go of them. */
  private *endBatch(task: Task, batch: WriteBatch, failed: boolean): Op<void> {
    const { m } = this.v;
    const { pfns, frames, count } = batch;
    for (let i = 0; i < count; i++) {
      if (failed) {
        if (lab?.point()) yield STEP;
        or(m.state.flags, pfns[i], PG.error);
      }
      if (frames[i] !== pfns[i]) yield* putFolio(task, m, frames[i]);
    }
    yield* endWritebackOf(task, m, this.inode, pfns, count);
    for (let i = 0; i < count; i++) {
      if (lab?.point()) yield STEP;
      const before = add(m.state.refcount, pfns[i], -1);
      if (before <= 1) yield* lastPut(task, m, pfns[i], before, 1);
    }
  }

  private *release(task: Task, pfn: number, frame: number): Op<void> {
    const { m } = this.v;
    if (frame !== pfn) yield* putFolio(task, m, frame);
    yield* endWriteback(task, m, this.inode, pfn);
    yield* putFolio(task, m, pfn);
  }

  private *fail(error: Errno | null): Op<void> {
    if (error === null) return;
    this.error ??= error;
    yield* recordError(this.v, this.inode, error);
  }

  private *dropRun(task: Task): Op<void> {
    if (!this.hasRun) return;
    this.hasRun = false;
    const { run } = this;
    if (run.length > 0) {
      yield* unclaim(task, this.v, run.start, run.length);
      if (lab?.point()) yield STEP;
      unreserve(this.v, run.length);
      if (lab?.point()) yield STEP;
      store(this.v.m.state.iPrivate, ip(this.inode, IP.goal), run.start);
      run.length = 0;
    }
    yield* endRun(this.v);
  }
}
