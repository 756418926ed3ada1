// Fault layer: some units can't be read until they are written again.

import { Layer } from './layer.js';
import { hash, isAmong } from './random.js';
import { Ranges } from './ranges.js';
import { ERRNO, type FaultOp, type LatentErrorSpec } from './spec.js';
import { UNIT_BYTES, UnitSet } from './unit-set.js';
import type { FaultRequest, Verdict } from './verdict.js';

export class LatentErrorLayer extends Layer {
  readonly #ranges: Ranges;
  /** Bad units that were written as a whole since. */
  readonly #repaired = new UnitSet();

  constructor(override readonly spec: LatentErrorSpec) {
    super();
    this.#ranges = new Ranges(spec.range);
  }

  override decide(request: FaultRequest, verdict: Verdict): void {
    const { op, offset, length } = request;
    if (op !== 'read' || !this.#ranges.touches(offset, offset + length)) return;
    this.seen++;
    const end = Math.ceil((offset + length) / UNIT_BYTES);
    for (let unit = Math.floor(offset / UNIT_BYTES); unit < end; unit++) {
      if (!this.#isBad(unit) || this.#repaired.has(unit)) continue;
      verdict.error = ERRNO.EIO;
      this.fire(request, unit * UNIT_BYTES);
      return;
    }
  }

  /** Half a unit repairs nothing. */
  override changed(_op: FaultOp, offset: number, length: number): void {
    const end = Math.floor((offset + length) / UNIT_BYTES);
    for (let unit = Math.ceil(offset / UNIT_BYTES); unit < end; unit++) {
      if (this.#isBad(unit)) this.#repaired.add(unit);
    }
  }

  protected override words(offset: number): string {
    return `the unit at ${offset} can't be read`;
  }

  #isBad(unit: number): boolean {
    const { seed, rate } = this.spec;
    if (!isAmong(rate, hash(seed, unit))) return false;
    return this.#ranges.holds(unit * UNIT_BYTES, (unit + 1) * UNIT_BYTES);
  }
}
