// Fault layer: a disk that does no more than so many bytes, or requests, a second.

import { Layer } from './layer.js';
import { Ranges } from './ranges.js';
import type { RateLimitSpec } from './spec.js';
import type { FaultRequest, Verdict } from './verdict.js';

const US_PER_S = 1e6;

export class RateLimitLayer extends Layer {
  readonly #ranges: Ranges;
  /** When everything that was let through is paid for: a token bucket, told by time (GCRA). */
  #bytesPaidUs = 0;
  #requestsPaidUs = 0;

  constructor(override readonly spec: RateLimitSpec) {
    super();
    this.#ranges = new Ranges(spec.range);
  }

  override decide(request: FaultRequest, verdict: Verdict): void {
    const { op, bytes, requests, burstUs } = this.spec;
    const { offset, length, nowUs } = request;
    if (!op.includes(request.op)) return;
    const within =
      request.op === 'flush'
        ? this.#ranges.everywhere
        : this.#ranges.touches(offset, offset + length);
    if (!within) return;
    this.seen++;
    let paidUs = 0;
    if (bytes !== null) {
      this.#bytesPaidUs = Math.max(nowUs, this.#bytesPaidUs) + (length * US_PER_S) / bytes;
      paidUs = this.#bytesPaidUs;
    }
    if (requests !== null) {
      this.#requestsPaidUs = Math.max(nowUs, this.#requestsPaidUs) + US_PER_S / requests;
      paidUs = Math.max(paidUs, this.#requestsPaidUs);
    }
    const us = paidUs - nowUs - burstUs;
    if (us >= 1) this.fire(request, verdict.delay(us));
  }

  protected override words(us: number): string {
    return `held back for ${us} us`;
  }
}
