// Fault layer: a request fails, and does nothing.

import { TriggeredLayer } from './layer.js';
import { ERRNO, type ErrorSpec } from './spec.js';
import type { FaultRequest, Verdict } from './verdict.js';

export class ErrorLayer extends TriggeredLayer {
  constructor(override readonly spec: ErrorSpec) {
    super(spec);
  }

  protected override act(request: FaultRequest, verdict: Verdict): void {
    verdict.error = ERRNO[this.spec.errno];
    this.fire(request);
  }

  protected override words(): string {
    return `failed with ${this.spec.errno}`;
  }
}
