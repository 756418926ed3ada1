// A connection to an export that another thread serves: requests go there in pieces through staging memory, several at a
// time, and are answered as they are done. It takes over from Connection when the export is chosen. It never waits.

import { closeDescriptor, GONE, INTEREST, type Poller } from '../../native/index.js';
import { checkRequest, takeStatusPayload } from './check.js';
import type { HandOver, ServedConnection, Turn } from './connection-host.js';
import { COUNTER, type NbdCounters } from './counters.js';
import type { Export } from './handshake.js';
import {
  DIRECT_WRITE_BYTES,
  PAYLOAD_BYTES_SKIPPED_MAX,
  RECEIVE_BYTES,
  STATUS_PAYLOAD_BYTES_MAX,
  TURN_RECEIVES,
} from './limits.js';
import { COMMAND, COMMAND_FLAG, ERROR } from './protocol.js';
import type { RemoteClient, RemoteLink } from './remote-link.js';
import { RemoteRequests } from './remote-requests.js';
import { newRequest, type Replies, STYLE } from './replies.js';
import { headerBytes, readHeader } from './request-header.js';
import { type Clock, WALL } from './storage.js';

export interface RemoteHost {
  readonly poller: Poller;
  readonly counters: NbdCounters;
  readonly remote: RemoteLink;
}

export class RemoteConnection implements RemoteClient, ServedConnection {
  stopping = false;
  readonly inHandshake = false;
  readonly clock: Clock = WALL;
  readonly dueUs = Number.POSITIVE_INFINITY;
  readonly exported = null;
  /** Its WRITEs hold no memory of a disk. */
  readonly stalledSinceMs = Number.POSITIVE_INFINITY;
  readonly #fd: number;
  readonly #replies: Replies;
  readonly #buffer: Uint8Array;
  #head: number;
  #tail: number;
  readonly #export: Export;
  readonly #hasContext: boolean;
  readonly #requests: RemoteRequests;
  readonly #request = newRequest();
  #closing = false;
  #closed = false;
  /** Its client has said goodbye: what is under way is answered, nothing more is heard. */
  #leaving = false;
  #largeWrites = false;
  /** Bytes to throw away, and the error that is told then. */
  #skip = 0;
  #skipError: number = ERROR.NONE;
  #interest = -1;

  constructor(
    handOver: HandOver,
    private readonly host: RemoteHost,
  ) {
    this.#fd = handOver.fd;
    this.#replies = handOver.replies;
    this.#buffer = handOver.buffer;
    this.#head = handOver.head;
    this.#tail = handOver.tail;
    this.#export = handOver.exported;
    this.#hasContext = handOver.hasContext;
    this.#requests = new RemoteRequests(this, host, handOver.exported.name, handOver.replies);
  }

  get idle(): boolean {
    return (
      this.#head === this.#tail &&
      this.#skip === 0 &&
      this.#replies.empty &&
      this.#requests.count === 0
    );
  }

  get deaf(): boolean {
    return this.#interest === INTEREST.NONE;
  }

  close(): void {
    this.#closed = true;
    this.#requests.close();
    closeDescriptor(this.#fd);
  }

  completed(piece: number, error: number, extents: number, reached: Set<number>): void {
    this.#requests.completed(piece, error, extents);
    if (!this.#closed) reached.add(this.#fd);
  }

  turn(): Turn {
    const requests = this.#requests;
    for (let i = 0; i < TURN_RECEIVES; i++) {
      const more = this.#consume();
      if (!this.#replies.send(requests.arena, this.#fd)) return 'closed';
      if (!this.#replies.empty) return this.#wait(INTEREST.WRITE);
      requests.sent();
      if (this.#closing || requests.broken) return 'closed';
      if (more) continue;
      if (this.#leaving || requests.isFull) return this.#wait(INTEREST.NONE);
      const got = this.#receive();
      if (got === 0 || got === GONE) return 'closed';
      if (got < 0) return this.#wait(INTEREST.READ);
    }
    return 'again';
  }

  #wait(interest: number): Turn {
    if (interest !== this.#interest) {
      this.#interest = interest;
      this.host.poller.change(this.#fd, interest);
    }
    return 'wait';
  }

  /** @returns bytes, 0 at the end, or what Arena.receive() says */
  #receive(): number {
    if (this.#head > 0) {
      this.#buffer.copyWithin(0, this.#head, this.#tail);
      this.#tail -= this.#head;
      this.#head = 0;
    }
    const requests = this.#requests;
    const writing = requests.payloadBytes > 0 && this.#skip === 0;
    const header = headerBytes(this.#replies.style);
    // The next payload shall go straight to its place: only its header is read ahead.
    const ahead = this.#largeWrites && this.#skip === 0 ? header : RECEIVE_BYTES;
    if (writing) {
      const { payloadPlace, payloadBytes } = requests;
      const until = requests.payloadIsLast ? ahead : 0;
      const got = requests.arena.receive(
        this.#fd,
        payloadPlace,
        payloadBytes,
        1,
        this.#buffer,
        0,
        until,
        0,
      );
      if (got > 0) {
        const direct = Math.min(got, payloadBytes);
        requests.payloadStored(direct);
        this.#tail = got - direct;
      }
      return got;
    }
    const until = Math.max(ahead, this.#tail + 1);
    const got = requests.arena.receive(this.#fd, 0, 0, 1, this.#buffer, this.#tail, until, 0);
    if (got > 0) this.#tail += got;
    return got;
  }

  /** Goes through what is done and what was received. @returns true if it can go on once the replies were sent */
  #consume(): boolean {
    const requests = this.#requests;
    while (!this.#closing) {
      if (!this.#replies.hasRoom) return true;
      if (requests.answerOne()) continue;
      requests.advance();
      if (this.#leaving && requests.count === 0) this.#closing = true;
      if (this.#leaving || requests.isFull) return !this.#replies.empty;
      if (this.#skip > 0) {
        if (!this.#skipPayload()) return false;
      } else if (requests.payloadBytes > 0) {
        if (this.#head === this.#tail) return false;
        this.#storePayload();
      } else if (!this.#takeRequest()) {
        return false;
      }
    }
    return false;
  }

  #storePayload(): void {
    const requests = this.#requests;
    const length = Math.min(this.#tail - this.#head, requests.payloadBytes);
    const part = this.#buffer.subarray(this.#head, this.#head + length);
    requests.bytes.set(part, requests.payloadPlace);
    this.#head += length;
    requests.payloadStored(length);
  }

  /** @returns false if more bytes are needed */
  #skipPayload(): boolean {
    const taken = Math.min(this.#skip, this.#tail - this.#head);
    this.#head += taken;
    this.#skip -= taken;
    if (this.#skip > 0) return false;
    this.#refuse(this.#skipError);
    return true;
  }

  /** @returns false if more bytes are needed */
  #takeRequest(): boolean {
    const request = this.#request;
    const { style } = this.#replies;
    const header = headerBytes(style);
    const available = this.#tail - this.#head;
    if (available < header) return false;
    if (!readHeader(this.#buffer, this.#head, style, request)) {
      this.#closing = true;
      return true;
    }
    const { type, flags, length } = request;
    if (type === COMMAND.DISC) {
      this.#leaving = true;
      return true;
    }
    const carries =
      style === STYLE.EXTENDED ? (flags & COMMAND_FLAG.PAYLOAD_LEN) !== 0 : type === COMMAND.WRITE;
    const payload = carries ? length : 0;
    if (payload > PAYLOAD_BYTES_SKIPPED_MAX) {
      this.#closing = true;
      return true;
    }
    const status = type === COMMAND.BLOCK_STATUS && carries && payload <= STATUS_PAYLOAD_BYTES_MAX;
    if (status && available < header + payload) return false;
    this.#head += header;
    this.host.counters.add(COUNTER.nbdRequests, 1);
    if (status) this.#startStatus(payload);
    else this.#start(payload);
    return true;
  }

  #startStatus(payload: number): void {
    const bytes = this.#buffer.subarray(this.#head, this.#head + payload);
    this.#head += payload;
    const error = takeStatusPayload(this.#request, bytes);
    if (error === ERROR.NONE) this.#start(0);
    else this.#refuse(error);
  }

  #start(payload: number): void {
    const request = this.#request;
    const { type, length } = request;
    const { style } = this.#replies;
    const error = this.stopping
      ? ERROR.ESHUTDOWN
      : checkRequest(request, this.#export, style, this.#hasContext);
    this.#largeWrites = type === COMMAND.WRITE && payload >= DIRECT_WRITE_BYTES;
    if (error !== ERROR.NONE) {
      this.#skip = payload;
      this.#skipError = error;
      if (payload === 0) this.#refuse(error);
      return;
    }
    if (type === COMMAND.READ) this.host.counters.add(COUNTER.nbdBytesRead, length);
    if (type === COMMAND.WRITE) this.host.counters.add(COUNTER.nbdBytesWritten, length);
    this.#requests.begin(request);
  }

  #refuse(error: number): void {
    const { type } = this.#request;
    this.host.counters.add(COUNTER.nbdErrors, 1);
    const chunked = type === COMMAND.READ || type === COMMAND.BLOCK_STATUS;
    this.#replies.done(this.#request, error, chunked);
  }
}
