// Slots: the pieces of memory that hold versions of a disk's pages, each 4 KiB.
//
//   slot   0..15            16..limit-1
//          zeroes, shared   versions and floors of pages, in no order
//
// Slots that were given back are taken again in the order in which they came, so that long runs stay
// together. Some stay in memory; what exceeds that, and what a discard has freed, goes back to the host
// first. A slot that is being sent is pinned: it is given back when the last pin goes.

import { Arena, fallocate, type Mapping } from '../../native/index.js';

export const SLOT_BYTES = 4096;
/** Slots 0 to this one below read as zeroes and belong to nobody. */
export const ZERO_SLOTS = 16;

const RELEASED = 0x80000000;

export class CacheSlots {
  /** The same bytes for I/O: slot S begins at byte S * SLOT_BYTES. */
  readonly arena: Arena;
  readonly #views: readonly Uint8Array[];
  readonly #segmentSlots: number;
  readonly #limit: number;
  /** How often each slot is pinned, and RELEASED. */
  readonly #pins: Uint32Array;
  /** Pins of all of them. */
  #pinned = 0;
  /** Free slots that keep their memory, first in, first out. */
  readonly #warm: Uint32Array;
  #warmFirst = 0;
  #warmCount = 0;
  /** Free slots without memory, last in, first out. */
  readonly #cold: Uint32Array;
  #coldCount = 0;
  /** Slots from here on were never taken. */
  #fresh = ZERO_SLOTS;
  /** A run that goes back to the host at the next settle(). */
  #punchFirst = 0;
  #punchCount = 0;

  /**
   * @param memory zeroes, in segments of whole slots
   * @param fd its memfd
   * @param warmSlots so many free slots keep their memory
   */
  constructor(
    memory: Mapping,
    private readonly fd: number,
    warmSlots: number,
  ) {
    this.#views = memory.segments.map((segment) => new Uint8Array(segment));
    this.arena = new Arena(this.#views);
    this.#segmentSlots = memory.segmentBytes / SLOT_BYTES;
    this.#limit = memory.lengthBytes / SLOT_BYTES;
    this.#pins = new Uint32Array(this.#limit);
    this.#warm = new Uint32Array(warmSlots);
    this.#cold = new Uint32Array(this.#limit);
  }

  /** A slot with any content. @throws RangeError if there is none */
  take(): number {
    if (this.#warmCount > 0) {
      this.#warmCount--;
      const slot = this.#warm[this.#warmFirst++];
      if (this.#warmFirst === this.#warm.length) this.#warmFirst = 0;
      return slot;
    }
    if (this.#coldCount > 0) return this.#cold[--this.#coldCount];
    if (this.#fresh === this.#limit) throw new RangeError('no slot is left');
    return this.#fresh++;
  }

  /** take(), so many times. @throws RangeError */
  takeAll(into: Uint32Array, count: number): void {
    const warm = this.#warm;
    let first = this.#warmFirst;
    const fromWarm = Math.min(count, this.#warmCount);
    for (let i = 0; i < fromWarm; i++) {
      into[i] = warm[first++];
      if (first === warm.length) first = 0;
    }
    this.#warmFirst = first;
    this.#warmCount -= fromWarm;
    for (let i = fromWarm; i < count; i++) into[i] = this.take();
  }

  /** @param cold its memory goes back to the host, at the next settle() at the latest */
  release(slot: number, cold: boolean): void {
    if (this.#pins[slot] > 0) {
      this.#pins[slot] |= RELEASED;
    } else if (!cold && this.#warmCount < this.#warm.length) {
      const at = this.#warmFirst + this.#warmCount++;
      this.#warm[at < this.#warm.length ? at : at - this.#warm.length] = slot;
    } else {
      if (slot !== this.#punchFirst + this.#punchCount) {
        this.settle();
        this.#punchFirst = slot;
      }
      this.#punchCount++;
    }
  }

  /** release(), of so many slots, none of them cold. */
  releaseAll(slots: Uint32Array, count: number): void {
    const warm = this.#warm;
    if (this.#pinned > 0 || this.#warmCount + count > warm.length) {
      for (let i = 0; i < count; i++) this.release(slots[i], false);
      return;
    }
    let at = this.#warmFirst + this.#warmCount;
    if (at >= warm.length) at -= warm.length;
    for (let i = 0; i < count; i++) {
      warm[at++] = slots[i];
      if (at === warm.length) at = 0;
    }
    this.#warmCount += count;
  }

  /** Gives memory back that release() has collected. */
  settle(): void {
    if (this.#punchCount === 0) return;
    const first = this.#punchFirst;
    fallocate(this.fd, 'punch', first * SLOT_BYTES, this.#punchCount * SLOT_BYTES);
    // The first one is taken first.
    for (let i = this.#punchCount; i > 0; i--) this.#cold[this.#coldCount++] = first + i - 1;
    this.#punchCount = 0;
  }

  pin(first: number, count: number): void {
    this.#pinned += count;
    for (let slot = first; slot < first + count; slot++) this.#pins[slot]++;
  }

  unpin(first: number, count: number): void {
    this.#pinned -= count;
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
