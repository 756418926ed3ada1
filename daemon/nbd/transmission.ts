// The requests of one connection: what is allowed, and what is answered. No promise and no object per request.

import { checkRequest, takeStatusPayload } from './check.js';
import type { Export } from './handshake.js';
import type { Later, Parked } from './later.js';
import { EXTENTS_MAX, HOLE_SEARCH_BYTES, REPLY_ROOM_PIECES, TURN_BYTES } from './limits.js';
import { Owed } from './owed.js';
import {
  CHUNK,
  CHUNK_DONE,
  COMMAND,
  COMMAND_FLAG,
  ERROR,
  putUint32,
  putUint64,
} from './protocol.js';
import { type Replies, type Request, STYLE } from './replies.js';
import { replyExtents } from './status-reply.js';
import type { Storage } from './storage.js';
import { WriteIds } from './write-ids.js';

export class Transmission {
  /** What is left of a request that takes several turns: READ from a file, TRIM, WRITE_ZEROES. */
  #at = 0;
  #end = 0;
  readonly #lengths = new Float64Array(EXTENTS_MAX);
  /** Writes of the request under way, and those whose replies wait to be sent. */
  readonly #writeIds = new WriteIds();
  readonly #owed = new Owed();

  constructor(
    private readonly exported: Export,
    private storage: Storage,
    private readonly replies: Replies,
    private readonly later: Later,
    private readonly hasContext: boolean,
    private readonly request: Request,
  ) {}

  /** From the next request on. */
  use(storage: Storage): void {
    this.storage = storage;
  }

  /** The request is not answered yet: call proceed(). */
  get busy(): boolean {
    return this.#at < this.#end;
  }

  /** Whether there is room for what begin() or proceed() reads; otherwise the replies have to be sent first. */
  get canRead(): boolean {
    const { storage, request, replies } = this;
    if (request.type !== COMMAND.READ) return true;
    return storage.canRead(Math.min(request.length, storage.pieceBytesMax), replies);
  }

  /** What is wrong with the request before anything is done: an NBD error. */
  check(): number {
    return checkRequest(this.request, this.exported, this.replies.style, this.hasContext);
  }

  /** Begins with a request that check() and the storage have let through, and is no WRITE. */
  begin(): void {
    const { request } = this;
    const { type } = request;
    if (type === COMMAND.TRIM || type === COMMAND.WRITE_ZEROES) this.#zero();
    else if (request.delayUs > 0) this.later.park(request, null, [], this.storage.clock.nowUs());
    else this.#perform();
  }

  #perform(): void {
    switch (this.request.type) {
      case COMMAND.READ:
        this.#read();
        return;
      case COMMAND.FLUSH:
        this.answer(this.request.isLie ? ERROR.NONE : this.storage.flush());
        return;
      case COMMAND.BLOCK_STATUS:
        this.#blockStatus();
        return;
      default: // CACHE: everything is where it is
        this.replies.done(this.request, ERROR.NONE, false);
    }
  }

  /** The time of a parked request has come. */
  resume({ request, error, writeIds }: Parked): void {
    Object.assign(this.request, request);
    if (error === null) {
      this.#perform();
      return;
    }
    for (const id of writeIds) this.#writeIds.add(id);
    this.answer(error);
  }

  /** The payload of a WRITE has been stored, or could not be. */
  written(failed: number): void {
    if (failed !== ERROR.NONE) this.storage.abortWrite();
    const error = failed === ERROR.NONE ? this.storage.endWrite(this.#isFua()) : failed;
    if (error === ERROR.NONE) this.#noteWrite();
    this.answer(error);
  }

  /** Answers a request without data, now or when its time has come. @param error or -id: it is not known yet */
  answer(error: number): void {
    const { request, replies } = this;
    const ids = this.#writeIds;
    if (error < 0) {
      this.later.hold(-error, request, ids.list());
    } else if (request.delayUs > 0) {
      this.later.park(request, error, ids.list(), this.storage.clock.nowUs());
    } else {
      const { type } = request;
      replies.done(request, error, type === COMMAND.READ || type === COMMAND.BLOCK_STATUS);
      this.#owed.addAll(ids, replies.end);
    }
    ids.clear();
  }

  /** Sends the replies that the socket takes, and notes which writes they tell of. @returns false if the client is gone */
  send(fd: number): boolean {
    const { storage, replies } = this;
    if (this.#owed.empty) return replies.send(storage.arena, fd);
    storage.beginReplies();
    try {
      return replies.send(storage.arena, fd);
    } finally {
      this.#endReplies();
    }
  }

  /** Also if a write can't be noted: others wait for the end. */
  #endReplies(): void {
    const { storage } = this;
    const owed = this.#owed;
    const { taken } = this.replies;
    try {
      for (let id = owed.take(taken); id !== 0; id = owed.take(taken)) storage.replied(id);
    } finally {
      storage.endReplies();
    }
  }

  /** It is to be durable before its reply. */
  #isFua(): boolean {
    return (this.request.flags & COMMAND_FLAG.FUA) !== 0 && !this.request.isLie;
  }

  #noteWrite(): void {
    const { writeId } = this.storage;
    if (writeId !== 0) this.#writeIds.add(writeId);
  }

  /** Does the next piece of a busy request. @returns false if the connection can only be closed */
  proceed(): boolean {
    return this.request.type === COMMAND.READ ? this.#readPiece() : this.#zeroPiece();
  }

  /** BLOCK_STATUS with a payload: | effect length 8 | context 4 | ... |. Continues as one without. */
  blockStatusPayload(payload: Uint8Array): void {
    const { request } = this;
    let error = takeStatusPayload(request, payload);
    if (error === ERROR.NONE) error = this.check();
    if (error === ERROR.NONE) error = this.storage.begin(request);
    if (error === ERROR.NONE) this.begin();
    else this.answer(error);
  }

  #read(): void {
    const { request, replies, storage } = this;
    const { offset, length, flags } = request;
    if (length === 0) {
      replies.done(request, ERROR.NONE, true);
      return;
    }
    this.#at = offset;
    this.#end = offset + length;
    const whole = replies.style === STYLE.SIMPLE || (flags & COMMAND_FLAG.DF) !== 0;
    if (whole) {
      // One header for all of it, also where it is read in pieces.
      replies.mark();
      if (replies.style === STYLE.SIMPLE) replies.simple(request, ERROR.NONE);
      else this.#dataHeader(CHUNK_DONE, offset, length);
      this.#append(Math.min(length, storage.pieceBytesMax));
    } else if (length >= HOLE_SEARCH_BYTES) {
      this.#readExtents();
    } else {
      this.#readPiece();
    }
  }

  /** Data after mark() and a header. @returns false if it fails where a header has promised data already */
  #append(piece: number): boolean {
    const { request, replies, storage } = this;
    const error = storage.read(this.#at, piece, replies);
    if (error === ERROR.NONE) {
      this.#at += piece;
      return true;
    }
    replies.rollback();
    const begun = this.#at > request.offset;
    this.#end = this.#at;
    const whole = replies.style === STYLE.SIMPLE || (request.flags & COMMAND_FLAG.DF) !== 0;
    if (!(whole && begun)) replies.done(request, error, true);
    return !(whole && begun);
  }

  /** @returns false if the connection can only be closed: its header has promised data already */
  #readPiece(): boolean {
    const { request, replies, storage } = this;
    const whole = replies.style === STYLE.SIMPLE || (request.flags & COMMAND_FLAG.DF) !== 0;
    const piece = Math.min(this.#end - this.#at, storage.pieceBytesMax);
    replies.mark();
    if (!whole) {
      this.#dataHeader(this.#at + piece === this.#end ? CHUNK_DONE : 0, this.#at, piece);
    }
    return this.#append(piece);
  }

  /** Holes are told instead of being sent; after a good many extents the rest goes as data. */
  #readExtents(): void {
    const { replies, storage } = this;
    for (let extents = 0; extents < REPLY_ROOM_PIECES / 4 && this.#at < this.#end; extents++) {
      const data = Math.min(storage.dataFrom(this.#at), this.#end);
      if (data > this.#at) {
        const length = data - this.#at;
        this.#hole(data === this.#end ? CHUNK_DONE : 0, this.#at, length);
        this.#at = data;
        continue;
      }
      const piece = Math.min(this.#dataEnd() - this.#at, storage.pieceBytesMax);
      if (!storage.canRead(piece, replies)) return;
      replies.mark();
      this.#dataHeader(this.#at + piece === this.#end ? CHUNK_DONE : 0, this.#at, piece);
      if (!this.#append(piece)) return;
    }
    if (this.busy && this.canRead) this.#readPiece();
  }

  /**
   * Where data that begins here ends, roughly. The host finds the next data fast, but the next hole only by going through
   * all pages before it.
   */
  #dataEnd(): number {
    let at = this.#at + HOLE_SEARCH_BYTES;
    while (at < this.#end && this.storage.dataFrom(at) <= at) at += HOLE_SEARCH_BYTES;
    return Math.min(at, this.#end);
  }

  #dataHeader(flags: number, offset: number, length: number): void {
    this.replies.chunk(this.request, flags, CHUNK.OFFSET_DATA, 8 + length);
    putUint64(this.replies.buffer, this.replies.reserve(8), offset);
  }

  #hole(flags: number, offset: number, length: number): void {
    this.replies.chunk(this.request, flags, CHUNK.OFFSET_HOLE, 12);
    const at = this.replies.reserve(12);
    putUint64(this.replies.buffer, at, offset);
    putUint32(this.replies.buffer, at + 8, length);
  }

  #zero(): void {
    const { request, storage } = this;
    const keep = (request.flags & COMMAND_FLAG.NO_HOLE) !== 0;
    const fast = (request.flags & COMMAND_FLAG.FAST_ZERO) !== 0;
    if (fast && !storage.zeroesFast(keep)) {
      this.answer(ERROR.ENOTSUP);
      return;
    }
    if (request.length === 0) {
      this.answer(ERROR.NONE);
      return;
    }
    this.#at = request.offset;
    this.#end = request.offset + request.length;
    this.#zeroPiece();
  }

  #zeroPiece(): boolean {
    const { request, storage } = this;
    const keep = (request.flags & COMMAND_FLAG.NO_HOLE) !== 0;
    // A trim is advice: where the host can't, it is not done.
    const trim = request.type === COMMAND.TRIM;
    const fast = trim || (request.flags & COMMAND_FLAG.FAST_ZERO) !== 0;
    const piece = Math.min(this.#end - this.#at, TURN_BYTES);
    let error = storage.zero(this.#at, piece, keep, fast, trim);
    if (error === ERROR.NONE) this.#noteWrite();
    if (trim && error === ERROR.ENOTSUP) error = ERROR.NONE;
    this.#at += piece;
    if (error !== ERROR.NONE) this.#end = this.#at;
    if (this.busy) return true;
    if (error === ERROR.NONE) error = storage.endZero(this.#isFua());
    this.answer(error);
    return true;
  }

  #blockStatus(): void {
    const { request, replies, storage } = this;
    const max = (request.flags & COMMAND_FLAG.REQ_ONE) !== 0 ? 1 : EXTENTS_MAX;
    const end = request.offset + request.length;
    const dataFirst = storage.dataFrom(request.offset) <= request.offset;
    let count = 0;
    for (let at = request.offset, data = dataFirst; at < end && count < max; data = !data) {
      const next = Math.min(data ? storage.holeFrom(at) : storage.dataFrom(at), end);
      // Something changed it meanwhile: what was said so far holds.
      if (next <= at) break;
      this.#lengths[count++] = next - at;
      at = next;
    }
    if (count === 0) this.#lengths[count++] = request.length;
    replyExtents(replies, request, this.#lengths, count, dataFirst);
  }
}
