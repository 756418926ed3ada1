// The replies of one connection that wait to be sent: headers in a buffer, data as ranges of the disk's memory, and one
// gathered sendmsg for as many as there are.

import { type Arena, GONE, PLACE, type Prompt, TRIPLE_NUMBERS } from '../../native/index.js';
import { REPLY_BYTES, REPLY_PIECES, REPLY_ROOM_BYTES, REPLY_ROOM_PIECES } from './limits.js';
import {
  BYTES,
  CHUNK,
  CHUNK_DONE,
  ERROR,
  MAGIC,
  putUint16,
  putUint32,
  putUint64,
} from './protocol.js';

/** How a connection answers; the later ones include the former. */
export const STYLE = { SIMPLE: 0, STRUCTURED: 1, EXTENDED: 2 } as const;

/** A request as it was parsed; one object per connection, filled again and again. */
export interface Request {
  flags: number;
  type: number;
  offset: number;
  length: number;
  readonly cookie: Uint8Array;
  /** The offset as it came: replies with extended headers repeat it, also one that no number holds. */
  readonly offsetBytes: Uint8Array;
  /** How much later it is answered, see Storage.begin(). */
  delayUs: number;
  /** Success is told of its FLUSH or FUA, and nothing is done. */
  isLie: boolean;
}

export function newRequest(): Request {
  return {
    flags: 0,
    type: 0,
    offset: 0,
    offsetBytes: new Uint8Array(8),
    length: 0,
    cookie: new Uint8Array(8),
    delayUs: 0,
    isLie: false,
  };
}

export class Replies {
  readonly buffer = new Uint8Array(REPLY_BYTES);
  readonly #prompt: Prompt = { reply: this.buffer, replyBytes: 0, sent: new Uint32Array(1) };
  readonly #triples = new Float64Array(REPLY_PIECES * TRIPLE_NUMBERS);
  style: number = STYLE.SIMPLE;
  #used = 0;
  #count = 0;
  /** What was sent: whole pieces, and bytes of the next one. */
  #first = 0;
  #skip = 0;
  /** Bytes of the buffer that were sent. */
  #sentUntil = 0;
  /** What mark() found. */
  #markedUsed = 0;
  #markedCount = 0;
  #markedLength = 0;

  get empty(): boolean {
    return this.#count === 0;
  }

  /** Where the headers end that were appended until now. */
  get end(): number {
    return this.#used;
  }

  /** Up to where headers were sent, as `end`; those before it are in the socket. */
  get taken(): number {
    return this.empty ? Number.POSITIVE_INFINITY : this.#sentUntil;
  }

  /** Whether one more request can be answered before the next send. */
  get hasRoom(): boolean {
    return (
      REPLY_BYTES - this.#used >= REPLY_ROOM_BYTES &&
      REPLY_PIECES - this.#count >= REPLY_ROOM_PIECES
    );
  }

  /** Reserves bytes of the buffer, which the caller fills. */
  reserve(length: number): number {
    const at = this.#used;
    if (length > REPLY_BYTES - at) throw new RangeError(`a reply of ${length} bytes has no room`);
    this.#used += length;
    const last = (this.#count - 1) * TRIPLE_NUMBERS;
    const triples = this.#triples;
    // Headers that follow each other are one piece.
    if (
      this.#count > this.#first &&
      triples[last] === PLACE.BUFFER &&
      (triples[last + 1] ?? 0) + (triples[last + 2] ?? 0) === at
    ) {
      triples[last + 2] = (triples[last + 2] ?? 0) + length;
    } else {
      this.#push(PLACE.BUFFER, at, length);
    }
    return at;
  }

  /** How many more pieces there may be. */
  get freePieces(): number {
    return REPLY_PIECES - this.#count;
  }

  /** What is appended from here on can be taken back by rollback(), until something is sent. */
  mark(): void {
    this.#markedUsed = this.#used;
    this.#markedCount = this.#count;
    this.#markedLength = this.#triples[(this.#count - 1) * TRIPLE_NUMBERS + 2] ?? 0;
  }

  rollback(): void {
    this.#used = this.#markedUsed;
    this.#count = this.#markedCount;
    if (this.#count > 0) this.#triples[(this.#count - 1) * TRIPLE_NUMBERS + 2] = this.#markedLength;
  }

  /** Success of a WRITE as a prompt, not appended. @param request null makes none; nor are there any while others wait */
  prepare(request: Request | null): Prompt {
    const prompt = this.#prompt;
    prompt.replyBytes = 0;
    if (request === null || !this.empty) return prompt;
    this.mark();
    this.done(request, ERROR.NONE, false);
    prompt.replyBytes = this.#used;
    this.rollback();
    return prompt;
  }

  /** It was to be sent: what the socket has not taken of it is appended. @returns false if there was none */
  prompted(): boolean {
    const { replyBytes, sent } = this.#prompt;
    const [taken = 0] = sent;
    if (taken < replyBytes) {
      this.reserve(replyBytes);
      this.#skip = taken;
    }
    return replyBytes > 0;
  }

  /** Data that lies in the arena, after what was appended last. */
  data(at: number, length: number): void {
    if (length > 0) this.#push(PLACE.ARENA, at, length);
  }

  /** Zeroes that lie nowhere, after what was appended last. */
  zeroes(length: number): void {
    if (length > 0) this.#push(PLACE.ZEROES, 0, length);
  }

  simple({ cookie }: Request, error: number): void {
    const at = this.reserve(BYTES.SIMPLE_REPLY);
    putUint32(this.buffer, at, MAGIC.SIMPLE_REPLY);
    putUint32(this.buffer, at + 4, error);
    this.#put8(at + 8, cookie);
  }

  /** The header of a chunk with a payload of that length. */
  chunk(request: Request, flags: number, type: number, length: number): void {
    const extended = this.style === STYLE.EXTENDED;
    const at = this.reserve(extended ? BYTES.EXTENDED_CHUNK : BYTES.CHUNK);
    putUint32(this.buffer, at, extended ? MAGIC.EXTENDED_CHUNK : MAGIC.CHUNK);
    putUint16(this.buffer, at + 4, flags);
    putUint16(this.buffer, at + 6, type);
    this.#put8(at + 8, request.cookie);
    if (extended) {
      this.#put8(at + 16, request.offsetBytes);
      putUint64(this.buffer, at + 24, length);
    } else {
      putUint32(this.buffer, at + 16, length);
    }
  }

  /** Success without data, or an error. `chunked` demands a chunk where a simple reply would do. */
  done(request: Request, error: number, chunked: boolean): void {
    if (this.style === STYLE.SIMPLE || (this.style === STYLE.STRUCTURED && !chunked)) {
      this.simple(request, error);
    } else if (error === 0) {
      this.chunk(request, CHUNK_DONE, CHUNK.NONE, 0);
    } else {
      this.chunk(request, CHUNK_DONE, CHUNK.ERROR, 6);
      const at = this.reserve(6);
      putUint32(this.buffer, at, error);
      putUint16(this.buffer, at + 4, 0);
    }
  }

  /** Sends what the socket takes. @returns false if the peer is gone */
  send(arena: Arena, fd: number): boolean {
    while (this.#first < this.#count) {
      let sent = arena.send(fd, this.buffer, this.#triples, this.#first, this.#count, this.#skip);
      if (sent < 0) return sent !== GONE;
      while (sent > 0) {
        const piece = this.#first * TRIPLE_NUMBERS;
        const left = (this.#triples[piece + 2] ?? 0) - this.#skip;
        if (this.#triples[piece] === PLACE.BUFFER) {
          this.#sentUntil = (this.#triples[piece + 1] ?? 0) + this.#skip + Math.min(sent, left);
        }
        if (sent < left) {
          this.#skip += sent;
          break;
        }
        sent -= left;
        this.#first++;
        this.#skip = 0;
      }
    }
    this.#first = 0;
    this.#count = 0;
    this.#used = 0;
    this.#sentUntil = 0;
    return true;
  }

  #put8(at: number, bytes: Uint8Array): void {
    for (let i = 0; i < 8; i++) this.buffer[at + i] = bytes[i] ?? 0;
  }

  #push(place: number, at: number, length: number): void {
    const index = this.#count * TRIPLE_NUMBERS;
    if (this.#count >= REPLY_PIECES) throw new RangeError('more pieces of replies than expected');
    this.#triples[index] = place;
    this.#triples[index + 1] = at;
    this.#triples[index + 2] = length;
    this.#count++;
  }
}
