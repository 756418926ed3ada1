// Fault layer: the reply to a request is held back, for a time drawn from a distribution with a given mean and 99th
// percentile.

import { TriggeredLayer } from './layer.js';
import type { Random } from './random.js';
import type { DelaySpec, Distribution } from './spec.js';
import type { FaultRequest, Verdict } from './verdict.js';

/** ln(100): the 99th percentile of an exponential distribution with the mean 1. */
const LN_100 = Math.log(100);
/** The 99th percentile of the standard normal distribution. */
const Z_99 = 2.3263478740408408;

/** Which 99th percentiles a distribution can have: up to so many times its mean. */
export function p99Max(distribution: Distribution): number {
  switch (distribution) {
    case 'constant':
      return 1;
    case 'uniform': // from 0 to twice the mean
      return 1.98;
    case 'exponential': // from 0 on
      return LN_100;
    case 'lognormal': // where the root below ends
      return Math.exp(Z_99 ** 2 / 2);
  }
}

/** The one that is meant where none is given: the widest, or what most disks show. */
export function p99Default(distribution: Distribution, meanUs: number): number {
  return meanUs * (distribution === 'lognormal' ? 5 : p99Max(distribution));
}

/** Draws delays; mean and percentile as DelaySpec demands them. */
function sampler({ distribution, meanUs, p99Us }: DelaySpec, random: Random): () => number {
  const spread = p99Us - meanUs;
  switch (distribution) {
    case 'constant':
      return () => meanUs;
    case 'uniform': {
      const width = spread / 0.49;
      return () => meanUs + (random.unit() - 0.5) * width;
    }
    case 'exponential': {
      // Shifted: least + theta is the mean, least + theta * ln(100) the percentile.
      const theta = spread / (LN_100 - 1);
      return () => meanUs - theta - theta * Math.log1p(-random.unit());
    }
    case 'lognormal': {
      // exp(mu + sigma^2 / 2) is the mean, exp(mu + Z_99 * sigma) the percentile; of two solutions the narrower.
      const ratio = Math.log(p99Us / meanUs);
      const sigma = Z_99 - Math.sqrt(Math.max(0, Z_99 ** 2 - 2 * ratio));
      const mu = Math.log(meanUs) - sigma ** 2 / 2;
      return () => Math.exp(mu + sigma * normal(random));
    }
  }
}

/** Normally distributed with mean 0 and deviation 1 (Box and Muller). */
function normal(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log1p(-random.unit()));
  return radius * Math.cos(2 * Math.PI * random.unit());
}

export class DelayLayer extends TriggeredLayer {
  readonly #sample: () => number;

  constructor(override readonly spec: DelaySpec) {
    super(spec);
    this.#sample = sampler(spec, this.random);
  }

  protected override act(request: FaultRequest, verdict: Verdict): void {
    this.fire(request, verdict.delay(this.#sample()));
  }

  protected override words(us: number): string {
    return `held back for ${us} us`;
  }
}
