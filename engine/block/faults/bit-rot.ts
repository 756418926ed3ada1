// Fault layer: a bit of the medium flips when its unit is read, and stays flipped until it is written again. What lies
// below is not changed: without the layer it reads as it was written.

import { Layer } from './layer.js';
import { Chance, Random } from './random.js';
import { Ranges } from './ranges.js';
import type { BitRotSpec, FaultOp } from './spec.js';
import { UNIT_BYTES } from './unit-set.js';
import type { FaultRequest } from './verdict.js';

/** Then no further ones flip. */
export const ROTTEN_BITS_MAX = 65_536;

export class BitRotLayer extends Layer {
  override readonly changesReads = true;
  readonly #ranges: Ranges;
  readonly #random: Random;
  readonly #chance: Chance;
  /** Flipped bits, counted from the beginning of the disk, by their unit. */
  readonly #rotten = new Map<number, number[]>();
  #count = 0;

  constructor(override readonly spec: BitRotSpec) {
    super();
    this.#ranges = new Ranges(spec.range);
    this.#random = new Random(spec.seed);
    this.#chance = new Chance(spec.rate, null, this.#random);
  }

  override decide(request: FaultRequest): void {
    const { op, offset, length } = request;
    if (op !== 'read' || length === 0 || !this.#ranges.touches(offset, offset + length)) return;
    this.seen++;
    const end = Math.ceil((offset + length) / UNIT_BYTES);
    for (let unit = Math.floor(offset / UNIT_BYTES); unit < end; ) {
      const trials = this.#chance.take(end - unit);
      if (trials === 0) return;
      unit += trials;
      this.#rot(request, unit - 1);
    }
  }

  override read(bytes: Uint8Array, offset: number): void {
    if (this.#count === 0) return;
    const first = Math.floor(offset / UNIT_BYTES);
    const end = Math.ceil((offset + bytes.length) / UNIT_BYTES);
    if (end - first > this.#rotten.size) {
      for (const bits of this.#rotten.values()) flip(bits, bytes, offset);
      return;
    }
    for (let unit = first; unit < end; unit++) {
      const bits = this.#rotten.get(unit);
      if (bits !== undefined) flip(bits, bytes, offset);
    }
  }

  /** What is written is sound again, byte by byte. */
  override changed(_op: FaultOp, offset: number, length: number): void {
    if (this.#count === 0) return;
    const first = Math.floor(offset / UNIT_BYTES);
    const end = Math.ceil((offset + length) / UNIT_BYTES);
    const units = end - first > this.#rotten.size ? [...this.#rotten.keys()] : range(first, end);
    for (const unit of units) {
      const bits = this.#rotten.get(unit);
      if (bits === undefined) continue;
      const left = bits.filter((bit) => bit < offset * 8 || bit >= (offset + length) * 8);
      this.#count -= bits.length - left.length;
      if (left.length === 0) this.#rotten.delete(unit);
      else this.#rotten.set(unit, left);
    }
  }

  protected override words(bit: number): string {
    return `bit ${bit % 8} of the byte at ${Math.floor(bit / 8)} flipped`;
  }

  /** A bit that flips twice is as it was. */
  #rot(request: FaultRequest, unit: number): void {
    const bit = unit * UNIT_BYTES * 8 + this.#random.below(UNIT_BYTES * 8);
    if (!this.#ranges.holds(unit * UNIT_BYTES, (unit + 1) * UNIT_BYTES)) return;
    if (this.#count >= ROTTEN_BITS_MAX) return;
    const bits = this.#rotten.get(unit) ?? [];
    const at = bits.indexOf(bit);
    if (at >= 0) bits.splice(at, 1);
    else bits.push(bit);
    this.#count += at >= 0 ? -1 : 1;
    if (bits.length === 0) this.#rotten.delete(unit);
    else this.#rotten.set(unit, bits);
    this.fire(request, bit);
  }
}

function flip(bits: readonly number[], bytes: Uint8Array, offset: number): void {
  for (const bit of bits) {
    const at = Math.floor(bit / 8) - offset;
    if (at >= 0 && at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8));
  }
}

function range(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, i) => first + i);
}
