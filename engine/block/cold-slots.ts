// Slots of a cached disk that have no memory: a bit for each. They are found going round, so that those that follow each
// other are taken one after the other.

/** Slots that takeRun() takes: half a word. */
export const COLD_RUN_SLOTS = 16;
/** Words that takeRun() looks at. */
const RUN_SEARCH_WORDS = 256;

const WORD_SLOTS = 32;
const LOW_HALF = 0xffff;

export class ColdSlots {
  count: number;
  private readonly words: Uint32Array;
  /** Where take() and takeRun() look next. */
  private at = 0;
  private runAt = 0;

  /** All from `first` to below `limit`. */
  constructor(first: number, limit: number) {
    this.count = limit - first;
    this.words = new Uint32Array(Math.ceil(limit / WORD_SLOTS)).fill(0xffffffff);
    for (let slot = 0; slot < first; slot++) this.#clear(slot);
    for (let slot = limit; slot < this.words.length * WORD_SLOTS; slot++) this.#clear(slot);
  }

  put(slot: number): void {
    this.words[slot >>> 5] |= 1 << (slot & 31);
    this.count++;
  }

  /** @throws RangeError if there is none */
  take(): number {
    if (this.count === 0) throw new RangeError('no slot is left');
    const { words } = this;
    while (words[this.at] === 0) this.at = this.at + 1 === words.length ? 0 : this.at + 1;
    const word = words[this.at];
    const slot = this.at * WORD_SLOTS + 31 - Math.clz32(word & -word);
    this.#clear(slot);
    this.count--;
    return slot;
  }

  /** COLD_RUN_SLOTS that follow each other. @returns whether there were any near to where the last ones were */
  takeRun(into: Uint32Array, start: number): boolean {
    const { words } = this;
    for (let looked = 0; looked < RUN_SEARCH_WORDS; looked++) {
      const word = words[this.runAt];
      const isLow = (word & LOW_HALF) === LOW_HALF;
      if (isLow || word >>> COLD_RUN_SLOTS === LOW_HALF) {
        const first = this.runAt * WORD_SLOTS + (isLow ? 0 : COLD_RUN_SLOTS);
        words[this.runAt] = isLow ? word & ~LOW_HALF : word & LOW_HALF;
        for (let i = 0; i < COLD_RUN_SLOTS; i++) into[start + i] = first + i;
        this.count -= COLD_RUN_SLOTS;
        return true;
      }
      this.runAt = this.runAt + 1 === words.length ? 0 : this.runAt + 1;
    }
    return false;
  }

  #clear(slot: number): void {
    this.words[slot >>> 5] &= ~(1 << (slot & 31));
  }
}
