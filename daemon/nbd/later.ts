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
  /** Those whose time nobody knows, by the number that their answer comes under. */
  readonly #held = new Map<number, Omit<Parked, 'error' | 'dueUs'>>();

  get empty(): boolean {
    return this.#parked.length === 0 && this.#held.size === 0;
  }

  /** Otherwise no request is taken from the client. */
  get hasRoom(): boolean {
    return this.#parked.length + this.#held.size < LATER_MAX;
  }

  /** When the next one is due; Infinity if there is none. */
  get nextUs(): number {
    return this.#parked.at(-1)?.dueUs ?? Number.POSITIVE_INFINITY;
  }

  /** @param request is copied */
  park(request: Request, error: number | null, writeIds: readonly number[], nowUs: number): void {
    const dueUs = nowUs + request.delayUs;
    this.#insert({ request: copyOf(request), error, writeIds, dueUs });
  }

  /** Keeps it until release(). @param request is copied */
  hold(id: number, request: Request, writeIds: readonly number[]): void {
    this.#held.set(id, { request: copyOf(request), writeIds });
  }

  /** It can be answered now. */
  release(id: number, error: number, nowUs: number): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#insert({ ...held, error, dueUs: nowUs });
  }

  /** The next one that is due, which is taken out; or null. */
  take(nowUs: number): Parked | null {
    if (this.nextUs > nowUs) return null;
    return this.#parked.pop() ?? null;
  }

  /** Those that are due at the same time keep their order. */
  #insert(parked: Parked): void {
    let at = this.#parked.length;
    while (at > 0 && (this.#parked[at - 1]?.dueUs ?? 0) <= parked.dueUs) at--;
    this.#parked.splice(at, 0, parked);
  }
}

function copyOf(request: Request): Request {
  return {
    ...request,
    cookie: request.cookie.slice(),
    offsetBytes: request.offsetBytes.slice(),
    delayUs: 0,
  };
}
