// The payload of a WRITE on its way to the disk: how far it has come, and since when it has made no progress.

import { UNIT_BYTES, WRITE_PROGRESS_BYTES } from './limits.js';
import { ERROR } from './protocol.js';

export class Payload {
  /** It has begun, and is not all there. */
  isComing = false;
  /** What comes next is for this byte of the disk. */
  at = 0;
  end = 0;
  /** What has gone wrong with it: an NBD error. */
  error: number = ERROR.NONE;
  #largeProgressAt = 0;
  #largeProgressMs = 0;

  begin(offset: number, length: number, nowMs: number): void {
    this.isComing = true;
    this.at = this.#largeProgressAt = offset;
    this.end = offset + length;
    this.error = ERROR.NONE;
    this.#largeProgressMs = nowMs;
  }

  advance(length: number, nowMs: number): void {
    this.at += length;
    if (this.at - this.#largeProgressAt < WRITE_PROGRESS_BYTES) return;
    this.#largeProgressAt = this.at;
    this.#largeProgressMs = nowMs;
  }

  /** Where the unit of the next byte ends, or the payload. */
  get unitEnd(): number {
    return Math.min(Math.floor(this.at / UNIT_BYTES) * UNIT_BYTES + UNIT_BYTES, this.end);
  }

  /** Of that many bytes, how many make whole units, or are all that is missing. */
  wholeUnits(available: number): number {
    if (available >= this.end - this.at) return this.end - this.at;
    return Math.max(Math.floor((this.at + available) / UNIT_BYTES) * UNIT_BYTES - this.at, 0);
  }

  /** Since when less than WRITE_PROGRESS_BYTES have come; Infinity if nothing is to come. */
  get stalledSinceMs(): number {
    return this.isComing ? this.#largeProgressMs : Number.POSITIVE_INFINITY;
  }
}
