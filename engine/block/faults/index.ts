// Fault layers of a disk: what it does beside what it was asked for.

import { BitRotLayer } from './bit-rot.js';
import { DelayLayer } from './delay.js';
import { ErrorLayer } from './error.js';
import { FullDeviceLayer } from './full-device.js';
import { LatentErrorLayer } from './latent-error.js';
import type { Layer } from './layer.js';
import { LyingFlushLayer } from './lying-flush.js';
import { MisdirectedWriteLayer } from './misdirected-write.js';
import { RateLimitLayer } from './rate-limit.js';
import type { FaultSpec } from './spec.js';
import { StuckBitsLayer } from './stuck-bits.js';
import { TornWriteLayer } from './torn-write.js';

export { p99Default, p99Max } from './delay.js';
export { FIRINGS_KEPT, type Layer } from './layer.js';
export * from './spec.js';
export { FaultStack } from './stack.js';
export { DELAY_US_MAX, type Verdict } from './verdict.js';

/** @param sizeBytes of the disk */
export function makeLayer(spec: FaultSpec, sizeBytes: number): Layer {
  switch (spec.kind) {
    case 'error':
      return new ErrorLayer(spec);
    case 'delay':
      return new DelayLayer(spec);
    case 'rate-limit':
      return new RateLimitLayer(spec);
    case 'bit-rot':
      return new BitRotLayer(spec);
    case 'stuck-bits':
      return new StuckBitsLayer(spec);
    case 'latent-error':
      return new LatentErrorLayer(spec);
    case 'misdirected-write':
      return new MisdirectedWriteLayer(spec, sizeBytes);
    case 'torn-write':
      return new TornWriteLayer(spec);
    case 'lying-flush':
      return new LyingFlushLayer(spec);
    case 'full-device':
      return new FullDeviceLayer(spec);
  }
}
