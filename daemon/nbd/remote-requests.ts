// The requests of one connection that another thread is busy with: their pieces, their staging memory, their answers.
//
// At most one request is not wholly handed over at a time: it waits for memory, or for its payload. Meanwhile no other one
// is taken from the client.

import type { Arena } from '../../native/index.js';
import { COUNTER, type NbdCounters } from './counters.js';
import {
  EXTENTS_MAX,
  REMOTE_PIECE_BYTES,
  REMOTE_PIECES_MAX,
  REMOTE_PUNCH_BYTES,
} from './limits.js';
import { CHUNK, CHUNK_DONE, COMMAND, COMMAND_FLAG, ERROR, putUint64 } from './protocol.js';
import type { RemoteClient, RemoteLink } from './remote-link.js';
import { EXTENT_NUMBERS, OPERATION } from './remote-messages.js';
import { newRequest, type Replies, type Request, STYLE } from './replies.js';
import type { Staging } from './staging.js';
import { replyExtents } from './status-reply.js';

const EXTENTS_BYTES = EXTENTS_MAX * EXTENT_NUMBERS * 8;

/** The longest piece of each operation. */
const PIECE_BYTES: Readonly<Record<number, number>> = {
  [OPERATION.READ]: REMOTE_PIECE_BYTES,
  [OPERATION.WRITE]: REMOTE_PIECE_BYTES,
  [OPERATION.ZERO]: REMOTE_PIECE_BYTES,
  [OPERATION.PUNCH]: REMOTE_PUNCH_BYTES,
  [OPERATION.EXTENTS]: Number.POSITIVE_INFINITY,
};

/** A request of the client. One object serves many, one after the other. */
interface Job {
  readonly request: Request;
  /** What has not been handed over. */
  at: number;
  end: number;
  /** Pieces that are not done and answered yet. */
  pieces: number;
  error: number;
  /** The reply to a READ is one run of data: its pieces are read one after the other. */
  inOrder: boolean;
  /** It is made durable, after all of its pieces. */
  flushing: boolean;
}

/** A part of a request, as the other thread does it. */
interface Piece {
  readonly number: number;
  job: Job | null;
  place: number;
  /** Of staging memory. */
  bytes: number;
  offset: number;
  length: number;
  error: number;
  extents: number;
}

export class RemoteRequests {
  /** A reply was cut off in the middle: the connection can only be closed. */
  broken = false;
  readonly #staging: Staging;
  readonly #pieces: Piece[] = [];
  readonly #free: Piece[] = [];
  readonly #idleJobs: Job[] = [];
  /** Done, and not answered yet; then answered, and not sent yet. */
  readonly #done: Piece[] = [];
  readonly #sending: Piece[] = [];
  readonly #lengths = new Float64Array(EXTENTS_MAX);
  readonly #number: number;
  /** The one that is not wholly handed over, and its piece that payload is coming for. */
  #current: Job | null = null;
  #filling: Piece | null = null;
  #filled = 0;
  #jobs = 0;
  /** Pieces that are with the other thread. */
  #flying = 0;
  #closed = false;

  constructor(
    client: RemoteClient,
    private readonly host: { readonly remote: RemoteLink; readonly counters: NbdCounters },
    exported: string,
    private readonly replies: Replies,
  ) {
    this.#number = host.remote.attach(client);
    this.#staging = host.remote.open(this.#number, exported);
    for (let number = 0; number < REMOTE_PIECES_MAX; number++) {
      const place = { place: 0, bytes: 0, offset: 0, length: 0 };
      const piece = { number, job: null, ...place, error: ERROR.NONE, extents: 0 };
      this.#pieces.push(piece);
      this.#free.push(piece);
    }
  }

  get arena(): Arena {
    return this.#staging.arena;
  }

  get bytes(): Uint8Array {
    return this.#staging.bytes;
  }

  /** Requests that are not answered yet. */
  get count(): number {
    return this.#jobs;
  }

  /** Nothing can be taken from the client until something is done. */
  get isFull(): boolean {
    return this.#filling === null && (this.#current !== null || this.#free.length === 0);
  }

  /** How much payload is to come for the piece at hand, and its place in the staging memory. */
  get payloadBytes(): number {
    return this.#filling === null ? 0 : this.#filling.length - this.#filled;
  }

  get payloadPlace(): number {
    return (this.#filling?.place ?? 0) + this.#filled;
  }

  /** It is the last of its request. */
  get payloadIsLast(): boolean {
    return this.#current?.at === this.#current?.end;
  }

  close(): void {
    this.#closed = true;
    this.host.remote.close(this.#number);
    this.#forget();
  }

  /** The other thread may still write to the memory of what it has not told of. */
  #forget(): void {
    if (this.#closed && this.#flying === 0) this.host.remote.forget(this.#number, this.#staging);
  }

  /** Begins with a request that is right, and is copied. */
  begin(request: Request): void {
    const { type, flags, offset, length } = request;
    const { READ, FLUSH, CACHE, WRITE_ZEROES } = COMMAND;
    const slow = COMMAND_FLAG.NO_HOLE | COMMAND_FLAG.FAST_ZERO;
    if (type === WRITE_ZEROES && (flags & slow) === slow) {
      this.#answer(request, ERROR.ENOTSUP);
      return;
    }
    const syncs = type === FLUSH || ((flags & COMMAND_FLAG.FUA) !== 0 && changes(type));
    if (type === CACHE || (length === 0 && !syncs)) {
      this.#answer(request, ERROR.NONE);
      return;
    }
    const job = this.#idleJobs.pop() ?? newJob();
    copyRequest(job.request, request);
    job.at = offset;
    job.end = type === FLUSH ? offset : offset + length;
    job.pieces = 0;
    job.error = ERROR.NONE;
    job.flushing = false;
    job.inOrder = type === READ && length > REMOTE_PIECE_BYTES && this.#isWhole(request);
    this.#jobs++;
    if (job.at === job.end) {
      this.#flush(job);
    } else {
      this.#current = job;
      this.advance();
    }
  }

  /** Hands over as much of the request at hand as there is memory for. */
  advance(): void {
    const job = this.#current;
    while (job !== null && this.#current === job && this.#filling === null) {
      // Nothing may come between the parts of its data.
      if (job.inOrder && (job.pieces > 0 || this.#jobs > 1)) return;
      const { type, flags } = job.request;
      const operation = operationOf(type, flags);
      const length = Math.min(job.end - job.at, PIECE_BYTES[operation] ?? 0);
      const piece = this.#take(job, stagingBytes(operation, length), length);
      if (piece === null) return;
      job.at += piece.length;
      if (type === COMMAND.WRITE) {
        this.#filling = piece;
        this.#filled = 0;
        return;
      }
      this.#submit(piece, operation);
      if (job.at === job.end) this.#current = null;
    }
  }

  /** So many bytes of payload are in their place. */
  payloadStored(length: number): void {
    const piece = this.#filling;
    const job = this.#current;
    this.#filled += length;
    if (piece === null || job === null || this.#filled < piece.length) return;
    this.#filling = null;
    this.#submit(piece, OPERATION.WRITE);
    if (job.at === job.end) this.#current = null;
    else this.advance();
  }

  /** A piece is done. */
  completed(number: number, error: number, extents: number): void {
    this.#flying--;
    this.#forget();
    const piece = this.#pieces.at(number);
    if (piece === undefined) throw new RangeError(`piece ${number} was never handed over`);
    piece.error = error;
    piece.extents = extents;
    this.#done.push(piece);
  }

  /** Answers what has been done longest. There is room for a reply. @returns false if there is nothing */
  answerOne(): boolean {
    const piece = this.#done.shift();
    const job = piece?.job ?? null;
    if (piece === undefined || job === null) return false;
    job.pieces--;
    if (job.error === ERROR.NONE) job.error = piece.error;
    const { type } = job.request;
    if (job.error !== ERROR.NONE && type !== COMMAND.WRITE) {
      // Nothing more of it is handed over; the payload of a WRITE comes all the same.
      job.at = job.end;
      if (this.#current === job) this.#current = null;
    }
    const last = job.pieces === 0 && this.#current !== job;
    if (type === COMMAND.READ) this.#answerRead(job, piece, last);
    else this.#answerOther(job, piece, last);
    return true;
  }

  /** All replies were sent: the memory that they were sent from is free. */
  sent(): void {
    for (const piece of this.#sending.splice(0)) this.#give(piece);
  }

  #isWhole({ flags }: Request): boolean {
    return this.replies.style === STYLE.SIMPLE || (flags & COMMAND_FLAG.DF) !== 0;
  }

  #answerRead(job: Job, piece: Piece, last: boolean): void {
    const { request } = job;
    if (job.error === ERROR.NONE) {
      this.#data(request, piece, last);
      this.#sending.push(piece);
      if (last) this.#end(job);
      return;
    }
    this.#give(piece);
    if (!last) return;
    this.#end(job);
    // Its header has promised data already.
    if (job.inOrder && piece.offset > request.offset) this.broken = true;
    else this.#answer(request, job.error);
  }

  #answerOther(job: Job, piece: Piece, last: boolean): void {
    const { request, error } = job;
    this.#give(piece);
    if (!last) return;
    const syncs = (request.flags & COMMAND_FLAG.FUA) !== 0 && changes(request.type);
    if (syncs && !job.flushing && error === ERROR.NONE) {
      this.#flush(job);
      return;
    }
    this.#end(job);
    if (request.type === COMMAND.BLOCK_STATUS && error === ERROR.NONE) this.#status(request, piece);
    else this.#answer(request, error);
  }

  #end(job: Job): void {
    this.#jobs--;
    this.#idleJobs.push(job);
  }

  #flush(job: Job): void {
    job.flushing = true;
    const piece = this.#take(job, 0, 0);
    if (piece === null) throw new RangeError('a request was begun without a piece for it');
    this.#submit(piece, OPERATION.FLUSH);
  }

  #data(request: Request, { place, offset, length }: Piece, last: boolean): void {
    const { replies } = this;
    if (!this.#isWhole(request)) {
      this.#dataHeader(request, last ? CHUNK_DONE : 0, offset, length);
    } else if (offset === request.offset) {
      if (replies.style === STYLE.SIMPLE) replies.simple(request, ERROR.NONE);
      else this.#dataHeader(request, CHUNK_DONE, offset, request.length);
    }
    replies.data(place, length);
  }

  #dataHeader(request: Request, flags: number, offset: number, length: number): void {
    this.replies.chunk(request, flags, CHUNK.OFFSET_DATA, 8 + length);
    putUint64(this.replies.buffer, this.replies.reserve(8), offset);
  }

  #status(request: Request, { place, extents }: Piece): void {
    const found = new Float64Array(this.#staging.buffer, place, extents * EXTENT_NUMBERS);
    let count = 0;
    for (let left = request.length; count < extents && left > 0; count++) {
      const length = Math.min(found[count * EXTENT_NUMBERS] ?? 0, left);
      this.#lengths[count] = length;
      left -= length;
    }
    const most = (request.flags & COMMAND_FLAG.REQ_ONE) !== 0 ? Math.min(count, 1) : count;
    replyExtents(this.replies, request, this.#lengths, most, found[1] === 1);
  }

  #answer(request: Request, error: number): void {
    const { type } = request;
    if (error !== ERROR.NONE) this.host.counters.add(COUNTER.nbdErrors, 1);
    const chunked = type === COMMAND.READ || type === COMMAND.BLOCK_STATUS;
    this.replies.done(request, error, chunked);
  }

  #take(job: Job, bytes: number, length: number): Piece | null {
    if (this.#free.length === 0) return null;
    const place = bytes === 0 ? 0 : this.#staging.take(bytes);
    const piece = place < 0 ? undefined : this.#free.pop();
    if (piece === undefined) return null;
    piece.job = job;
    piece.place = place;
    piece.bytes = bytes;
    piece.offset = job.at;
    piece.length = length;
    job.pieces++;
    return piece;
  }

  #give(piece: Piece): void {
    if (piece.bytes > 0) this.#staging.give(piece.place, piece.bytes);
    piece.job = null;
    this.#free.push(piece);
  }

  #submit({ number, place, offset, length }: Piece, operation: number): void {
    this.#flying++;
    this.host.remote.submit(this.#number, number, operation, place, offset, length);
  }
}

function newJob(): Job {
  const request = newRequest();
  return { request, at: 0, end: 0, pieces: 0, error: 0, inOrder: false, flushing: false };
}

function copyRequest(to: Request, from: Request): void {
  to.flags = from.flags;
  to.type = from.type;
  to.offset = from.offset;
  to.length = from.length;
  to.offsetBytes.set(from.offsetBytes);
  to.cookie.set(from.cookie);
}

function changes(type: number): boolean {
  return type === COMMAND.WRITE || type === COMMAND.TRIM || type === COMMAND.WRITE_ZEROES;
}

function operationOf(type: number, flags: number): number {
  switch (type) {
    case COMMAND.READ:
      return OPERATION.READ;
    case COMMAND.WRITE:
      return OPERATION.WRITE;
    case COMMAND.BLOCK_STATUS:
      return OPERATION.EXTENTS;
    case COMMAND.WRITE_ZEROES:
      return (flags & COMMAND_FLAG.NO_HOLE) !== 0 ? OPERATION.ZERO : OPERATION.PUNCH;
    default:
      return OPERATION.PUNCH; // TRIM
  }
}

function stagingBytes(operation: number, length: number): number {
  if (operation === OPERATION.EXTENTS) return EXTENTS_BYTES;
  return operation === OPERATION.READ || operation === OPERATION.WRITE ? length : 0;
}
