// Fault layer: a write lands elsewhere. It is acknowledged; the place that it was for keeps what it had.

import { TriggeredLayer } from './layer.js';
import type { ByteRange, MisdirectedWriteSpec } from './spec.js';
import type { FaultRequest, Verdict } from './verdict.js';

export class MisdirectedWriteLayer extends TriggeredLayer {
  /** Where writes may land. */
  readonly #targets: readonly ByteRange[];

  constructor(
    override readonly spec: MisdirectedWriteSpec,
    private readonly sizeBytes: number,
  ) {
    super(spec);
    this.#targets = this.ranges.within(sizeBytes);
  }

  /** All of it lies in the mask. */
  protected override applies({ offset, length }: FaultRequest): boolean {
    return length > 0 && this.ranges.holds(offset, offset + length);
  }

  protected override act(request: FaultRequest, verdict: Verdict): void {
    const target = this.#target(request);
    if (target === request.offset) return;
    verdict.offset = target;
    this.fire(request, target);
  }

  protected override words(target: number): string {
    return `written at ${target} instead`;
  }

  /** As far into its unit as it was; the offset itself if there is no other place for it. */
  #target({ offset, length }: FaultRequest): number {
    const { unitBytes, shiftBytes } = this.spec;
    if (shiftBytes !== null) {
      const shifted = (offset + shiftBytes) % this.sizeBytes;
      return this.ranges.holds(shifted, shifted + length) && shifted + length <= this.sizeBytes
        ? shifted
        : offset;
    }
    const within = offset % unitBytes;
    let places = 0;
    for (const range of this.#targets) places += placesIn(range, within, length, unitBytes);
    if (places < 2) return offset;
    // One fewer than there are: its own place is stepped over.
    let skip = this.random.below(places - 1);
    for (const range of this.#targets) {
      const here = placesIn(range, within, length, unitBytes);
      const first = firstIn(range, within, unitBytes);
      if (offset >= range.from && offset < range.until) {
        const own = (offset - first) / unitBytes;
        if (skip < here - 1) return first + (skip < own ? skip : skip + 1) * unitBytes;
        skip -= here - 1;
      } else {
        if (skip < here) return first + skip * unitBytes;
        skip -= here;
      }
    }
    return offset;
  }
}

function firstIn({ from }: ByteRange, within: number, unitBytes: number): number {
  return Math.ceil((from - within) / unitBytes) * unitBytes + within;
}

function placesIn(range: ByteRange, within: number, length: number, unitBytes: number): number {
  const room = range.until - length - firstIn(range, within, unitBytes);
  return room < 0 ? 0 : Math.floor(room / unitBytes) + 1;
}
