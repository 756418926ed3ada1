// Fault layer: a write is acknowledged, and only a part of it is stored.

import { TriggeredLayer } from './layer.js';
import type { TornWriteSpec } from './spec.js';
import type { FaultRequest, Verdict } from './verdict.js';

export class TornWriteLayer extends TriggeredLayer {
  constructor(override readonly spec: TornWriteSpec) {
    super(spec);
  }

  /** All of it lies in the mask, and it has parts. */
  protected override applies({ offset, length }: FaultRequest): boolean {
    if (length === 0 || !this.ranges.holds(offset, offset + length)) return false;
    return this.spec.keep === 'none' || this.#subUnits(offset, length) > 1;
  }

  protected override act(request: FaultRequest, verdict: Verdict): void {
    const { offset, length } = request;
    const units = this.#subUnits(offset, length);
    let lost = 0;
    switch (this.spec.keep) {
      case 'first':
        lost = this.#lose(request, verdict, 1 + this.random.below(units - 1), units);
        break;
      case 'last':
        lost = this.#lose(request, verdict, 0, 1 + this.random.below(units - 1));
        break;
      case 'none':
        lost = this.#lose(request, verdict, 0, units);
        break;
      case 'random': {
        // One is lost and another is kept for sure; the rest goes by the toss of a coin.
        const sure = this.random.below(units);
        const kept = (sure + 1 + this.random.below(units - 1)) % units;
        for (let unit = 0; unit < units; unit++) {
          const gone = this.random.unit() < 0.5;
          if (unit === sure || (gone && unit !== kept)) {
            lost += this.#lose(request, verdict, unit, unit + 1);
          }
        }
      }
    }
    this.fire(request, lost);
  }

  protected override words(lost: number): string {
    return `${lost} bytes of it not stored`;
  }

  #subUnits(offset: number, length: number): number {
    const { unitBytes } = this.spec;
    return Math.ceil((offset + length) / unitBytes) - Math.floor(offset / unitBytes);
  }

  /** Sub-units `from` to `until` of the request. @returns bytes */
  #lose({ offset, length }: FaultRequest, verdict: Verdict, from: number, until: number): number {
    const { unitBytes } = this.spec;
    const before = offset % unitBytes;
    const begin = Math.max(0, from * unitBytes - before);
    const end = Math.min(length, until * unitBytes - before);
    verdict.lose(begin, end);
    return end - begin;
  }
}
