// Fault layer: a disk that does no more than so many bytes, or requests, a second.

import { DELAY_US_MAX } from './delay.js';
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
    const { op, bytes, requests, burstUs, time } = this.spec;
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
    const us = Math.min(Math.round(paidUs - nowUs - burstUs), DELAY_US_MAX);
    if (us <= 0) return;
    verdict.delay(us, time);
    this.fire(request, us);
  }

  protected override words(us: number): string {
    return `held back for ${us} us`;
  }
}
