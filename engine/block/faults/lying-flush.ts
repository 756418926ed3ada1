// Fault layer: FLUSH, or a request with FUA, is acknowledged, and makes nothing durable.

import { TriggeredLayer } from './layer.js';
import type { LyingFlushSpec } from './spec.js';
import type { FaultRequest, Verdict } from './verdict.js';

export class LyingFlushLayer extends TriggeredLayer {
  constructor(override readonly spec: LyingFlushSpec) {
    super(spec);
  }

  /** All of it lies in the mask; a flush without FUA lies in none. */
  protected override applies({ op, offset, length, fua }: FaultRequest): boolean {
    if (op === 'flush') return this.ranges.everywhere;
    return fua && this.ranges.holds(offset, offset + length);
  }

  protected override act(request: FaultRequest, verdict: Verdict): void {
    verdict.lie = true;
    this.fire(request);
  }

  protected override words(): string {
    return 'acknowledged, nothing made durable';
  }
}
