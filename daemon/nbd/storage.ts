// What a connection reads and writes: one object per connection and disk, with NBD's errors as results.

import { performance } from 'node:perf_hooks';
import { type Arena, NativeError, type Prompt } from '../../native/index.js';
import { ERROR } from './protocol.js';
import type { Replies, Request } from './replies.js';

/** The time that a disk's delays are measured in. */
export interface Clock {
  /** Nobody waits for it: it is put forward when there is nothing else to do. */
  readonly virtual: boolean;
  nowUs(): number;
  /** Only if it is virtual. */
  advance(toUs: number): void;
}

export const WALL: Clock = {
  virtual: false,
  nowUs: () => performance.now() * 1000,
  advance: () => undefined,
};

/** A connection, as those know it who answer later: they have returned -id in place of an NBD error. */
export interface Waiter {
  /** Of its socket. */
  readonly fd: number;
  /** No answer of it is postponed. */
  readonly isQuiet: boolean;
  answered(id: number, error: number): void;
}

export interface Storage {
  /** Memory that data is sent from and received into. */
  readonly arena: Arena;
  /** The disk's. */
  clock: Clock;
  /** At most so much per read(). */
  readonly pieceBytesMax: number;
  /**
   * Called once per request that is well-formed, before anything else. It may move the request (offset) or postpone its
   * answer (delayUs): a WRITE, TRIM or WRITE_ZEROES takes effect at once and is answered later, others are done later.
   * Or it may have a FLUSH or FUA acknowledged that is not done (isLie).
   * @returns an NBD error
   */
  begin(request: Request): number;

  /** Whether there is memory and room for read(); otherwise the replies have to be sent first. */
  canRead(length: number, replies: Replies): boolean;
  /** Appends the data to the replies. @returns an NBD error; then whatever was appended is to be taken back */
  read(offset: number, length: number, replies: Replies): number;
  /** Data as it is now, up to 1 MiB of it, for who has to look at it or to change it. @returns an NBD error */
  copy(offset: number, target: Uint8Array): number;

  /** Whether there is memory for the payload of a WRITE; otherwise it has to wait until others have ended. */
  canWrite(length: number): boolean;
  /** Payload for this range is about to come. @returns an NBD error */
  beginWrite(offset: number, length: number): number;
  /** Whether payload of the write can come straight to where it belongs, by receive(); otherwise only store() takes it. */
  readonly receives: boolean;
  /**
   * Receives payload from `at` to below `end`, in whole units, and up to `ahead` bytes after it, or the beginning of a unit
   * whose end has not come, into the buffer's beginning. If `endsAtOnce`, it sends the prompt reply.
   * @returns bytes, of both; 0, WOULD_BLOCK or GONE as Arena.receive()
   */
  receive(
    fd: number,
    at: number,
    end: number,
    buffer: Uint8Array,
    ahead: number,
    patienceUs: number,
    prompt: Prompt,
  ): number;
  /** Payload that was received elsewhere. @returns an NBD error */
  store(at: number, bytes: Uint8Array, from: number, until: number): number;
  /** endWrite() has nothing to do, and nothing to tell: the reply may be sent before. */
  readonly endsAtOnce: boolean;
  /** All of the payload is there. @returns an NBD error, or -id if it comes later (see Waiter) */
  endWrite(fua: boolean): number;
  /** The client went away in between: what it wrote is there in whole units, old or new. */
  abortWrite(): void;

  /** @returns an NBD error, or -id if it comes later (see Waiter) */
  flush(): number;
  /** At most TURN_BYTES: the range reads as zeroes afterwards. `trim`: by TRIM, not WRITE_ZEROES. */
  zero(offset: number, length: number, keepBlocks: boolean, fast: boolean, trim: boolean): number;
  /** All pieces of a request were zeroed. @returns an NBD error, or -id if it comes later (see Waiter) */
  endZero(fua: boolean): number;
  /** Whether zero() would be fast. */
  zeroesFast(keepBlocks: boolean): boolean;
  /** Where data goes on at or after the offset: the length of the disk if it does not. */
  dataFrom(offset: number): number;
  holeFrom(offset: number): number;

  /** The number of the write that endWrite() or zero() made last; 0 if nobody asks when it was replied to. */
  readonly writeId: number;
  /** Replies that tell of writes are about to be handed to the client: until endReplies() they may have been, or not. */
  beginReplies(): void;
  /** The reply to that write was handed to the client, as far as we can tell (B4). */
  replied(writeId: number): void;
  endReplies(): void;
  /** The connection is over, or uses another storage of the disk. */
  close(): void;
}

/** What a storage does that asks nobody, delays nothing and keeps nothing. */
export abstract class PlainStorage {
  clock: Clock = WALL;
  readonly writeId: number = 0;

  begin(): number {
    return ERROR.NONE;
  }

  canWrite(): boolean {
    return true;
  }

  beginWrite(): number {
    return ERROR.NONE;
  }

  abortWrite(): void {
    // units are stored as they come
  }

  beginReplies(): void {
    // nobody asks
  }

  replied(): void {
    // nobody asks
  }

  endReplies(): void {
    // nobody asks
  }

  close(): void {
    // nothing is open
  }
}

/** The NBD error for one of the system's. @throws what is none */
export function errorOf(error: unknown): number {
  if (!(error instanceof NativeError)) throw error;
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'EFBIG')
    return ERROR.ENOSPC;
  if (error.code === 'ENOTSUP') return ERROR.ENOTSUP;
  return ERROR.EIO;
}

/** @returns the NBD error for what the action throws */
export function attempt(action: () => void): number {
  try {
    action();
    return ERROR.NONE;
  } catch (error) {
    return errorOf(error);
  }
}

/** Without SEEK_DATA, everything is data. */
export function extentFrom(find: () => number, otherwise: number, sizeBytes: number): number {
  try {
    const found = find();
    return found < 0 ? sizeBytes : Math.min(found, sizeBytes);
  } catch (error) {
    errorOf(error);
    return otherwise;
  }
}
