// A batch: pages on their way to consecutive blocks in one block request.

import type { BlockRequest } from '../block/request.js';
import { REQUEST_PAGES_MAX } from '../block/request.js';

export class WriteBatch implements BlockRequest {
  readonly op = 'write';
  readonly fua = false;
  /** First block, and how many. */
  block = 0;
  count = 0;
  /** What is written: the folios' own frames, or bounce pages. */
  readonly frames = new Int32Array(REQUEST_PAGES_MAX);
  /** The folios, 0 for direct I/O; page index of each, and the checksum sampled of it. */
  readonly pfns = new Int32Array(REQUEST_PAGES_MAX);
  readonly indices = new Int32Array(REQUEST_PAGES_MAX);
  readonly sums = new Int32Array(REQUEST_PAGES_MAX);
  /** Were the blocks claimed for this, and are still to be entered into the file? */
  fresh = false;
  ticket = 0;

  reset(): void {
    this.count = 0;
    this.fresh = false;
  }

  /** Can a page that goes to `block` join? */
  takes(block: number, fresh: boolean): boolean {
    if (this.count === 0) return true;
    return (
      this.count < REQUEST_PAGES_MAX && this.fresh === fresh && block === this.block + this.count
    );
  }

  add(block: number, fresh: boolean, frame: number, pfn: number, index: number, sum: number): void {
    if (this.count === 0) {
      this.block = block;
      this.fresh = fresh;
    }
    const at = this.count++;
    this.frames[at] = frame;
    this.pfns[at] = pfn;
    this.indices[at] = index;
    this.sums[at] = sum;
  }
}
