// Where the floor of a disk with a volatile cache lies: what a power cut always leaves. Here in memory.

import { type CachePages, FLOOR } from './cache-pages.js';
import { type CacheSlots, SLOT_BYTES } from './cache-slots.js';
import type { CacheState } from './cache-state.js';
import { KIND, SKIP, type WriteLog } from './write-log.js';

/** Pages of one write of data: 32 MiB that begin inside of a page. */
export const WRITE_PAGES_MAX = 8193;

export interface Floor {
  /** Whether a page without an entry reads as zeroes. */
  readonly empty: boolean;
  /** Whether what must be durable has to be stored before its reply. */
  readonly stores: boolean;
  /**
   * The oldest write becomes the floor; it leaves the log afterwards.
   * @throws NativeError if it can't be stored: it stays in the log, the floor may have risen in some units
   */
  settle(seq: number): void;
  /** A later write becomes durable, and stays in the log. @throws NativeError */
  keep(seq: number): void;
  /** What was stored outlives the host. @throws NativeError */
  sync(): void;
  /** Copies bytes `start` to `end` of a page that has no entry into a slot. @throws NativeError */
  fill(page: number, slot: number, start: number, end: number): void;
  /** Copies pages that have no entry into `count` slots, at most 1024. @throws NativeError */
  load(page: number, slots: Uint32Array, count: number): void;
  /**
   * After a cut: what a page holds, as one entry per unit; FLOOR leaves the unit as the floor has it. The
   * slots of the entries are given back by the caller.
   * @throws NativeError
   */
  compose(page: number, entries: Uint32Array): void;
}

/** For each page of a disk in memory the slot of its newest durable version: nothing is ever copied. */
export class MemoryFloor implements Floor {
  readonly empty = true;
  readonly stores = false;
  readonly #slots: Uint32Array;
  /** Of the write that settles: its entries, and then the slots that it replaces. */
  readonly #entries = new Uint32Array(WRITE_PAGES_MAX);

  constructor(
    private readonly log: WriteLog,
    private readonly pages: CachePages,
    private readonly slots: CacheSlots,
    state: CacheState,
  ) {
    this.#slots = state.uint32(pages.count);
  }

  settle(seq: number): void {
    const { log, pages, slots } = this;
    const first = Math.floor(log.start(seq) / SLOT_BYTES);
    if (log.kind(seq) === KIND.DATA) {
      this.#settleData(first, log.readEntries(seq, this.#entries));
      return;
    }
    const count = log.entries(seq);
    for (let i = 0; i < count; i++) {
      const entry = log.entry(seq, i);
      if (entry === SKIP) continue;
      const page = first + i;
      const before = this.#slots[page];
      const zero = log.isZero(entry);
      this.#slots[page] = zero ? FLOOR : entry;
      if (zero && pages.get(page) === entry) pages.set(page, FLOOR);
      if (before !== FLOOR) slots.release(before, zero);
    }
    slots.settle();
  }

  /** Each page has a slot of its own: nothing is left out, nothing is zeroes. */
  #settleData(first: number, count: number): void {
    const floor = this.#slots;
    const entries = this.#entries;
    let freed = 0;
    for (let i = 0; i < count; i++) {
      const before = floor[first + i];
      floor[first + i] = entries[i];
      if (before !== FLOOR) entries[freed++] = before;
    }
    this.slots.releaseAll(entries, freed);
    this.slots.settle();
  }

  /** The log says so already. */
  keep(): void {
    return;
  }

  sync(): void {
    return;
  }

  fill(_page: number, slot: number, start: number, end: number): void {
    this.slots.zero(slot, start, end);
  }

  load(_page: number, slots: Uint32Array, count: number): void {
    for (let i = 0; i < count; i++) this.slots.zero(slots[i], 0, SLOT_BYTES);
  }

  compose(page: number, entries: Uint32Array): void {
    const { log, pages, slots } = this;
    const before = this.#slots[page];
    const isData = (entry: number): boolean =>
      entry === FLOOR ? before !== FLOOR : !log.isZero(entry);
    if (entries.some(isData)) {
      const slot = slots.take();
      const unitBytes = SLOT_BYTES / entries.length;
      for (const [i, entry] of entries.entries()) {
        const start = i * unitBytes;
        const from = entry === FLOOR ? before : entry;
        if (isData(entry)) slots.copy(from, slot, start, start + unitBytes);
        else slots.zero(slot, start, start + unitBytes);
      }
      this.#slots[page] = slot;
    } else {
      this.#slots[page] = FLOOR;
    }
    pages.set(page, this.#slots[page]);
    if (before !== FLOOR) slots.release(before, this.#slots[page] === FLOOR);
  }
}
