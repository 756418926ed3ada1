// The writes of a disk with a volatile cache that are not durable yet for sure, oldest first (B2).
//
// A write is known by a number that rises by one, from 1 on. Each one names, for each of its pages in order, what the
// page holds after it:
//
//   writes    |  #7  |  #8  |  #9  |                  seq modulo the capacity
//   entries   | p p p p p p | p | p p p |             one number per page of a write, in a ring
//             a slot, SKIP (the write changes nothing there), or zeroBase + seq modulo the capacity: zeroes,
//             a number that no other write in the log uses

import type { CacheState } from './cache-state.js';

export const KIND = { DATA: 0, ZEROES: 1, TRIM: 2 } as const;

/** An entry of a page that the write leaves as it is. */
export const SKIP = 0;

const REPLIED = 1;
const DURABLE = 2;
const FUA = 4;
const ATOMIC = 8;

/** In the counters, see the getters; ENTRY_NEXT: where the next entry comes. */
const HEAD = 0;
const TAIL = 1;
const ENTRY_COUNT = 2;
const ENTRY_NEXT = 3;
const NOW = 4;
const COUNTERS = 5;

export class WriteLog {
  readonly #counters: Float64Array;
  readonly #mask: number;
  readonly #kinds: Uint8Array;
  readonly #flags: Uint8Array;
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #entryFirsts: Uint32Array;
  readonly #entryCounts: Uint32Array;
  readonly #repliedAt: Float64Array;
  readonly #entries: Uint32Array;

  /**
   * @param writesMax a power of two
   * @param entriesMax of all writes in the log
   * @param zeroBase above every slot
   */
  constructor(
    readonly writesMax: number,
    entriesMax: number,
    private readonly zeroBase: number,
    state: CacheState,
  ) {
    this.#mask = writesMax - 1;
    this.#counters = state.float64(COUNTERS);
    this.#kinds = state.uint8(writesMax);
    this.#flags = state.uint8(writesMax);
    this.#starts = state.float64(writesMax);
    this.#ends = state.float64(writesMax);
    this.#entryFirsts = state.uint32(writesMax);
    this.#entryCounts = state.uint32(writesMax);
    this.#repliedAt = state.float64(writesMax);
    this.#entries = state.uint32(entriesMax);
    if (state.isNew) this.#counters[HEAD] = this.#counters[TAIL] = 1;
  }

  /** Writes that are in the log: from head to below tail. */
  get head(): number {
    return this.#counters[HEAD];
  }

  get tail(): number {
    return this.#counters[TAIL];
  }

  /** Entries of all of them. */
  get entryCount(): number {
    return this.#counters[ENTRY_COUNT];
  }

  /** Appends a write that touches the bytes from `start` to below `end`, without entries yet. */
  append(kind: number, start: number, end: number, atomic: boolean): number {
    const seq = this.#counters[TAIL]++;
    const at = seq & this.#mask;
    this.#kinds[at] = kind;
    this.#flags[at] = atomic ? ATOMIC : 0;
    this.#starts[at] = start;
    this.#ends[at] = end;
    this.#entryFirsts[at] = this.#counters[ENTRY_NEXT];
    this.#entryCounts[at] = 0;
    return seq;
  }

  /** Adds the entry of the next page to the newest write. */
  push(entry: number): void {
    this.#entryCounts[(this.tail - 1) & this.#mask]++;
    const counters = this.#counters;
    const at = counters[ENTRY_NEXT];
    this.#entries[at] = entry;
    counters[ENTRY_NEXT] = at + 1 === this.#entries.length ? 0 : at + 1;
    counters[ENTRY_COUNT]++;
  }

  /** push(), so many times. */
  pushAll(entries: Uint32Array, count: number): void {
    const ring = this.#entries;
    const counters = this.#counters;
    let next = counters[ENTRY_NEXT];
    for (let i = 0; i < count; i++) {
      ring[next++] = entries[i];
      if (next === ring.length) next = 0;
    }
    counters[ENTRY_NEXT] = next;
    this.#entryCounts[(this.tail - 1) & this.#mask] += count;
    counters[ENTRY_COUNT] += count;
  }

  /** Forgets the oldest write. */
  shift(): void {
    const { head } = this;
    this.#counters[ENTRY_COUNT] -= this.entries(head);
    this.#counters[HEAD] = head + 1;
  }

  clear(): void {
    this.#counters[HEAD] = this.tail;
    this.#counters[ENTRY_COUNT] = 0;
  }

  /** The entry that stands for zeroes in a write. */
  zeroEntry(seq: number): number {
    return this.zeroBase + (seq & this.#mask);
  }

  isZero(entry: number): boolean {
    return entry >= this.zeroBase;
  }

  kind(seq: number): number {
    return this.#kinds[seq & this.#mask];
  }

  /** The first byte of a write. */
  start(seq: number): number {
    return this.#starts[seq & this.#mask];
  }

  /** The byte after its last one. */
  end(seq: number): number {
    return this.#ends[seq & this.#mask];
  }

  /** How many pages a write touches. */
  entries(seq: number): number {
    return this.#entryCounts[seq & this.#mask];
  }

  /** What the nth page of a write holds after it. */
  entry(seq: number, nth: number): number {
    const at = this.#entryFirsts[seq & this.#mask] + nth;
    return this.#entries[at < this.#entries.length ? at : at - this.#entries.length];
  }

  /** All entries of a write. @returns how many */
  readEntries(seq: number, into: Uint32Array): number {
    const ring = this.#entries;
    const count = this.entries(seq);
    let at = this.#entryFirsts[seq & this.#mask];
    for (let i = 0; i < count; i++) {
      into[i] = ring[at++];
      if (at === ring.length) at = 0;
    }
    return count;
  }

  isAtomic(seq: number): boolean {
    return (this.#flags[seq & this.#mask] & ATOMIC) !== 0;
  }

  isDurable(seq: number): boolean {
    return (this.#flags[seq & this.#mask] & DURABLE) !== 0;
  }

  setDurable(seq: number): void {
    this.#flags[seq & this.#mask] |= DURABLE;
  }

  setFua(seq: number): void {
    this.#flags[seq & this.#mask] |= FUA;
  }

  isFua(seq: number): boolean {
    return (this.#flags[seq & this.#mask] & FUA) !== 0;
  }

  setReplied(seq: number): void {
    this.#flags[seq & this.#mask] |= REPLIED;
    this.#repliedAt[seq & this.#mask] = ++this.#counters[NOW];
  }

  /** The moment now, for repliedBy(). */
  get now(): number {
    return this.#counters[NOW];
  }

  /** Whether a write had been replied to at a moment (B4's R). */
  repliedBy(seq: number, moment: number): boolean {
    const at = seq & this.#mask;
    return (this.#flags[at] & REPLIED) !== 0 && this.#repliedAt[at] <= moment;
  }
}
