// The floor of a disk with a volatile cache in a file: the file holds what is durable, and nothing newer.
//
// Writes become durable in order, but for those that FLUSH or FUA must not wait for: they are stored ahead of
// older ones, which then must not cover them when it is their turn.

import {
  fallocate,
  fdatasync,
  fileStatus,
  NativeError,
  preadInto,
  pwriteFrom,
} from '../../native/index.js';
import { type Floor, WRITE_PAGES_MAX } from './cache-floor.js';
import { type CachePages, FLOOR } from './cache-pages.js';
import { type CacheSlots, SLOT_BYTES, ZERO_SLOTS } from './cache-slots.js';
import { KIND, type WriteLog } from './write-log.js';

const RUN_PIECES_MAX = 1024;
const ZERO_BYTES = ZERO_SLOTS * SLOT_BYTES;

export class FileFloor implements Floor {
  readonly empty = false;
  readonly stores = true;
  /** Of units that were stored ahead: the write that they are of. */
  readonly #ahead = new Map<number, number>();
  /** After a failed fdatasync what was written may be lost: no later one may say otherwise. */
  #failed = false;
  /** A run of one write that is to be stored: zeroes, or pieces of the arena. */
  #runStart = 0;
  #runEnd = 0;
  #runZero = false;
  #pieces = 0;
  readonly #iov = new Float64Array(2 * RUN_PIECES_MAX);
  /** Of the write that settles. */
  readonly #entries = new Uint32Array(WRITE_PAGES_MAX);

  /** @param fd stays the caller's */
  constructor(
    private readonly fd: number,
    private readonly sizeBytes: number,
    private readonly unitBytes: number,
    private readonly log: WriteLog,
    private readonly pages: CachePages,
    private readonly slots: CacheSlots,
  ) {}

  settle(seq: number): void {
    const { log, pages, slots } = this;
    if (log.isDurable(seq)) this.#forget(seq);
    else this.#store(seq);
    const first = Math.floor(log.start(seq) / SLOT_BYTES);
    const count = log.entries(seq);
    const isData = log.kind(seq) === KIND.DATA;
    for (let i = 0; i < count; i++) {
      const entry = log.entry(seq, i);
      if (pages.get(first + i) === entry) pages.set(first + i, FLOOR);
      if (!isData && !log.isZero(entry)) slots.release(entry, false);
    }
    if (isData) slots.releaseAll(this.#entries, log.readEntries(seq, this.#entries));
    slots.settle();
  }

  keep(seq: number): void {
    this.#store(seq);
    const { unitBytes } = this;
    const end = this.#endOf(seq);
    for (let at = this.#startOf(seq); at < end; at += unitBytes) {
      const unit = at / unitBytes;
      if ((this.#ahead.get(unit) ?? -1) < seq) this.#ahead.set(unit, seq);
    }
  }

  sync(): void {
    if (this.#failed) throw new NativeError('EIO', 'fdatasync', 'an earlier fdatasync has failed');
    try {
      this.#checkSize();
      fdatasync(this.fd);
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  fill(page: number, slot: number, start: number, end: number): void {
    const got = preadInto(this.fd, this.slots.bytes(slot, start, end), page * SLOT_BYTES + start);
    if (got < end - start) throw truncated();
  }

  load(page: number, slots: Uint32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      this.#iov[2 * i] = slots[i] * SLOT_BYTES;
      this.#iov[2 * i + 1] = SLOT_BYTES;
    }
    const got = this.slots.arena.preadv(this.fd, this.#iov, count, page * SLOT_BYTES);
    if (got < count * SLOT_BYTES) throw truncated();
  }

  compose(page: number, entries: Uint32Array): void {
    const { log, slots, unitBytes } = this;
    for (const [i, entry] of entries.entries()) {
      if (entry === FLOOR) continue;
      const start = i * unitBytes;
      const slot = log.isZero(entry) ? 0 : entry;
      const bytes = slots.bytes(slot, start, start + unitBytes);
      pwriteFrom(this.fd, bytes, page * SLOT_BYTES + start);
    }
    this.pages.set(page, FLOOR);
    this.#ahead.clear();
  }

  #startOf(seq: number): number {
    return Math.floor(this.log.start(seq) / this.unitBytes) * this.unitBytes;
  }

  #endOf(seq: number): number {
    return Math.ceil(this.log.end(seq) / this.unitBytes) * this.unitBytes;
  }

  #forget(seq: number): void {
    const end = this.#endOf(seq);
    for (let at = this.#startOf(seq); at < end; at += this.unitBytes) {
      const unit = at / this.unitBytes;
      if (this.#ahead.get(unit) === seq) this.#ahead.delete(unit);
    }
  }

  /** Writes all units of a write that no newer one has been stored for. */
  #store(seq: number): void {
    this.#checkSize();
    const start = this.#startOf(seq);
    const end = this.#endOf(seq);
    const first = Math.floor(start / SLOT_BYTES);
    this.#pieces = 0;
    this.#runStart = start;
    this.#runEnd = start;
    for (let at = start; at < end; ) {
      const page = Math.floor(at / SLOT_BYTES);
      const pageEnd = Math.min((page + 1) * SLOT_BYTES, end);
      const entry = this.log.entry(seq, page - first);
      const until = this.#ahead.size === 0 ? pageEnd : this.#untilAhead(at, pageEnd, seq);
      if (until > at) this.#extend(at, until, entry);
      at = until === pageEnd ? pageEnd : until + this.unitBytes;
    }
    this.#storeRun();
    this.#checkSize();
  }

  /** Where units begin that were stored ahead of a write. */
  #untilAhead(at: number, end: number, seq: number): number {
    while (at < end && (this.#ahead.get(at / this.unitBytes) ?? -1) < seq) at += this.unitBytes;
    return at;
  }

  #extend(at: number, until: number, entry: number): void {
    const zero = this.log.isZero(entry);
    if (at !== this.#runEnd || zero !== this.#runZero || this.#pieces === RUN_PIECES_MAX) {
      this.#storeRun();
      this.#runStart = at;
      this.#runZero = zero;
    }
    if (!zero) {
      this.#iov[2 * this.#pieces] = entry * SLOT_BYTES + (at % SLOT_BYTES);
      this.#iov[2 * this.#pieces + 1] = until - at;
      this.#pieces++;
    }
    this.#runEnd = until;
  }

  #storeRun(): void {
    const start = this.#runStart;
    const length = this.#runEnd - start;
    if (length > 0 && this.#runZero) this.#storeZeroes(start, length);
    else if (length > 0) this.slots.arena.pwritev(this.fd, this.#iov, this.#pieces, start);
    this.#pieces = 0;
    this.#runStart = this.#runEnd;
  }

  #storeZeroes(start: number, length: number): void {
    try {
      fallocate(this.fd, 'punch', start, length);
    } catch (error) {
      if (!(error instanceof NativeError) || error.code !== 'ENOTSUP') throw error;
      for (let done = 0; done < length; done += ZERO_BYTES) {
        this.#iov[0] = 0;
        this.#iov[1] = Math.min(ZERO_BYTES, length - done);
        this.slots.arena.pwritev(this.fd, this.#iov, 1, start + done);
      }
    }
  }

  /** A write past the end of a file that somebody truncated would let it grow, with zeroes where data was. */
  #checkSize(): void {
    if (fileStatus(this.fd).sizeBytes < this.sizeBytes) throw truncated();
  }
}

function truncated(): NativeError {
  return new NativeError('EIO', 'pread', 'the backing file was truncated');
}
