// Staging memory of one connection: what is on its way between a socket and another thread.

import { Arena } from '../../native/index.js';
import { STAGING_BYTES } from './limits.js';

/** Memory is taken in whole granules, so that extents are aligned and small requests take little. */
const GRANULE_BYTES = 4096;
const GRANULES = STAGING_BYTES / GRANULE_BYTES;

export class Staging {
  readonly buffer = new SharedArrayBuffer(STAGING_BYTES);
  readonly bytes = new Uint8Array(this.buffer);
  readonly arena = new Arena([this.bytes]);
  readonly #taken = new Uint8Array(GRANULES);

  /** @returns where so many bytes are free in one piece, which are taken then; -1 if they are not */
  take(length: number): number {
    const wanted = Math.ceil(length / GRANULE_BYTES);
    let free = 0;
    for (let i = 0; i < GRANULES; i++) {
      free = this.#taken[i] === 0 ? free + 1 : 0;
      if (free < wanted) continue;
      const first = i + 1 - wanted;
      this.#taken.fill(1, first, i + 1);
      return first * GRANULE_BYTES;
    }
    return -1;
  }

  give(place: number, length: number): void {
    const first = place / GRANULE_BYTES;
    this.#taken.fill(0, first, first + Math.ceil(length / GRANULE_BYTES));
  }

  giveAll(): void {
    this.#taken.fill(0);
  }
}
