// A volatile write cache: newer versions of pages over a floor that survives a power cut (B1-B8).
//
//   pages      newest entry of each page: what readers see
//   log        writes that may be lost, oldest first; each names the entry that it gave to each of its pages
//   floor      what is durable, without any write of the log
//   slots      the memory that entries lie in
//
// A write takes fresh slots, its payload is received into them, and commit() makes them the newest versions
// at once: nothing is copied but the rest of pages that it covers in part. The slot of a page holds all that
// was visible of it after the write, so the oldest write becomes the floor by moving its slots there. Writes
// leave the log at its head: when FLUSH or FUA made them durable, or when the log holds too much (B3 allows
// that at any time; B6 even before the reply).
//
// Several threads can use one cache, each by an object of its own: all state but that of payload which is being received
// lies in memory that they share. Whatever they do to it they do under its lock.

import { createMemory, type Mapping, type Memory } from '../../native/index.js';
import { imageOf, pendingOf } from './cache-cut.js';
import { type Floor, MemoryFloor, WRITE_PAGES_MAX } from './cache-floor.js';
import { CacheLock } from './cache-lock.js';
import { CachePages, FLOOR } from './cache-pages.js';
import { CacheSlots, SLOT_BYTES, ZERO_SLOTS } from './cache-slots.js';
import type { CacheState } from './cache-state.js';
import { FileFloor } from './file-floor.js';
import type { Pending } from './power-cut.js';
import { KIND, SKIP, WriteLog } from './write-log.js';

const NO_SLOT = -1;

/** A write whose payload is being received: nobody else sees it yet. */
export class Incoming {
  offset = 0;
  length = 0;
  /** The slots of its pages, in order. */
  slots = new Uint32Array(64);
  count = 0;

  /** Where on the disk its first page begins. */
  get firstByte(): number {
    return this.offset - (this.offset % SLOT_BYTES);
  }

  /** Where a byte of the payload goes in the arena. */
  place(at: number): number {
    const nth = Math.floor(at / SLOT_BYTES) - Math.floor(this.offset / SLOT_BYTES);
    return this.slots[nth] * SLOT_BYTES + (at % SLOT_BYTES);
  }

  /** How many bytes from `at` to below `end` lie together from place(at) on. */
  placeBytes(at: number, end: number): number {
    const first = Math.floor(this.offset / SLOT_BYTES);
    let page = Math.floor(at / SLOT_BYTES);
    while (
      (page + 1) * SLOT_BYTES < end &&
      this.slots[page + 1 - first] === this.slots[page - first] + 1
    )
      page++;
    return Math.min((page + 1) * SLOT_BYTES, end) - at;
  }
}

export interface CacheShape {
  /** A multiple of 4096. */
  readonly sizeBytes: number;
  /** What changes as a whole in a power cut: 512 or 4096 (B1). */
  readonly unitBytes: number;
  /** Writes up to this, in whole units and inside of a multiple of it, are all or nothing; 0: none (B1). */
  readonly atomicBytes: number;
  /** Versions of so many pages may be undecided at one time. */
  readonly versionPages: number;
  /** So many slots may be pinned at one time. */
  readonly pinnedPages: number;
  /** So many use it: one if the floor is in a file. */
  readonly threads: number;
}

/** The memory of a cache's slots, and its memfd. */
export interface SlotMemory extends Mapping {
  readonly fd: number;
}

/** What locate() has found. */
export const FOUND = { SLOTS: 0, ZEROES: 1, FLOOR: 2 } as const;

const WRITES_MAX = 2 ** 22;
/** Twice the usual, as there may be at most 1024: the cache of a disk of 1 TiB needs more. */
const SEGMENT_BYTES = 2 ** 31;

/** Pages of all writes together whose payload is awaited: 1 GiB. Each thread has its share of them. */
const AWAITED_PAGES_MAX = 2 ** 18;

export class VolatileCache {
  /** What locate() has found, and where in the arena it lies. */
  found: number = FOUND.ZEROES;
  foundAt = 0;
  readonly slots: CacheSlots;
  /** Only who has taken it may call other methods than hasRoom(). */
  readonly lock: CacheLock;
  readonly #log: WriteLog;
  readonly #pages: CachePages;
  readonly #floor: Floor;
  /** One number: writes before that one are durable, or trims. */
  readonly #flushed: Float64Array;
  /** Of writes that this thread awaits the payload of; and so many it may. */
  #incomingPages = 0;
  readonly #awaitedPagesMax: number;

  /**
   * @param fd of the file that holds the floor, which stays the caller's; null: the disk is in memory
   * @param memory what slotMemory() has made
   * @param state of all threads that use it
   * @param thread which of them this is, from 0 on
   */
  constructor(
    private readonly shape: CacheShape,
    fd: number | null,
    memory: SlotMemory,
    state: CacheState,
    thread = 0,
  ) {
    const { sizeBytes, unitBytes, versionPages, threads } = shape;
    const pageCount = sizeBytes / SLOT_BYTES;
    const writesMax = 2 ** Math.ceil(Math.log2(Math.min(Math.max(versionPages, 1024), WRITES_MAX)));
    this.#awaitedPagesMax = awaitedPagesMax(shape);
    this.lock = new CacheLock(state.int32(1 + threads), thread);
    this.#flushed = state.float64(1);
    this.#log = new WriteLog(writesMax, logPages(shape), memory.lengthBytes / SLOT_BYTES, state);
    this.#pages = new CachePages(pageCount, state);
    const usedMax = (fd === null ? pageCount : 0) + versionPages;
    this.slots = new CacheSlots(memory, memory.fd, versionPages, usedMax, state);
    this.#floor =
      fd === null
        ? new MemoryFloor(this.#log, this.#pages, this.slots, state)
        : new FileFloor(fd, sizeBytes, unitBytes, this.#log, this.#pages, this.slots);
  }

  /** Everything is durable: an orderly end. @throws NativeError */
  settleAll(): void {
    while (this.#log.head < this.#log.tail) this.#settle();
    this.#floor.sync();
  }

  /** Whether payload of a write of so many bytes, anywhere, may be awaited now: begin() has slots for it then. */
  hasRoom(length: number): boolean {
    return this.#incomingPages + Math.ceil(length / SLOT_BYTES) + 1 <= this.#awaitedPagesMax;
  }

  /** Takes slots for the pages of a write. @returns false if there are not enough now */
  begin(incoming: Incoming, offset: number, length: number): boolean {
    const count =
      length === 0
        ? 0
        : Math.ceil((offset + length) / SLOT_BYTES) - Math.floor(offset / SLOT_BYTES);
    if (this.#incomingPages + count > this.#awaitedPagesMax + WRITE_PAGES_MAX) return false;
    this.#incomingPages += count;
    if (incoming.slots.length < count) incoming.slots = new Uint32Array(count);
    incoming.offset = offset;
    incoming.length = length;
    incoming.count = count;
    this.slots.takeAll(incoming.slots, count);
    return true;
  }

  /** The write does not take place. */
  abort(incoming: Incoming): void {
    this.slots.releaseAll(incoming.slots, incoming.count);
    this.slots.settle();
    this.#incomingPages -= incoming.count;
    incoming.count = 0;
  }

  /**
   * All of the payload is there: the write becomes visible, as the newest version of each of its units (B2).
   * @returns its number; 0 if it is empty
   * @throws NativeError if the floor can't be stored: the write has taken place, or not
   */
  commit(incoming: Incoming): number {
    const { offset, length, count } = incoming;
    if (count === 0) return 0;
    const end = offset + length;
    const first = Math.floor(offset / SLOT_BYTES);
    try {
      this.#makeRoom(count);
      this.#copyRest(first, incoming.slots[0], offset, end);
      if (count > 1) this.#copyRest(first + count - 1, incoming.slots[count - 1], offset, end);
    } catch (error) {
      this.abort(incoming);
      throw error;
    }
    const seq = this.#log.append(KIND.DATA, offset, end, this.#isAtomic(offset, end));
    this.#log.pushAll(incoming.slots, count);
    this.#pages.setAll(first, incoming.slots, count);
    this.#incomingPages -= count;
    incoming.count = 0;
    this.#makeRoom(0);
    return seq;
  }

  /**
   * WRITE_ZEROES, or a TRIM, that leaves no memory behind.
   * @returns its number; 0 if there was nothing but zeroes already, for sure
   * @throws NativeError as commit()
   */
  zero(trim: boolean, offset: number, length: number): number {
    let start = offset;
    let end = offset + length;
    if (this.#floor.empty) {
      let last = Math.ceil(end / SLOT_BYTES);
      start = Math.max(
        start,
        this.#pages.nextUsed(Math.floor(start / SLOT_BYTES), last) * SLOT_BYTES,
      );
      while (last * SLOT_BYTES > start && this.#pages.get(last - 1) === FLOOR) last--;
      end = Math.min(end, last * SLOT_BYTES);
    }
    if (start >= end) return 0;
    const first = Math.floor(start / SLOT_BYTES);
    const count = Math.ceil(end / SLOT_BYTES) - first;
    this.#makeRoom(count);
    const head = this.#partlyZero(first, start, end);
    const tail = count === 1 ? head : this.#partlyZero(first + count - 1, start, end);
    const kind = trim ? KIND.TRIM : KIND.ZEROES;
    const seq = this.#log.append(kind, start, end, false);
    const zeroes = this.#log.zeroEntry(seq);
    for (let page = first; page < first + count; page++) {
      const part = page === first ? head : page === first + count - 1 ? tail : NO_SLOT;
      if (part !== NO_SLOT) this.#push(page, part);
      else if (this.#floor.empty && this.#pages.get(page) === FLOOR) this.#log.push(SKIP);
      else this.#push(page, zeroes);
    }
    this.#makeRoom(0);
    return seq;
  }

  /**
   * A write has FUA: by its reply its own units are durable, and no others for that (B5). A TRIM never is (B8).
   * @throws NativeError if it can't be stored; no reply may say that it was
   */
  fua(seq: number): void {
    const log = this.#log;
    const pending = seq >= log.head && log.kind(seq) !== KIND.TRIM;
    if (pending) log.setFua(seq);
    if (!this.#floor.stores) return;
    if (pending) this.#makeDurable(seq);
    this.#floor.sync();
  }

  /** The reply to a write was handed out. */
  replied(seq: number): void {
    const log = this.#log;
    if (seq < log.head) return;
    log.setReplied(seq);
    if (!log.isFua(seq) || log.isDurable(seq)) return;
    log.setDurable(seq);
    this.#settleDurable();
  }

  /** Processing of a FLUSH starts: it covers what has been replied to by now (B4). */
  flushBegins(): number {
    return this.#log.now;
  }

  /**
   * Makes durable what was replied to before the FLUSH began, and nothing of a TRIM (B4, B8).
   * @param moment what flushBegins() has returned
   * @throws NativeError if it can't be stored: some writes may be durable, no reply may say so
   */
  flush(moment: number): void {
    const log = this.#log;
    let flushed = -1;
    for (let seq = Math.max(this.#flushed[0], log.head); seq < log.tail; seq++) {
      const trim = log.kind(seq) === KIND.TRIM;
      if (!trim && !log.isDurable(seq)) {
        if (log.repliedBy(seq, moment)) this.#makeDurable(seq);
        else if (flushed < 0) flushed = seq;
      }
    }
    this.#flushed[0] = flushed < 0 ? log.tail : flushed;
    this.#settleDurable();
    this.#floor.sync();
  }

  /** Finds what lies at `at`: see `found`, `foundAt`. @returns its length, at most up to `end` */
  locate(at: number, end: number): number {
    const pages = this.#pages;
    const log = this.#log;
    let page = Math.floor(at / SLOT_BYTES);
    const entry = pages.get(page);
    const last = Math.ceil(end / SLOT_BYTES);
    if (entry === FLOOR) {
      this.found = this.#floor.empty ? FOUND.ZEROES : FOUND.FLOOR;
      page = pages.nextUsed(page, last);
      if (this.#floor.empty) page = this.#zeroesEnd(page, last);
    } else if (log.isZero(entry)) {
      this.found = FOUND.ZEROES;
      page = this.#zeroesEnd(page, last);
    } else {
      this.found = FOUND.SLOTS;
      this.foundAt = entry * SLOT_BYTES + (at % SLOT_BYTES);
      const before = entry - page;
      do page++;
      while (page < last && pages.get(page) === before + page);
    }
    return Math.min(page * SLOT_BYTES, end) - at;
  }

  /** Copies pages where locate() has found the floor into `count` slots of the caller. @throws NativeError */
  load(page: number, slots: Uint32Array, count: number): void {
    this.#floor.load(page, slots, count);
  }

  /** What a cut at this moment leaves open (B7). */
  pending(): Pending {
    return pendingOf(this.#log, this.shape.unitBytes);
  }

  /**
   * The power is cut: the disk holds one of the images that were possible, and the log is empty. Nothing may
   * be incoming, and no slot pinned.
   * @param choices of power-cut.ts, for what pending() has returned just now
   * @throws NativeError if the floor can't be stored
   */
  cut(choices: Int32Array): void {
    const { slots } = this;
    const log = this.#log;
    for (const [page, entries] of imageOf(log, this.shape.unitBytes, choices))
      this.#floor.compose(page, entries);
    for (let seq = log.head; seq < log.tail; seq++) {
      for (let i = 0; i < log.entries(seq); i++) {
        const entry = log.entry(seq, i);
        if (entry !== SKIP && !log.isZero(entry)) slots.release(entry, false);
      }
    }
    slots.settle();
    log.clear();
    this.#floor.sync();
  }

  /** The first page from `page` to below `end` that does not read as zeroes for sure. */
  #zeroesEnd(page: number, end: number): number {
    while (page < end) {
      if (this.#log.isZero(this.#pages.get(page))) page++;
      else if (!this.#floor.empty || this.#pages.get(page) !== FLOOR) return page;
      else page = this.#pages.nextUsed(page, end);
    }
    return end;
  }

  #isAtomic(start: number, end: number): boolean {
    const { atomicBytes, unitBytes } = this.shape;
    if (atomicBytes === 0 || start % unitBytes !== 0 || end % unitBytes !== 0) return false;
    return Math.floor(start / atomicBytes) === Math.floor((end - 1) / atomicBytes);
  }

  #push(page: number, entry: number): void {
    this.#log.push(entry);
    this.#pages.set(page, entry);
  }

  /** What is visible of a page outside of a range comes into its new slot (B2). */
  #copyRest(page: number, slot: number, start: number, end: number): void {
    const pageStart = page * SLOT_BYTES;
    this.#copyVisible(page, slot, 0, start - pageStart);
    this.#copyVisible(page, slot, end - pageStart, SLOT_BYTES);
  }

  #copyVisible(page: number, slot: number, start: number, end: number): void {
    if (start >= end) return;
    const entry = this.#pages.get(page);
    if (entry === FLOOR) this.#floor.fill(page, slot, start, end);
    else if (this.#log.isZero(entry)) this.slots.zero(slot, start, end);
    else this.slots.copy(entry, slot, start, end);
  }

  /** A slot for a page of which a range is zeroed; NO_SLOT if the range covers all of it. */
  #partlyZero(page: number, start: number, end: number): number {
    const from = Math.max(start - page * SLOT_BYTES, 0);
    const until = Math.min(end - page * SLOT_BYTES, SLOT_BYTES);
    if (until - from === SLOT_BYTES) return NO_SLOT;
    const slot = this.slots.take();
    this.slots.zero(slot, from, until);
    this.#copyRest(page, slot, start, end);
    return slot;
  }

  #makeRoom(count: number): void {
    const log = this.#log;
    const { versionPages } = this.shape;
    while (
      log.head < log.tail &&
      (log.entryCount + count > versionPages || log.tail - log.head === log.writesMax)
    ) {
      this.#settle();
      this.#settleDurable();
    }
  }

  /** The oldest write becomes the floor. */
  #settle(): void {
    this.#floor.settle(this.#log.head);
    this.#log.shift();
  }

  #settleDurable(): void {
    const log = this.#log;
    while (log.head < log.tail && log.isDurable(log.head)) this.#settle();
  }

  #makeDurable(seq: number): void {
    if (seq === this.#log.head) {
      this.#settle();
      return;
    }
    this.#floor.keep(seq);
    this.#log.setDurable(seq);
  }
}

/** Memory for the slots of a cache, which the caller closes when no thread uses that any more. @throws NativeError ENOMEM, EMFILE */
export function slotMemory(shape: CacheShape, isInFile: boolean): Memory {
  const { sizeBytes, pinnedPages, threads } = shape;
  const slots =
    ZERO_SLOTS +
    (isInFile ? 0 : sizeBytes / SLOT_BYTES) +
    // A cut needs as many again as the log has.
    2 * logPages(shape) +
    // One more write finds room beside those whose payload a thread awaits, if it ends at once: zeroes.
    threads * (awaitedPagesMax(shape) + WRITE_PAGES_MAX) +
    pinnedPages;
  return createMemory(slots * SLOT_BYTES, { name: 'pinfold-cache', segmentBytes: SEGMENT_BYTES });
}

function logPages({ versionPages }: CacheShape): number {
  return versionPages + WRITE_PAGES_MAX;
}

function awaitedPagesMax({ threads }: CacheShape): number {
  return Math.floor(AWAITED_PAGES_MAX / threads);
}
