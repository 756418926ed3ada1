// Whether replies may wait while the payload of the next large WRITE comes: a client that has many requests under way does
// not need them soon, and is woken less often. One with few has nothing to send until it gets them.

import { HELD_RECEIVES_MAX, HOLDS_LEFT_OUT_MAX } from './limits.js';

export class Holding {
  /** How often replies are sent at once: now, and after the next time that the client had nothing more to send. */
  #leftOut = 0;
  #penalty = 0;

  isAllowed(): boolean {
    return this.#leftOut === 0;
  }

  /** Replies are sent. @param held so many receives they have waited for; fewer than they may: the client waited, too */
  ended(held: number): void {
    if (held === 0) {
      if (this.#leftOut > 0) this.#leftOut--;
      return;
    }
    const wasAhead = held === HELD_RECEIVES_MAX;
    this.#penalty = wasAhead ? 0 : Math.min(2 * this.#penalty + 1, HOLDS_LEFT_OUT_MAX);
    this.#leftOut = this.#penalty;
  }
}
