// The clock of a disk: its delays are measured by it, in time that passes, or in time that is put forward when there is
// nothing else to do.

import { performance } from 'node:perf_hooks';
import type { Clock } from './storage.js';

export class DiskClock implements Clock {
  /** Added to the machine's time. */
  #aheadUs = 0;
  /** What it shows while it is virtual. */
  #virtualUs: number | null = null;

  get virtual(): boolean {
    return this.#virtualUs !== null;
  }

  /** It goes on from where it is. */
  set virtual(virtual: boolean) {
    if (virtual) {
      this.#virtualUs ??= this.nowUs();
    } else if (this.#virtualUs !== null) {
      this.#aheadUs = this.#virtualUs - performance.now() * 1000;
      this.#virtualUs = null;
    }
  }

  nowUs(): number {
    return this.#virtualUs ?? performance.now() * 1000 + this.#aheadUs;
  }

  advance(toUs: number): void {
    const byUs = Math.max(0, toUs - this.nowUs());
    if (this.#virtualUs === null) this.#aheadUs += byUs;
    else this.#virtualUs += byUs;
  }
}
