// Slots: the pieces of memory that hold versions of a disk's pages, each 4 KiB.
//
//   slot   0..15            16..limit-1
//          zeroes, shared   versions and floors of pages, in no order
//
// A slot that was given back keeps its memory, up to some number of them, and is taken again before others. Those that
// came in runs are kept apart from single ones: large writes take runs, small ones what is left, so that what is large
// lies together. What small writes have scattered comes together again while there are large ones only: a part of them
// takes runs that have no memory, and single slots give theirs back to the host instead. That happens once for what small
// writes have taken: where large ones lie across each other, nothing would bring it together for good. A slot that is being
// sent is pinned: it is given back when the last pin goes.

import { Arena, fallocate, type Mapping } from '../../native/index.js';
import type { CacheState } from './cache-state.js';
import { COLD_RUN_SLOTS, ColdSlots } from './cold-slots.js';
import { SlotRing } from './slot-ring.js';

export const SLOT_BYTES = 4096;
/** Slots 0 to this one below read as zeroes and belong to nobody. */
export const ZERO_SLOTS = 16;

const RELEASED = 0x80000000;

/** Slots that follow each other are a run from this number on. */
const RUN_SLOTS = COLD_RUN_SLOTS;
/** A write of so many pages is large. */
const LARGE_PAGES = 8;
/** So many large writes, and no other between them, are the beginning of many more. */
const LARGE_IN_A_ROW = 1024;
/**
 * For so many single slots that they replace, one is taken in a run without memory. That, and giving another one back,
 * takes 6 us, which pays off once its page has been written about fifty times, by large writes.
 */
const SINGLES_PER_COLD = 4;
const COLD_CREDIT_MAX = 64;

export class CacheSlots {
  /** The same bytes for I/O: slot S begins at byte S * SLOT_BYTES. */
  readonly arena: Arena;
  readonly #views: readonly Uint8Array[];
  readonly #segmentSlots: number;
  /** How often each slot is pinned, and RELEASED. */
  readonly #pins: Uint32Array;
  /** Pins of all of them: one word. */
  readonly #pinned: Uint32Array;
  /** Free slots that keep their memory. */
  readonly #singles: SlotRing;
  readonly #runs: SlotRing;
  readonly #cold: ColdSlots;
  /** One word: so many slots small writes have taken, as many as may be taken in runs for it. */
  readonly #scattered: Uint32Array;
  /** Of this thread. */
  #largeInARow = 0;
  /** So many of #cold may be taken in runs by this thread. */
  #coldCredit = 0;
  /** Those that go back to the host at the next settle(). */
  #punchFirst = 0;
  #punchCount = 0;

  /**
   * @param memory zeroes, in segments of whole slots
   * @param fd its memfd
   * @param warmSlots so many free slots keep their memory
   * @param usedMax so many slots are in use at most, beside those of payload that is awaited
   */
  constructor(
    memory: Mapping,
    private readonly fd: number,
    private readonly warmSlots: number,
    private readonly usedMax: number,
    state: CacheState,
  ) {
    this.#views = memory.segments.map((segment) => new Uint8Array(segment));
    this.arena = new Arena(this.#views);
    this.#segmentSlots = memory.segmentBytes / SLOT_BYTES;
    const limit = memory.lengthBytes / SLOT_BYTES;
    this.#pins = state.uint32(limit);
    this.#pinned = state.uint32(1);
    this.#singles = new SlotRing(warmSlots, state);
    this.#runs = new SlotRing(warmSlots, state);
    this.#cold = new ColdSlots(ZERO_SLOTS, limit, state);
    this.#scattered = state.uint32(1);
  }

  /** A slot with any content. @throws RangeError if there is none */
  take(): number {
    if (this.#singles.count > 0) return this.#singles.take();
    return this.#runs.count > 0 ? this.#runs.take() : this.#cold.take();
  }

  /** Slots for the pages of one write. @throws RangeError */
  takeAll(into: Uint32Array, count: number): void {
    let taken = 0;
    if (count >= LARGE_PAGES) {
      this.#largeInARow++;
      taken = this.#runs.takeAll(into, 0, count);
      while (count - taken >= COLD_RUN_SLOTS && this.#mayTakeCold()) {
        if (!this.#cold.takeRun(into, taken)) break;
        taken += COLD_RUN_SLOTS;
        this.#coldCredit -= COLD_RUN_SLOTS;
        this.#scattered[0] -= COLD_RUN_SLOTS;
      }
    } else {
      this.#largeInARow = 0;
      this.#scattered[0] = Math.min(this.#scattered[0] + count, this.usedMax + this.warmSlots);
    }
    taken = this.#singles.takeAll(into, taken, count);
    while (taken < count) into[taken++] = this.take();
  }

  #mayTakeCold(): boolean {
    return this.#coldCredit >= COLD_RUN_SLOTS && this.#scattered[0] >= COLD_RUN_SLOTS;
  }

  /** @param cold its memory goes back to the host, at the next settle() at the latest */
  release(slot: number, cold: boolean): void {
    if (this.#pins[slot] > 0) this.#pins[slot] |= RELEASED;
    else if (!cold && this.#room() > 0) this.#singles.put(slot);
    else this.#punch(slot);
  }

  /** release(), of so many slots, none of them cold. */
  releaseAll(slots: Uint32Array, count: number): void {
    let singles = 0;
    for (let start = 0; start < count; ) {
      let end = start + 1;
      while (end < count && slots[end] === slots[end - 1] + 1) end++;
      if (end - start >= RUN_SLOTS && !this.#anyPinned(slots, start, end)) {
        this.#keepRun(slots, start, end);
      } else {
        for (let i = start; i < end; i++) this.release(slots[i], false);
        singles += end - start;
      }
      start = end;
    }
    if (this.#largeInARow < LARGE_IN_A_ROW) return;
    this.#coldCredit = Math.min(this.#coldCredit + singles / SINGLES_PER_COLD, COLD_CREDIT_MAX);
  }

  #anyPinned(slots: Uint32Array, start: number, end: number): boolean {
    if (this.#pinned[0] === 0) return false;
    for (let i = start; i < end; i++) if (this.#pins[slots[i]] > 0) return true;
    return false;
  }

  /** A run keeps its memory rather than single slots do. */
  #keepRun(slots: Uint32Array, start: number, end: number): void {
    while (this.#room() < end - start && this.#singles.count > 0) this.#punch(this.#singles.take());
    const kept = Math.min(start + this.#room(), end);
    this.#runs.putAll(slots, start, kept);
    for (let i = kept; i < end; i++) this.#punch(slots[i]);
  }

  #room(): number {
    return this.warmSlots - this.#singles.count - this.#runs.count;
  }

  #punch(slot: number): void {
    if (slot !== this.#punchFirst + this.#punchCount) {
      this.settle();
      this.#punchFirst = slot;
    }
    this.#punchCount++;
  }

  /** Gives memory back that release() has collected. */
  settle(): void {
    if (this.#punchCount === 0) return;
    const first = this.#punchFirst;
    fallocate(this.fd, 'punch', first * SLOT_BYTES, this.#punchCount * SLOT_BYTES);
    for (let i = 0; i < this.#punchCount; i++) this.#cold.put(first + i);
    this.#punchCount = 0;
  }

  pin(first: number, count: number): void {
    this.#pinned[0] += count;
    for (let slot = first; slot < first + count; slot++) this.#pins[slot]++;
  }

  unpin(first: number, count: number): void {
    this.#pinned[0] -= count;
    for (let slot = first; slot < first + count; slot++) {
      if (--this.#pins[slot] !== RELEASED) continue;
      this.#pins[slot] = 0;
      this.release(slot, false);
    }
  }

  /** Copies bytes into the arena, from its byte `at` on. */
  write(at: number, bytes: Uint8Array, from: number, until: number): void {
    this.arena.write(at, bytes, from, until);
  }

  /** Copies bytes out of the arena, from its byte `at` on. */
  read(at: number, target: Uint8Array): void {
    this.arena.read(at, target, 0, target.length);
  }

  /** Copies bytes `start` to `end` of one slot to the same place in another. */
  copy(from: number, to: number, start: number, end: number): void {
    this.view(to).set(this.bytes(from, start, end), this.place(to) + start);
  }

  zero(slot: number, start: number, end: number): void {
    const at = this.place(slot);
    this.view(slot).fill(0, at + start, at + end);
  }

  /** Bytes `start` to `end` of a slot, as they are in memory. */
  bytes(slot: number, start: number, end: number): Uint8Array {
    const at = this.place(slot);
    return this.view(slot).subarray(at + start, at + end);
  }

  /** The segment of memory that a slot lies in. */
  view(slot: number): Uint8Array {
    return this.#views[Math.floor(slot / this.#segmentSlots)];
  }

  /** Where a slot begins in its segment. */
  place(slot: number): number {
    return (slot % this.#segmentSlots) * SLOT_BYTES;
  }
}
