// What a connection is given when it begins, what it says after each turn, and what it leaves when another thread goes on.

import type { Poller } from '../../native/index.js';
import type { NbdCounters } from './counters.js';
import type { Export, TlsState } from './handshake.js';
import type { Patience } from './patience.js';
import type { Replies } from './replies.js';
import type { Clock, Storage, Waiter } from './storage.js';

/**
 * What comes of a turn: wait for the socket, come again without waiting, or it is over. After 'tls' the next byte on the
 * socket belongs to TLS, and this object to the past: what the client said so far must not count any more. After 'remote'
 * something else goes on with handOver() or leave(). After 'short' it waits for memory of its disk, not for its socket.
 */
export type Turn = 'wait' | 'again' | 'tls' | 'remote' | 'short' | 'closed';

/**
 * How a connection begins: with a greeting; under TLS, which began after one; or at a disk, if it comes from another thread
 * or from the daemon itself.
 */
export type Beginning<E> =
  | { readonly kind: 'greeting' }
  | { readonly kind: 'secured'; readonly noZeroes: boolean }
  | {
      readonly kind: 'moved';
      readonly chosen: E;
      readonly hasContext: boolean;
      readonly style: number;
      readonly received: Uint8Array;
    };

/** An export whose storage may be replaced by another while clients are connected. */
export interface OpenableExport extends Export {
  /** Another number than before: open() gives another storage now. */
  readonly epoch: number;
  /** @returns null if another thread serves this connection from now on */
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

/** A connection, as its thread has it. */
export interface ServedConnection {
  /** The daemon stops: what is under way is finished, the rest is answered with ESHUTDOWN. */
  stopping: boolean;
  /** Does what can be done now, within bounds. */
  turn(): Turn;
  close(): void;
  /** Nothing is under way. */
  readonly idle: boolean;
  /** It waits for a time, or for others, only: an end of its socket is not heard by receiving. */
  readonly deaf: boolean;
  readonly inHandshake: boolean;
  /** What its client has chosen, if its requests need memory of that; or null. */
  readonly exported: unknown;
  /** The clock of its disk, and when the next postponed answer is due by it; Infinity if there is none. */
  readonly clock: Clock;
  readonly dueUs: number;
  /** Since when a WRITE that is under way has made no progress; Infinity if there is none. */
  readonly stalledSinceMs: number;
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
