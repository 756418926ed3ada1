// Fault layer: a thinly provisioned device that runs out of space. A unit that was written since the layer came has its
// space; others need some of what is free; a trim gives it back.

import { TriggeredLayer } from './layer.js';
import { ERRNO, type FaultOp, type FullDeviceSpec } from './spec.js';
import { UNIT_BYTES, UnitSet } from './unit-set.js';
import type { FaultRequest, Verdict } from './verdict.js';

export class FullDeviceLayer extends TriggeredLayer {
  readonly #written = new UnitSet();
  readonly #freeUnits: number;

  constructor(override readonly spec: FullDeviceSpec) {
    super(spec);
    this.#freeUnits = Math.floor(spec.freeBytes / UNIT_BYTES);
  }

  /** It needs more than is free. */
  protected override applies({ offset, length }: FaultRequest): boolean {
    let left = this.#freeUnits - this.#written.size;
    const end = Math.ceil((offset + length) / UNIT_BYTES);
    for (let unit = Math.floor(offset / UNIT_BYTES); unit < end; unit++) {
      if (this.#counts(unit) && !this.#written.has(unit) && --left < 0) return true;
    }
    return false;
  }

  override changed(op: FaultOp, offset: number, length: number): void {
    if (this.#freeUnits === 0) return;
    if (op === 'trim') {
      const end = Math.floor((offset + length) / UNIT_BYTES);
      for (let unit = Math.ceil(offset / UNIT_BYTES); unit < end; unit++) {
        this.#written.delete(unit);
      }
      return;
    }
    const end = Math.ceil((offset + length) / UNIT_BYTES);
    for (let unit = Math.floor(offset / UNIT_BYTES); unit < end; unit++) {
      if (this.#counts(unit)) this.#written.add(unit);
    }
  }

  protected override act(request: FaultRequest, verdict: Verdict): void {
    verdict.error = ERRNO.ENOSPC;
    this.fire(request);
  }

  protected override words(): string {
    return 'failed with ENOSPC';
  }

  #counts(unit: number): boolean {
    return this.ranges.touches(unit * UNIT_BYTES, (unit + 1) * UNIT_BYTES);
  }
}
