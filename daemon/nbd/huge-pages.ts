// Huge pages for those parts of a disk's memory that large WRITEs go to again and again: the kernel's copies from the
// socket are faster then, as they look up fewer addresses. Each thread decides for itself, by what it has received.

import { type Arena, HUGE_PAGE_BYTES } from '../../native/index.js';
import type { WrittenPages } from '../written-pages.js';
import { HUGE_WORTH_BYTES, HUGE_WORTH_BYTES_MAX } from './limits.js';

export class HugePages {
  /** Of each part of the memory that a huge page could hold: what was written there since it was tried. */
  readonly #bytes: Uint32Array;
  /** After so much it is tried. */
  #worthBytes = HUGE_WORTH_BYTES;

  constructor(
    private readonly arena: Arena,
    private readonly written: WrittenPages,
  ) {
    this.#bytes = new Uint32Array(Math.floor(arena.lengthBytes / HUGE_PAGE_BYTES));
  }

  /** So many bytes of a WRITE have been received straight to this place. */
  wrote(at: number, length: number): void {
    const nth = Math.floor(at / HUGE_PAGE_BYTES);
    if (nth >= this.#bytes.length) return;
    this.#bytes[nth] += length;
    if (this.#bytes[nth] >= this.#worthBytes) this.#collapse(nth);
  }

  /** What was discarded since, and so was split again, comes here again. */
  #collapse(nth: number): void {
    this.#bytes[nth] = 0;
    const at = nth * HUGE_PAGE_BYTES;
    // Pages that nobody has written to would get memory.
    if (!this.written.hasAll(at, HUGE_PAGE_BYTES)) return;
    this.#worthBytes = this.arena.collapse(at, HUGE_PAGE_BYTES)
      ? HUGE_WORTH_BYTES
      : // To look for a huge page in vain may take the host long.
        Math.min(2 * this.#worthBytes, HUGE_WORTH_BYTES_MAX);
  }
}
