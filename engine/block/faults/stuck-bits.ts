// Fault layer: some units have a bit that always reads as 0, or as 1, whatever is written there.

import { Layer } from './layer.js';
import { hash, isAmong } from './random.js';
import { Ranges } from './ranges.js';
import type { StuckBitsSpec } from './spec.js';
import { UNIT_BYTES } from './unit-set.js';
import type { FaultRequest } from './verdict.js';

export class StuckBitsLayer extends Layer {
  override readonly changesReads = true;
  readonly #ranges: Ranges;

  constructor(override readonly spec: StuckBitsSpec) {
    super();
    this.#ranges = new Ranges(spec.range);
  }

  override decide({ op, offset, length }: FaultRequest): void {
    if (op === 'read' && this.#ranges.touches(offset, offset + length)) this.seen++;
  }

  override read(bytes: Uint8Array, offset: number): void {
    const { seed, rate, value } = this.spec;
    if (!this.#ranges.touches(offset, offset + bytes.length)) return;
    const end = Math.ceil((offset + bytes.length) / UNIT_BYTES);
    for (let unit = Math.floor(offset / UNIT_BYTES); unit < end; unit++) {
      if (!isAmong(rate, hash(seed, unit))) continue;
      const from = unit * UNIT_BYTES;
      if (!this.#ranges.holds(from, from + UNIT_BYTES)) continue;
      // Which bit, and what it is stuck at, come from hashes of their own.
      const bit = hash(~seed, unit);
      const at = from + ((bit >>> 3) % UNIT_BYTES) - offset;
      if (at >= 0 && at < bytes.length) {
        this.#stick(bytes, at, offset, bit & 7, value ?? bit >>> 31);
      }
    }
  }

  protected override words(bit: number): string {
    return `bit ${bit % 8} of the byte at ${Math.floor(bit / 8)} is stuck`;
  }

  #stick(bytes: Uint8Array, at: number, offset: number, bit: number, value: number): void {
    const before = bytes[at] ?? 0;
    const after = value === 0 ? before & ~(1 << bit) : before | (1 << bit);
    if (after === before) return;
    bytes[at] = after;
    this.fire(
      { op: 'read', offset, length: bytes.length, fua: false, nowUs: 0 },
      (offset + at) * 8 + bit,
    );
  }
}
