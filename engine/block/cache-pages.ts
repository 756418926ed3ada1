// What each page of a disk with a volatile cache holds now, as every reader sees it (B2): the entry of the
// newest write (see write-log.ts), or FLOOR where no write is in the log and the floor has no slot.

import type { CacheState } from './cache-state.js';

export const FLOOR = 0;

/** Pages that one counter covers: searches pass over those without entries. */
const GROUP_SHIFT = 10;
const GROUP_PAGES = 1 << GROUP_SHIFT;

export class CachePages {
  readonly #newest: Uint32Array;
  readonly #used: Uint32Array;

  constructor(
    readonly count: number,
    state: CacheState,
  ) {
    this.#newest = state.uint32(count);
    this.#used = state.uint32(Math.ceil(count / GROUP_PAGES));
  }

  get(page: number): number {
    return this.#newest[page];
  }

  set(page: number, entry: number): void {
    const before = this.#newest[page];
    this.#newest[page] = entry;
    if (before === FLOOR) this.#used[page >>> GROUP_SHIFT]++;
    if (entry === FLOOR) this.#used[page >>> GROUP_SHIFT]--;
  }

  /** set(), for pages that follow each other, none to FLOOR. */
  setAll(first: number, entries: Uint32Array, count: number): void {
    const newest = this.#newest;
    for (let i = 0; i < count; i++) {
      if (newest[first + i] === FLOOR) this.#used[(first + i) >>> GROUP_SHIFT]++;
      newest[first + i] = entries[i];
    }
  }

  /** The first page from `page` to below `end` that has an entry; `end` if there is none. */
  nextUsed(page: number, end: number): number {
    while (page < end) {
      if (this.#used[page >>> GROUP_SHIFT] === 0) {
        page = ((page >>> GROUP_SHIFT) + 1) << GROUP_SHIFT;
      } else if (this.#newest[page] === FLOOR) {
        page++;
      } else {
        return page;
      }
    }
    return end;
  }
}
