// Seeded chance for the fault layers: the same seed gives the same draws on every machine.

const TWO_32 = 2 ** 32;

/** Numbers from a seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** From 0 to below 1, in steps of 2^-32. */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / TWO_32;
  }

  /** A whole number from 0 to below `count`, at most 2^32. */
  below(count: number): number {
    return Math.floor(this.unit() * count);
  }
}

/**
 * 32 bits that depend on a seed and on a number up to 2^53, and on nothing else: properties of units that need no memory
 * (the finalizer of MurmurHash3, twice).
 */
export function hash(seed: number, number: number): number {
  return mix(mix(seed ^ (number >>> 0)) ^ Math.floor(number / TWO_32)) >>> 0;
}

function mix(bits: number): number {
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) + 0x3c6ef372;
}

/** True for that share of all hashes. */
export function isAmong(share: number, hashed: number): boolean {
  return hashed < share * TWO_32;
}

/**
 * When the next of many independent trials hits. It draws once a hit instead of once a trial: so waiting for a rare one
 * costs a subtraction.
 */
export class Chance {
  /** Trials up to and with the one that hits. */
  #left: number;

  /** @param rate of each trial, 0 to 1; or `nth`: each nth trial hits; neither: all do */
  constructor(
    private readonly rate: number | null,
    private readonly nth: number | null,
    private readonly random: Random,
  ) {
    this.#left = this.#gap();
  }

  /**
   * Makes up to `trials`, and stops at a hit.
   * @returns how many it made, the last of them being the hit; 0 if none hits
   */
  take(trials: number): number {
    if (this.#left > trials) {
      this.#left -= trials;
      return 0;
    }
    const made = this.#left;
    this.#left = this.#gap();
    return made;
  }

  #gap(): number {
    if (this.nth !== null) return this.nth;
    const rate = this.rate ?? 1;
    if (rate >= 1) return 1;
    if (rate <= 0) return Number.POSITIVE_INFINITY;
    return 1 + Math.floor(Math.log1p(-this.random.unit()) / Math.log1p(-rate));
  }
}
