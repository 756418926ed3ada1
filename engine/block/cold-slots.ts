// Slots of a cached disk that have no memory: a bit for each. They are found going round, so that those that follow each
// other are taken one after the other.

import type { CacheState } from './cache-state.js';

/** Slots that takeRun() takes: half a word. */
export const COLD_RUN_SLOTS = 16;
/** Words that takeRun() looks at. */
const RUN_SEARCH_WORDS = 256;

const WORD_SLOTS = 32;
const LOW_HALF = 0xffff;

/** In the counters: how many there are, and the words where take() and takeRun() look next. */
const COUNT = 0;
const AT = 1;
const RUN_AT = 2;

export class ColdSlots {
  private readonly counters: Uint32Array;
  private readonly words: Uint32Array;

  /** At first all from `first` to below `limit`. */
  constructor(first: number, limit: number, state: CacheState) {
    this.counters = state.uint32(3);
    this.words = state.uint32(Math.ceil(limit / WORD_SLOTS));
    if (!state.isNew) return;
    this.counters[COUNT] = limit - first;
    this.words.fill(0xffffffff);
    for (let slot = 0; slot < first; slot++) this.#clear(slot);
    for (let slot = limit; slot < this.words.length * WORD_SLOTS; slot++) this.#clear(slot);
  }

  get count(): number {
    return this.counters[COUNT];
  }

  put(slot: number): void {
    this.words[slot >>> 5] |= 1 << (slot & 31);
    this.counters[COUNT]++;
  }

  /** @throws RangeError if there is none */
  take(): number {
    const { words, counters } = this;
    if (counters[COUNT] === 0) throw new RangeError('no slot is left');
    let at = counters[AT];
    while (words[at] === 0) at = at + 1 === words.length ? 0 : at + 1;
    counters[AT] = at;
    const word = words[at];
    const slot = at * WORD_SLOTS + 31 - Math.clz32(word & -word);
    this.#clear(slot);
    counters[COUNT]--;
    return slot;
  }

  /** COLD_RUN_SLOTS that follow each other. @returns whether there were any near to where the last ones were */
  takeRun(into: Uint32Array, start: number): boolean {
    const { words, counters } = this;
    let at = counters[RUN_AT];
    for (let looked = 0; looked < RUN_SEARCH_WORDS; looked++) {
      const word = words[at];
      const isLow = (word & LOW_HALF) === LOW_HALF;
      if (isLow || word >>> COLD_RUN_SLOTS === LOW_HALF) {
        const first = at * WORD_SLOTS + (isLow ? 0 : COLD_RUN_SLOTS);
        words[at] = isLow ? word & ~LOW_HALF : word & LOW_HALF;
        for (let i = 0; i < COLD_RUN_SLOTS; i++) into[start + i] = first + i;
        counters[COUNT] -= COLD_RUN_SLOTS;
        counters[RUN_AT] = at;
        return true;
      }
      at = at + 1 === words.length ? 0 : at + 1;
    }
    counters[RUN_AT] = at;
    return false;
  }

  #clear(slot: number): void {
    this.words[slot >>> 5] &= ~(1 << (slot & 31));
  }
}
