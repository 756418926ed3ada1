// Writes whose replies wait to be sent, in the order of these, and where in what is sent each of them ends.

import type { WriteIds } from './write-ids.js';

export class Owed {
  /** Of those from #first to below #count. Kept when they are gone: to make an array shorter costs V8 more than a request. */
  readonly #ids: number[] = [];
  readonly #ends: number[] = [];
  #first = 0;
  #count = 0;

  get empty(): boolean {
    return this.#first === this.#count;
  }

  /** @param end see Replies.end */
  addAll(ids: WriteIds, end: number): void {
    for (let i = 0; i < ids.count; i++) {
      this.#ids[this.#count] = ids.at(i);
      this.#ends[this.#count++] = end;
    }
  }

  /** Takes out the next one whose reply the socket has taken, as a whole. @param taken see Replies.taken @returns 0: there is none */
  take(taken: number): number {
    if (this.empty || (this.#ends[this.#first] ?? 0) > taken) return 0;
    const id = this.#ids[this.#first++] ?? 0;
    if (this.#first === this.#count) this.#first = this.#count = 0;
    return id;
  }
}
