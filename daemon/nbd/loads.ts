// How many clients each serving thread has, in memory that all of them see: one 32-bit word a thread, of which the first is
// the disks' thread's; their numbers are also those that a cache knows them by.

import { PEER_THREADS_MAX } from './limits.js';

/** The number of the disks' thread. */
export const OWN_LOAD = 0;

export class Loads {
  readonly #words: Int32Array;

  constructor(readonly shared = new SharedArrayBuffer(4 * (1 + PEER_THREADS_MAX))) {
    this.#words = new Int32Array(shared);
  }

  add(thread: number, clients: number): void {
    Atomics.add(this.#words, thread, clients);
  }

  of(thread: number): number {
    return Atomics.load(this.#words, thread);
  }

  get total(): number {
    let sum = 0;
    for (let thread = 0; thread < this.#words.length; thread++) sum += this.of(thread);
    return sum;
  }
}
