// One connection: bytes from its socket become options and requests, and their replies go out. It never waits.

import { Arena, closeDescriptor, GONE, INTEREST, WOULD_BLOCK } from '../../native/index.js';
import type {
  Beginning,
  ConnectionHost,
  HandOver,
  OpenableExport,
  ServedConnection,
  Turn,
} from './connection-host.js';
import { COUNTER } from './counters.js';
import { Handshake } from './handshake.js';
import { Holding } from './holding.js';
import { Later } from './later.js';
import {
  DIRECT_WRITE_BYTES,
  HELD_RECEIVES_MAX,
  PAYLOAD_BYTES_SKIPPED_MAX,
  RECEIVE_BYTES,
  STATUS_PAYLOAD_BYTES_MAX,
  TURN_RECEIVES,
} from './limits.js';
import { awaitBatch } from './patience.js';
import { Payload } from './payload.js';
import type { Moved } from './peer-messages.js';
import { BYTES, COMMAND, COMMAND_FLAG, ERROR } from './protocol.js';
import { newRequest, Replies } from './replies.js';
import { headerBytes, readHeader } from './request-header.js';
import { type Clock, type Storage, WALL, type Waiter } from './storage.js';
import { Transmission } from './transmission.js';

/** Received through before an export is chosen. */
const NO_ARENA = new Arena([new Uint8Array(new SharedArrayBuffer(1))]);

export class Connection<E extends OpenableExport> implements ServedConnection, Waiter {
  stopping = false;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  /** What was received and not consumed. */
  #head = 0;
  #tail = 0;
  readonly #replies = new Replies();
  readonly #handshake: Handshake<E>;
  readonly #request = newRequest();
  readonly #later = new Later();
  #export: E | null = null;
  #hasContext = false;
  #epoch = 0;
  #storage: Storage | null = null;
  #transmission: Transmission | null = null;
  #closing = false;
  /** The client has said so: what it asked for before is answered at once. */
  #leaving = false;
  #startingTls = false;
  readonly #payload = new Payload();
  readonly #holding = new Holding();
  #largeWrites = false;
  /** There is no memory for the payload of the WRITE that is next. */
  #isShort = false;
  /** Bytes to throw away, and the error that is told then. */
  #skip = 0;
  #skipError: number = ERROR.NONE;
  #interest: number = INTEREST.READ;
  /** The last receive has got all that was there. */
  #drained = false;

  constructor(
    readonly fd: number,
    private readonly host: ConnectionHost<E>,
    beginning: Beginning<E> = { kind: 'greeting' },
  ) {
    const tls = beginning.kind === 'secured' ? 'active' : host.tls;
    this.#handshake = new Handshake(host.exports, this.#replies, tls);
    host.poller.add(fd, this.#interest);
    if (beginning.kind === 'greeting') {
      this.#handshake.greet();
    } else if (beginning.kind === 'secured') {
      this.#handshake.goOn(beginning.noZeroes);
    } else {
      this.#replies.style = beginning.style;
      this.#buffer.set(beginning.received);
      this.#tail = beginning.received.length;
      this.#open(beginning.chosen, beginning.hasContext);
    }
  }

  /** The one thing that its client said before TLS and does not say again. */
  get noZeroes(): boolean {
    return this.#handshake.noZeroes;
  }

  get exported(): E | null {
    return this.#export;
  }

  get inHandshake(): boolean {
    return this.#transmission === null;
  }

  get idle(): boolean {
    return (
      this.#head === this.#tail &&
      this.#skip === 0 &&
      !this.#payload.isComing &&
      this.#replies.empty &&
      this.#later.empty &&
      this.#transmission?.busy !== true
    );
  }

  get deaf(): boolean {
    return this.#interest === INTEREST.NONE;
  }

  get clock(): Clock {
    return this.#storage?.clock ?? WALL;
  }

  /** An answer that waits for the client, to read or to end a payload, is not due until it does. */
  get dueUs(): number {
    const waits = this.#payload.isComing || this.#skip > 0 || !this.#replies.empty;
    return waits ? Number.POSITIVE_INFINITY : this.#later.nextUs;
  }

  get stalledSinceMs(): number {
    return this.#payload.stalledSinceMs;
  }

  get isQuiet(): boolean {
    return this.#later.empty;
  }

  answered(id: number, error: number): void {
    if (error !== ERROR.NONE) this.host.counters.add(COUNTER.nbdErrors, 1);
    this.#later.release(id, error, this.clock.nowUs());
  }

  close(): void {
    if (this.#payload.isComing) this.#storage?.abortWrite();
    this.#storage?.close();
    closeDescriptor(this.fd);
  }

  turn(): Turn {
    let held = 0;
    for (let i = 0; i < TURN_RECEIVES; i++) {
      const more = this.#consume();
      const holds = this.#payload.isComing && !more && !this.#replies.empty;
      if (holds && held < HELD_RECEIVES_MAX && this.#receiveHolding() > 0) {
        held++;
        continue;
      }
      this.#holding.ended(held);
      held = 0;
      if (!this.#send()) return 'closed';
      if (!this.#replies.empty) return this.#wait(INTEREST.WRITE);
      if (this.#closing) return 'closed';
      if (this.#startingTls) return 'tls';
      if (this.#isRemote()) return 'remote';
      if (more) continue;
      if (!this.#later.hasRoom) return this.#wait(INTEREST.NONE);
      if (this.#isShort) return this.#wait(INTEREST.NONE, 'short');
      const got = this.#receiveMore();
      if (got === 0 || got === GONE) return 'closed';
      if (got < 0) return this.#wait(INTEREST.READ);
    }
    return 'again';
  }

  #send(): boolean {
    return this.#transmission?.send(this.fd) ?? this.#replies.send(NO_ARENA, this.fd);
  }

  #arena(): Arena {
    return this.#storage?.arena ?? NO_ARENA;
  }

  #wait(interest: number, turn: Turn = 'wait'): Turn {
    if (interest !== this.#interest) {
      this.#interest = interest;
      this.host.poller.change(this.fd, interest);
    }
    return turn;
  }

  /**
   * While replies wait: more of a payload that is there already, or, if the client does not wait for them, that is coming.
   * @returns as #receive(); WOULD_BLOCK if they shall be sent
   */
  #receiveHolding(): number {
    const { patience } = this.host;
    if (!patience.isAllowed) return this.#drained ? WOULD_BLOCK : this.#receive(0);
    return this.#largeWrites && this.#holding.isAllowed()
      ? this.#receive(patience.us)
      : WOULD_BLOCK;
  }

  /** @returns as #receive(); WOULD_BLOCK if the poller shall tell what has come since the last time: mostly nothing */
  #receiveMore(): number {
    const { patience } = this.host;
    if (!this.#drained) return this.#receive(patience.us);
    this.#drained = false;
    const patienceUs = patience.takeUs();
    if (patienceUs === 0) return WOULD_BLOCK;
    if (this.#request.length < DIRECT_WRITE_BYTES) awaitBatch(this.fd, patienceUs);
    const got = this.#receive(patienceUs);
    patience.paid(got !== WOULD_BLOCK);
    return got;
  }

  /** @returns bytes, 0 at the end, or what Arena.receive() says */
  #receive(patienceUs: number): number {
    if (this.#head > 0) {
      this.#buffer.copyWithin(0, this.#head, this.#tail);
      this.#tail -= this.#head;
      this.#head = 0;
    }
    const storage = this.#storage;
    if (this.#payload.isComing && storage !== null && this.#payload.error === ERROR.NONE) {
      if (storage.receives) return this.#receivePayload(storage, patienceUs);
    }
    const headerOnly = this.#largeWrites && !this.#payload.isComing && this.#skip === 0;
    const until = headerOnly ? Math.max(this.#headerBytes(), this.#tail + 1) : RECEIVE_BYTES;
    const got = this.#arena().receive(
      this.fd,
      0,
      0,
      1,
      this.#buffer,
      this.#tail,
      until,
      patienceUs,
    );
    if (got > 0) this.#tail += got;
    this.#drained = got > 0 && this.#tail < until;
    return got;
  }

  /** The rest of a payload goes straight to its place; the end of a unit that was cut goes through the buffer. */
  #receivePayload(storage: Storage, patienceUs: number): number {
    const { arena } = storage;
    const payload = this.#payload;
    const staged = this.#tail - this.#head;
    if (staged === 0) {
      const { at, end } = payload;
      const ahead = this.#largeWrites ? this.#headerBytes() : RECEIVE_BYTES;
      const prompt = this.#replies.prepare(storage.endsAtOnce ? this.#request : null);
      const got = storage.receive(this.fd, at, end, this.#buffer, ahead, patienceUs, prompt);
      if (got > 0) {
        // Nothing has come after it: the client may be waiting, and was answered.
        if (got === end - at && this.#replies.prompted()) payload.isComing = false;
        const direct = payload.wholeUnits(got);
        payload.advance(direct, this.host.nowMs);
        this.#tail = got - direct;
        this.#drained = got < end - at + ahead;
        return got;
      }
      if (got === 0 || got === GONE) return got;
    }
    const missing = payload.unitEnd - payload.at - staged;
    const got = arena.receive(this.fd, 0, 0, 1, this.#buffer, this.#tail, this.#tail + missing, 0);
    if (got > 0) this.#tail += got;
    return got;
  }

  #headerBytes(): number {
    return headerBytes(this.#replies.style);
  }

  /** Goes through what was received. @returns true if it can go on once the replies were sent */
  #consume(): boolean {
    while (!this.#closing && !this.#startingTls && !this.#isRemote()) {
      const transmission = this.#transmission;
      if (transmission?.busy === true) {
        if (!this.#replies.hasRoom || !transmission.canRead) return true;
        if (!transmission.proceed()) this.#closing = true;
        return true;
      }
      if (!this.#replies.hasRoom) return true;
      if (this.#skip > 0) {
        if (!this.#skipPayload()) return false;
      } else if (this.#payload.isComing) {
        if (!this.#storePayload()) return false;
      } else if (transmission === null) {
        if (this.#handshake.busy) this.#handshake.proceed();
        else if (!this.#takeHandshake()) return false;
      } else if (this.#isStale() && !this.#replies.empty) {
        return true; // they are sent from the memory of the old storage
      } else {
        this.#reopen(transmission);
        if (this.#isRemote()) continue;
        if (this.#resume(transmission)) continue;
        if (this.#leaving && this.#later.empty) this.#closing = true;
        if (this.#leaving || !this.#later.hasRoom) return false;
        if (!this.#takeRequest(transmission)) return !transmission.canRead;
      }
    }
    return false;
  }

  #isStale(): boolean {
    return this.#export !== null && this.#export.epoch !== this.#epoch;
  }

  /** Between two requests: the storage that the disk has now. */
  #reopen(transmission: Transmission): void {
    if (!this.#isStale() || this.#export === null) return;
    this.#storage?.close();
    this.#epoch = this.#export.epoch;
    this.#storage = this.#export.open(this);
    if (this.#storage !== null) transmission.use(this.#storage);
  }

  /** Answers a postponed request whose time has come. @returns false if there is none */
  #resume(transmission: Transmission): boolean {
    if (this.#later.empty) return false;
    const nowUs = this.#leaving ? Number.POSITIVE_INFINITY : this.clock.nowUs();
    const parked = this.#later.take(nowUs);
    if (parked === null) return false;
    transmission.resume(parked);
    return true;
  }

  /** @returns false if more bytes are needed */
  #takeHandshake(): boolean {
    const handshake = this.#handshake;
    const taken = handshake.take(this.#buffer, this.#head, this.#tail, this.stopping);
    if (taken === 0) return false;
    this.#head += taken;
    const { next, chosen, hasContext } = handshake;
    if (next === 'close') this.#closing = true;
    if (next === 'tls') this.#startingTls = true;
    if (next === 'transmission' && chosen !== null) this.#open(chosen, hasContext);
    return true;
  }

  /** Its export is served by another thread. */
  #isRemote(): boolean {
    return this.#export !== null && this.#storage === null;
  }

  /** What a RemoteConnection needs, which owns all of it from now on. @throws RangeError before an export is chosen */
  handOver(): HandOver {
    const { fd } = this;
    const exported = this.#export;
    if (exported === null) throw new RangeError('no export is chosen');
    return {
      ...{ fd, exported, hasContext: this.#hasContext },
      replies: this.#replies,
      buffer: this.#buffer,
      head: this.#head,
      tail: this.#tail,
    };
  }

  /** What a Connection of another thread needs to go on, see Beginning. @throws RangeError before an export is chosen */
  leave(): Moved {
    const { fd, exported, hasContext, replies, buffer, head, tail } = this.handOver();
    const received = buffer.slice(head, tail);
    return { fd, disk: exported.name, hasContext, style: replies.style, received };
  }

  #open(chosen: E, hasContext: boolean): void {
    this.#export = chosen;
    this.#hasContext = hasContext;
    this.#epoch = chosen.epoch;
    const storage = chosen.open(this);
    if (storage === null) return;
    this.#storage = storage;
    this.#transmission = new Transmission(
      chosen,
      storage,
      this.#replies,
      this.#later,
      hasContext,
      this.#request,
    );
  }

  /** @returns false if more bytes are needed, or memory for what is read */
  #takeRequest(transmission: Transmission): boolean {
    const at = this.#head;
    const header = this.#headerBytes();
    const available = this.#tail - at;
    if (available < header) return false;
    const buffer = this.#buffer;
    const extended = header === BYTES.EXTENDED_REQUEST;
    const request = this.#request;
    if (!readHeader(buffer, at, this.#replies.style, request)) {
      this.#closing = true;
      return true;
    }
    const { type, flags, length } = request;
    if (type === COMMAND.DISC) {
      this.#leaving = true;
      return true;
    }
    const carries = extended ? (flags & COMMAND_FLAG.PAYLOAD_LEN) !== 0 : type === COMMAND.WRITE;
    const payload = carries ? length : 0;
    if (payload > PAYLOAD_BYTES_SKIPPED_MAX) {
      this.#closing = true;
      return true;
    }
    if (
      type === COMMAND.BLOCK_STATUS &&
      carries &&
      payload <= STATUS_PAYLOAD_BYTES_MAX &&
      !this.stopping
    ) {
      if (available < header + payload) return false;
      this.#head += header + payload;
      this.host.counters.add(COUNTER.nbdRequests, 1);
      transmission.blockStatusPayload(buffer.subarray(at + header, this.#head));
      return true;
    }
    if (!transmission.canRead) return false;
    this.#isShort =
      type === COMMAND.WRITE && !this.stopping && this.#storage?.canWrite(payload) === false;
    if (this.#isShort) return false;
    this.#head += header;
    this.host.counters.add(COUNTER.nbdRequests, 1);
    this.#start(transmission, payload);
    return true;
  }

  #start(transmission: Transmission, payload: number): void {
    const request = this.#request;
    const isWrite = request.type === COMMAND.WRITE;
    const storage = this.#storage;
    let error = this.stopping || storage === null ? ERROR.ESHUTDOWN : transmission.check();
    // What comes with any other command is thrown away: also a list of contexts that is longer than anybody could mean.
    if (error === ERROR.NONE && payload > 0 && !isWrite) error = ERROR.EINVAL;
    if (error === ERROR.NONE && storage !== null) {
      error = storage.begin(request);
      if (isWrite && error === ERROR.NONE) {
        error = storage.beginWrite(request.offset, request.length);
      }
    }
    this.#largeWrites = isWrite && payload >= DIRECT_WRITE_BYTES;
    if (error !== ERROR.NONE) {
      this.#skip = payload;
      this.#skipError = error;
      if (payload === 0) this.#refuse(error);
    } else if (isWrite) {
      this.#payload.begin(request.offset, request.length, this.host.nowMs);
      this.host.counters.add(COUNTER.nbdBytesWritten, request.length);
    } else {
      if (request.type === COMMAND.READ)
        this.host.counters.add(COUNTER.nbdBytesRead, request.length);
      transmission.begin();
    }
  }

  #refuse(error: number): void {
    this.host.counters.add(COUNTER.nbdErrors, 1);
    this.#transmission?.answer(error);
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

  /** Moves whole units, or all that is left, to the disk. @returns false if more bytes are needed */
  #storePayload(): boolean {
    const payload = this.#payload;
    const length = payload.wholeUnits(this.#tail - this.#head);
    if (length === 0 && payload.at < payload.end) return false;
    if (length > 0 && payload.error === ERROR.NONE && this.#storage !== null) {
      const until = this.#head + length;
      payload.error = this.#storage.store(payload.at, this.#buffer, this.#head, until);
    }
    this.#head += length;
    payload.advance(length, this.host.nowMs);
    if (payload.at < payload.end) return false;
    payload.isComing = false;
    if (payload.error !== ERROR.NONE) this.host.counters.add(COUNTER.nbdErrors, 1);
    this.#transmission?.written(payload.error);
    return true;
  }
}
