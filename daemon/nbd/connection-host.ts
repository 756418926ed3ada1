// What a connection is given when it begins, what it says after each turn, and what it leaves when another thread goes on.

import type { Poller } from '../../native/index.js';
import type { NbdCounters } from './counters.js';
import type { Export, TlsState } from './handshake.js';
import type { Patience } from './patience.js';
import type { Replies } from './replies.js';
import type { Storage, Waiter } from './storage.js';

/**
 * What comes of a turn: wait for the socket, come again without waiting, or it is over. After 'tls' the next byte on the
 * socket belongs to TLS, and this object to the past: what the client said so far must not count any more. After 'remote' a
 * RemoteConnection goes on with handOver(). After 'short' it waits for memory of its disk, not for its socket.
 */
export type Turn = 'wait' | 'again' | 'tls' | 'remote' | 'short' | 'closed';

/** How a connection begins: with a greeting; under TLS, which began after one; or, for the daemon itself, at a disk. */
export type Beginning<E> =
  | { readonly kind: 'greeting' }
  | { readonly kind: 'secured'; readonly noZeroes: boolean }
  | { readonly kind: 'attached'; readonly chosen: E };

/** An export whose storage may be replaced by another while clients are connected. */
export interface OpenableExport extends Export {
  /** Another number than before: open() gives another storage now. */
  readonly epoch: number;
  /** @returns null if another thread serves it: always, or never */
  open(waiter: Waiter): Storage | null;
}

export interface ConnectionHost<E extends OpenableExport> {
  readonly exports: readonly E[];
  readonly poller: Poller;
  readonly counters: NbdCounters;
  readonly patience: Patience;
  /** Of this round, by performance.now(). */
  readonly nowMs: number;
  /** Before a client has asked for TLS. */
  readonly tls: TlsState;
}

/** What a connection leaves to its successor. */
export interface HandOver {
  readonly fd: number;
  readonly replies: Replies;
  /** Of RECEIVE_BYTES; what was received and not consumed lies from `head` to `tail`. */
  readonly buffer: Uint8Array;
  readonly head: number;
  readonly tail: number;
  readonly exported: Export;
  readonly hasContext: boolean;
}
