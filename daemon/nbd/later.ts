// Requests of one connection that are answered later: in the order of their times, by the disk's clock.

import { LATER_MAX } from './limits.js';
import type { Request } from './replies.js';

/** A request that has been done, or (error is null) is to be done when its time has come. */
export interface Parked {
  readonly request: Request;
  readonly error: number | null;
  /** The writes that its reply tells of. */
  readonly writeIds: readonly number[];
  readonly dueUs: number;
}

export class Later {
  /** The next one is the last. */
  readonly #parked: Parked[] = [];

  get empty(): boolean {
    return this.#parked.length === 0;
  }

  /** Otherwise no request is taken from the client. */
  get hasRoom(): boolean {
    return this.#parked.length < LATER_MAX;
  }

  /** When the next one is due; Infinity if there is none. */
  get nextUs(): number {
    return this.#parked.at(-1)?.dueUs ?? Number.POSITIVE_INFINITY;
  }

  /** @param request is copied */
  park(request: Request, error: number | null, writeIds: readonly number[], nowUs: number): void {
    const dueUs = nowUs + request.delayUs;
    const copy = {
      ...request,
      cookie: request.cookie.slice(),
      offsetBytes: request.offsetBytes.slice(),
      delayUs: 0,
    };
    // Those that are due at the same time keep their order.
    let at = this.#parked.length;
    while (at > 0 && (this.#parked[at - 1]?.dueUs ?? 0) <= dueUs) at--;
    this.#parked.splice(at, 0, { request: copy, error, writeIds: [...writeIds], dueUs });
  }

  /** The next one that is due, which is taken out; or null. */
  take(nowUs: number): Parked | null {
    if (this.nextUs > nowUs) return null;
    return this.#parked.pop() ?? null;
  }
}
