// For how long a thread asks a socket again before it goes to sleep: worth it while its client answers at once, and while
// nobody else wants the CPU that asking takes.

import { waitWhileUnread } from '../../native/index.js';
import { BATCH_BYTES, SPIN_US, SPINS_LEFT_OUT_MAX } from './limits.js';

export class Patience {
  /** There are CPUs for it, and one connection to ask for. */
  isAllowed = false;
  /** How often it is left out: now, and after the next time that asking was in vain. */
  #leftOut = 0;
  #penalty = 0;

  /** For what is bound to come, as a payload after its header. */
  get us(): number {
    return this.isAllowed ? SPIN_US : 0;
  }

  /** For the client's next request: 0 is not at all. Tell paid() what came of any other. */
  takeUs(): number {
    if (!this.isAllowed) return 0;
    if (this.#leftOut === 0) return SPIN_US;
    this.#leftOut--;
    return 0;
  }

  /** @param itHas something came */
  paid(itHas: boolean): void {
    this.#penalty = itHas ? 0 : Math.min(2 * this.#penalty + 1, SPINS_LEFT_OUT_MAX);
    this.#leftOut = this.#penalty;
  }
}

/** Lets small requests come together while their client has replies to read, and so does not wait for one. */
export function awaitBatch(fd: number, patienceUs: number): void {
  waitWhileUnread(fd, BATCH_BYTES, patienceUs);
}
