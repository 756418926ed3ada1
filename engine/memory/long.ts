// 64-bit shared values that are read without a lock: file sizes.
//
// BigInt costs 11 ns an access and keeps i_size whole for lockless readers, where two words would
// need a sequence count. Not for hot loops.

import { lab } from '../sched/step.js';

/** Atomic load of a byte count. */
export function loadLong(longs: BigInt64Array, index: number): number {
  const value = Number(Atomics.load(longs, index));
  if (lab !== null) lab.onLoad(wordsOf(longs), index * 2, value | 0);
  return value;
}

/** Atomic store of a byte count. */
export function storeLong(longs: BigInt64Array, index: number, value: number): void {
  if (lab !== null) lab.onStore(wordsOf(longs), index * 2, Number(longs[index]) | 0, value | 0);
  Atomics.store(longs, index, BigInt(value));
}

const views = new WeakMap<BigInt64Array, Int32Array>();

/** The same memory as 32-bit words, for the lab (whose sizes fit in the low one). */
function wordsOf(longs: BigInt64Array): Int32Array {
  let words = views.get(longs);
  if (words === undefined) {
    words = new Int32Array(longs.buffer, longs.byteOffset, longs.length * 2);
    views.set(longs, words);
  }
  return words;
}
