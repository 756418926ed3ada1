// What the objects of this library need of the client that they were opened through.

import type { Link } from './link.js';

/** On every call. */
export interface CallOptions {
  /**
   * Aborting it withdraws the call. The daemon's answer still ends it: with an AbortError (code EINTR), or as usual if
   * it was done by then.
   */
  readonly signal?: AbortSignal | undefined;
}

export interface Owner {
  readonly path: string;
  readonly timeoutMs: number;
  /** The connection that is up now; null while there is none. */
  readonly link: Link | null;
  /** Waits until the connection is up. @throws PinfoldError ENOTCONN after close(), ETIMEDOUT */
  up(): Promise<Link>;
}
