// What the layers make of a request. One object per stack, used again for each request.

import type { FaultOp } from './spec.js';

/** A request on its way through the layers. A layer that moves a write moves it for those below, too. */
export interface FaultRequest {
  op: FaultOp;
  offset: number;
  /** 0 for a flush. */
  length: number;
  /** It shall be durable before its reply. */
  fua: boolean;
  /** The disk's clock. */
  nowUs: number;
}

/** However long a tail a distribution has, and however many layers there are. */
export const DELAY_US_MAX = 3_600_000_000;

export class Verdict {
  /** A number of ERRNO that ends the request, or 0. */
  error = 0;
  /** How long the reply is held back, by the disk's clock. */
  delayUs = 0;
  /** Where a write lands. */
  offset = 0;
  /** FLUSH and FUA are acknowledged, and make nothing durable. */
  lie = false;
  /** What of a write is not stored: pairs (from, until) of bytes from its beginning, in order, apart from each other. */
  readonly lost: number[] = [];

  reset(offset: number): void {
    this.error = 0;
    this.delayUs = 0;
    this.offset = offset;
    this.lie = false;
    if (this.lost.length > 0) this.lost.length = 0;
  }

  /** Bytes of a write that are not stored, counted from its beginning. */
  lose(from: number, until: number): void {
    const last = this.lost.length - 1;
    const lastUntil = this.lost[last] ?? -1;
    if (from > lastUntil) {
      this.lost.push(from, until);
    } else if (from >= (this.lost[last - 1] ?? 0)) {
      this.lost[last] = Math.max(lastUntil, until);
    } else {
      this.#insert(from, until);
    }
  }

  /** @returns by how much that is later than before */
  delay(us: number): number {
    const before = this.delayUs;
    this.delayUs = Math.min(before + Math.round(us), DELAY_US_MAX);
    return this.delayUs - before;
  }

  /** A second layer tears the same write. */
  #insert(from: number, until: number): void {
    const pairs: [number, number][] = [[from, until]];
    for (let i = 0; i < this.lost.length; i += 2) {
      pairs.push([this.lost[i] ?? 0, this.lost[i + 1] ?? 0]);
    }
    pairs.sort(([a], [b]) => a - b);
    this.lost.length = 0;
    for (const [begin, end] of pairs) this.lose(begin, end);
  }
}
