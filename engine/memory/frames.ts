// Page frames: the memory behind the pfns, viewed in segments (one typed array covers at most 2^32
// bytes, and a machine may have more).

import { InvariantError } from '../sched/errors.js';

/** The page frames of one machine. Contents are the business of mm/content.ts. */
export class Frames {
  readonly pageShift: number;
  /** log2 of 32-bit words in a page. */
  readonly wordShift: number;
  private readonly segmentShift: number;
  private readonly segmentMask: number;
  private readonly bytes: readonly Uint8Array[];
  private readonly words: readonly Int32Array[];

  /**
   * @param pageBytes size of a frame, a power of two of at least 8
   * @param segments consecutive memory; all but the last of one length that is a power-of-two number of pages
   */
  constructor(
    readonly pageBytes: number,
    readonly segments: readonly Uint8Array[],
  ) {
    this.pageShift = Math.log2(pageBytes);
    this.wordShift = this.pageShift - 2;
    const first = segments.length > 1 ? segments[0].byteLength : 2 ** 30 * pageBytes;
    this.segmentShift = Math.log2(first / pageBytes);
    if (!Number.isInteger(this.pageShift) || !Number.isInteger(this.segmentShift)) {
      throw new InvariantError(
        `frames of ${String(pageBytes)} B in segments of ${String(first)} B`,
      );
    }
    this.segmentMask = 2 ** this.segmentShift - 1;
    this.bytes = segments;
    this.words = segments.map((s) => new Int32Array(s.buffer, s.byteOffset, s.byteLength >>> 2));
  }

  /** The segment that holds frame `pfn`, as bytes. */
  segment(pfn: number): Uint8Array {
    return this.bytes[pfn >>> this.segmentShift];
  }

  /** Where frame `pfn` starts in its segment, in bytes. */
  offset(pfn: number): number {
    return (pfn & this.segmentMask) * this.pageBytes;
  }

  /** The segment that holds frame `pfn`, as 32-bit words. */
  wordSegment(pfn: number): Int32Array {
    return this.words[pfn >>> this.segmentShift];
  }

  /** Where frame `pfn` starts in wordSegment(pfn), in words. */
  wordOffset(pfn: number): number {
    return (pfn & this.segmentMask) << this.wordShift;
  }

  /** Where frame `pfn` starts in the memory as a whole, in bytes (for the addon's Arena). */
  address(pfn: number): number {
    return pfn * this.pageBytes;
  }

  /** Frame `pfn` as a view of its own. Allocates: not for hot paths. */
  view(pfn: number): Uint8Array {
    const start = this.offset(pfn);
    return this.segment(pfn).subarray(start, start + this.pageBytes);
  }
}
