// The mask of a layer: the ranges of the disk in which it may do anything.

import type { ByteRange } from './spec.js';

export class Ranges {
  /** In order, and apart from each other. */
  readonly #ranges: readonly ByteRange[];

  /** @param ranges in any order; none means everywhere */
  constructor(ranges: readonly ByteRange[]) {
    const merged: ByteRange[] = [];
    for (const each of [...ranges].sort((a, b) => a.from - b.from)) {
      const last = merged.at(-1);
      if (last === undefined || each.from > last.until) merged.push(each);
      else if (each.until > last.until) merged.splice(-1, 1, { ...last, until: each.until });
    }
    this.#ranges = merged;
  }

  get everywhere(): boolean {
    return this.#ranges.length === 0;
  }

  /** Whether a byte of it lies in the mask. */
  touches(from: number, until: number): boolean {
    if (this.everywhere) return true;
    for (const each of this.#ranges) if (from < each.until && until > each.from) return true;
    return false;
  }

  /** Whether all of it lies in the mask. */
  holds(from: number, until: number): boolean {
    if (this.everywhere) return true;
    for (const each of this.#ranges) if (from >= each.from && until <= each.until) return true;
    return false;
  }

  /** The pieces of the mask on a disk of that size. */
  within(sizeBytes: number): ByteRange[] {
    if (this.everywhere) return [{ from: 0, until: sizeBytes }];
    return this.#ranges.flatMap(({ from, until }) =>
      from < sizeBytes ? [{ from, until: Math.min(until, sizeBytes) }] : [],
    );
  }
}
