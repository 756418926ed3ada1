// One connection as the daemon sees it: the handshake, then requests in, replies out.
//
// Requests whose bytes lie in memory are answered in the turn in which they arrive, all in one write; others run as
// promises and are answered in the turn in which they end, in any order. What a client sends is bounded by the window
// of the handshake: a request beyond it is refused, and never stops the reading of those behind it (one of them may be
// the unpin that lets the others end). A client that does not take its replies is not read from.

import { Socket } from 'node:net';
import type { Logger } from 'pino';
import type { PeerCredentials } from '../../native/index.js';
import type { Counters } from '../counters.js';
import { packControl, unpackControl } from '../protocol/control.js';
import { PinfoldError, ProtocolError } from '../protocol/errors.js';
import { DAEMON_TAKES, FLAG, FRAME, type Header, UNVERSIONED } from '../protocol/frame.js';
import { FrameReader } from '../protocol/frame-reader.js';
import { FrameWriter } from '../protocol/frame-writer.js';
import {
  CONTROL_REPLY_BYTES_MAX,
  DATA_BYTES_MAX,
  DISCARD_BYTES_MAX,
  HANDSHAKE_TIMEOUT_MS,
  type Limits,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_VERSION_MIN,
  RECEIVE_BUFFER_BYTES,
  TURN_BYTES_MAX,
  TURN_FRAMES_MAX,
  UNSENT_BYTES_MAX,
  UNSENT_EVENT_BYTES_MAX,
} from '../protocol/limits.js';
import {
  attachSchema,
  callSchema,
  type EventMessage,
  type Hello,
  helloSchema,
  type Welcome,
} from '../protocol/methods.js';
import { type Target, unsupported } from '../target.js';
import { errorPayload, toWireError } from '../wire-error.js';
import type { Handles } from './handles.js';
import { parsePayload } from './payload.js';

/** What a connection needs of the daemon. */
export interface ConnectionHost {
  readonly counters: Counters;
  readonly limits: Limits;
  readonly log: Logger;
  /** A client has introduced itself. @throws PinfoldError EUSERS if it is one too many */
  admit(connection: Connection, hello: Hello): Welcome;
  /** Sends the descriptor of a region over this connection's socket. */
  attach(connection: Connection, token: string): void;
  call(
    connection: Connection,
    method: string,
    params: unknown,
    signal: AbortSignal,
  ): Promise<unknown>;
  /** The connection is over; its operations have been withdrawn, but may not have ended. */
  closed(connection: Connection): void;
  /** A defect of ours. */
  fatal(error: unknown): void;
}

interface InFlight {
  readonly controller: AbortController;
  readonly bytes: number;
}

type State = 'strange' | 'open' | 'closing' | 'closed';

export class Connection {
  name = 'stranger';
  readonly outbox: FrameWriter;
  readonly #socket: Socket;
  readonly #reader = new FrameReader(DAEMON_TAKES);
  readonly #inFlight = new Map<number, InFlight>();
  #bytesInFlight = 0;
  readonly #awaitingIdle: (() => void)[] = [];
  #state: State = 'strange';
  #version = UNVERSIONED;
  #turnFrames = 0;
  #turnBytes = 0;
  #paused = false;
  #draining = false;
  #introduction: NodeJS.Timeout;

  /**
   * @param fd the connected socket, taken over
   * @param id of this connection, never used again
   */
  constructor(
    readonly fd: number,
    readonly id: number,
    readonly peer: PeerCredentials,
    readonly handles: Handles,
    private readonly host: ConnectionHost,
  ) {
    const buffer = new Uint8Array(RECEIVE_BUFFER_BYTES);
    const callback = (received: number): boolean => {
      this.#reader.feed(received === buffer.byteLength ? buffer : buffer.subarray(0, received));
      return this.#pump();
    };
    // Node takes `onread` here as for connect(): bytes land in one buffer that is used again and again.
    const options = { fd, allowHalfOpen: true, onread: { buffer, callback } };
    this.#socket = new Socket(options);
    this.outbox = new FrameWriter(this.#socket);
    this.#introduction = setTimeout(() => {
      const seconds = HANDSHAKE_TIMEOUT_MS / 1000;
      this.#fail(new ProtocolError('ETIMEDOUT', `no HELLO within ${seconds} seconds`, 0));
    }, HANDSHAKE_TIMEOUT_MS);
    this.#socket.on('end', () => this.#onEnd());
    this.#socket.on('drain', () => this.#resume());
    this.#socket.on('error', () => undefined); // 'close' follows
    this.#socket.on('close', () => this.#onClose());
  }

  /** True from the handshake until the connection ends. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get requestsInFlight(): number {
    return this.#inFlight.size;
  }

  /** Tells the client something it did not ask for; dropped, and counted, if it is not reading. */
  sendEvent(handle: number, event: EventMessage): void {
    if (this.#state !== 'open') return;
    if (this.outbox.unsentBytes > UNSENT_EVENT_BYTES_MAX) {
      this.host.counters.eventsDropped++;
      return;
    }
    this.host.counters.eventsSent++;
    this.outbox.appendPayload(FRAME.EVENT, FLAG.CONTROL, 0, handle, packControl(event));
    this.outbox.schedule();
  }

  /** Ends the connection after telling why. */
  refuse(error: PinfoldError): void {
    this.#fail(error);
  }

  /** Takes no new requests, waits for those in flight, withdraws what is left after a while, and closes. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    const grace = setTimeout(() => {
      this.#cancelAll('the daemon is shutting down');
      this.handles.releasePins().catch((error: unknown) => this.host.fatal(error));
    }, graceMs);
    await this.idle();
    clearTimeout(grace);
    this.#fail(new PinfoldError('ESHUTDOWN', 'the daemon is shutting down'));
  }

  /** Closes without a word: the socket is done with. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Closes when all that was said has been sent. */
  destroySoon(): void {
    this.#socket.destroySoon();
  }

  /** Takes frames until the chunk is used up. False: stop reading, #resume() goes on. */
  #pump(): boolean {
    try {
      while (this.#state === 'strange' || this.#state === 'open') {
        if (this.#isTurnOver()) break;
        if (!this.#reader.next()) {
          this.outbox.flush();
          return true;
        }
        this.#turnFrames++;
        this.#take(this.#reader.header, this.#reader.payload);
      }
    } catch (error) {
      const known = toWireError(error);
      if (known === null) this.host.fatal(error);
      else {
        this.host.counters.protocolErrors++;
        this.#fail(known);
      }
    }
    this.outbox.flush();
    // After the last word nothing is listened to, but it is read, so that closing does not cut what was said.
    return this.#state === 'closing';
  }

  #isTurnOver(): boolean {
    if (this.outbox.unsentBytes > UNSENT_BYTES_MAX) {
      this.outbox.flush();
      if (this.outbox.unsentBytes > UNSENT_BYTES_MAX) {
        this.#paused = true; // until 'drain'
        return true;
      }
    }
    if (this.#turnFrames < TURN_FRAMES_MAX && this.#turnBytes < TURN_BYTES_MAX) return false;
    this.#paused = true;
    setImmediate(() => this.#resume());
    return true;
  }

  #resume(): void {
    this.#turnFrames = 0;
    this.#turnBytes = 0;
    if (!this.#paused || this.#state === 'closed') return;
    this.#paused = false;
    if (this.#pump()) this.#socket.resume();
  }

  #take(header: Header, payload: Uint8Array): void {
    const first = this.#state === 'strange';
    const expected = first ? UNVERSIONED : this.#version;
    if (header.version !== expected) {
      throw new ProtocolError(
        'EPROTONOSUPPORT',
        `frame of version ${header.version} where ${expected} is expected; this daemon speaks ` +
          `${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION_MAX}, agreed on by HELLO`,
        header.requestId,
      );
    }
    if (first) this.#introduce(header, payload);
    else this.#dispatch(header, payload);
  }

  #introduce(header: Header, payload: Uint8Array): void {
    clearTimeout(this.#introduction);
    if (header.type === FRAME.ATTACH) {
      const { token } = parsePayload(attachSchema, unpackControl(payload), 'ATTACH');
      this.host.attach(this, token);
      this.#state = 'closing';
      return;
    }
    if (header.type !== FRAME.HELLO) {
      throw new ProtocolError(
        'EPROTO',
        `the first frame is of type ${header.type}, expected HELLO or ATTACH`,
        header.requestId,
      );
    }
    const hello = parsePayload(helloSchema, unpackControl(payload), 'HELLO');
    const version = Math.min(hello.versionMax, PROTOCOL_VERSION_MAX);
    if (version < Math.max(hello.versionMin, PROTOCOL_VERSION_MIN)) {
      throw new ProtocolError(
        'EPROTONOSUPPORT',
        `the client speaks versions ${hello.versionMin} to ${hello.versionMax} of the protocol, this daemon ` +
          `${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION_MAX}: use releases that fit`,
        0,
      );
    }
    const welcome = this.host.admit(this, hello);
    this.name = hello.name;
    this.#state = 'open';
    this.outbox.appendPayload(FRAME.WELCOME, FLAG.CONTROL, 0, 0, packControl(welcome));
    this.#version = welcome.version;
    this.outbox.version = welcome.version;
  }

  #dispatch(header: Header, payload: Uint8Array): void {
    const { type, requestId } = header;
    if (type === FRAME.CANCEL) {
      this.host.counters.cancels++;
      this.#inFlight.get(requestId)?.controller.abort();
      return;
    }
    this.host.counters.requests++;
    if (requestId === 0 || this.#inFlight.has(requestId)) {
      throw new ProtocolError(
        'EPROTO',
        `request id ${requestId} is ${requestId === 0 ? 'reserved' : 'in use by a request not answered yet'}`,
        requestId,
      );
    }
    try {
      this.#serve(header, payload);
    } catch (error) {
      this.#sendError(requestId, error);
    }
  }

  #serve(header: Header, payload: Uint8Array): void {
    switch (header.type) {
      case FRAME.READ:
        this.#read(header);
        return;
      case FRAME.WRITE:
        this.#write(header, payload);
        return;
      case FRAME.FLUSH: {
        const { handle } = header;
        this.#start(header, 0, async (signal) => {
          await this.#target(handle).flush(signal);
          return 0;
        });
        return;
      }
      case FRAME.DISCARD: {
        const { handle, offset, length } = header;
        if (length > DISCARD_BYTES_MAX) throw tooLong('DISCARD', length, DISCARD_BYTES_MAX);
        this.#start(header, 0, async (signal) => {
          await this.#target(handle).discard(offset, length, signal);
          return length;
        });
        return;
      }
      case FRAME.CALL:
        this.#call(header.requestId, payload);
        return;
      default:
        throw new PinfoldError(
          'ENOSYS',
          `frames of type ${header.type} are unknown to version ${this.#version} of the protocol`,
        );
    }
  }

  #read(header: Header): void {
    const { requestId, handle, offset, length } = header;
    if (length > DATA_BYTES_MAX) throw tooLong('READ', length, DATA_BYTES_MAX);
    const target = this.#target(handle);
    target.checkRead(offset, length);
    this.#turnBytes += length;
    if (target.inline !== null) {
      target.inline.copyOut(
        offset,
        this.outbox.append(FRAME.REPLY, 0, requestId, handle, offset, length, length),
      );
      this.host.counters.bytesRead += length;
      return;
    }
    this.#run(requestId, length, async (signal) => {
      const data = Buffer.allocUnsafe(length);
      const done = await target.read(offset, data, signal);
      this.host.counters.bytesRead += done;
      this.outbox
        .append(FRAME.REPLY, 0, requestId, handle, offset, done, done)
        .set(data.subarray(0, done));
    });
  }

  #write(header: Header, payload: Uint8Array): void {
    const { requestId, handle, offset, flags } = header;
    if ((flags & ~FLAG.FUA) !== 0) {
      throw new PinfoldError('EINVAL', `flags ${flags} of WRITE, only ${FLAG.FUA} (FUA) is known`);
    }
    const target = this.#target(handle);
    const length = payload.byteLength;
    target.checkWrite(offset, length);
    this.#turnBytes += length;
    if (target.inline !== null) {
      target.inline.copyIn(offset, payload);
      this.host.counters.bytesWritten += length;
      this.outbox.append(FRAME.REPLY, 0, requestId, handle, offset, length, 0);
      return;
    }
    const fua = (flags & FLAG.FUA) !== 0;
    this.#start(header, length, async (signal) => {
      // The receive buffer is used again before this ends.
      const done = await target.write(offset, payload.slice(), fua, signal);
      this.host.counters.bytesWritten += done;
      return done;
    });
  }

  /** Runs a data request that is answered with a length. */
  #start(header: Header, bytes: number, run: (signal: AbortSignal) => Promise<number>): void {
    const { requestId, handle, offset } = header;
    this.#run(requestId, bytes, async (signal) => {
      const done = await run(signal);
      this.outbox.append(FRAME.REPLY, 0, requestId, handle, offset, done, 0);
    });
  }

  #call(requestId: number, payload: Uint8Array): void {
    const { method, params } = parsePayload(callSchema, unpackControl(payload), 'CALL');
    this.#run(requestId, 0, async (signal) => {
      const result = packControl(await this.host.call(this, method, params, signal));
      if (result.byteLength > CONTROL_REPLY_BYTES_MAX) {
        throw new PinfoldError(
          'EMSGSIZE',
          `the result of ${method} has ${result.byteLength} bytes`,
        );
      }
      this.outbox.appendPayload(FRAME.REPLY, FLAG.CONTROL, requestId, 0, result);
    });
  }

  /** Runs a request beside others; `run` appends the reply. */
  #run(requestId: number, bytes: number, run: (signal: AbortSignal) => Promise<void>): void {
    if (this.#draining) throw new PinfoldError('ESHUTDOWN', 'the daemon is shutting down');
    const { requestsInFlight, bytesInFlight } = this.host.limits;
    if (this.#inFlight.size >= requestsInFlight || this.#bytesInFlight + bytes > bytesInFlight) {
      throw new PinfoldError(
        'EAGAIN',
        `${this.#inFlight.size} requests with ${this.#bytesInFlight} bytes are in flight, at most ` +
          `${requestsInFlight} with ${bytesInFlight} bytes are allowed: wait for a reply`,
      );
    }
    const controller = new AbortController();
    this.#inFlight.set(requestId, { controller, bytes });
    this.#bytesInFlight += bytes;
    run(controller.signal)
      .catch((error: unknown) => this.#sendError(requestId, error))
      .finally(() => {
        this.#inFlight.delete(requestId);
        this.#bytesInFlight -= bytes;
        this.outbox.schedule();
        if (this.#inFlight.size === 0) for (const tell of this.#awaitingIdle.splice(0)) tell();
      });
  }

  #target(handle: number): Target {
    const opened = this.handles.get(handle);
    if (opened.target === null)
      throw unsupported(opened.label, 'read, written, flushed or discarded');
    return opened.target;
  }

  #sendError(requestId: number, error: unknown): void {
    let known = toWireError(error);
    if (known === null) {
      this.host.fatal(error);
      known = new PinfoldError('EIO', 'the daemon has a defect and is stopping, see its log');
    }
    this.host.counters.errors++;
    const payload = packControl(errorPayload(known));
    this.outbox.appendPayload(FRAME.ERROR, FLAG.CONTROL, requestId, 0, payload);
  }

  /** The last word on this connection. */
  #fail(error: PinfoldError): void {
    if (this.#state === 'closing' || this.#state === 'closed') return;
    this.#state = 'closing';
    clearTimeout(this.#introduction);
    this.host.log.info({ client: this.id, name: this.name, code: error.code }, error.message);
    this.outbox.appendPayload(FRAME.ERROR, FLAG.CONTROL, 0, 0, packControl(errorPayload(error)));
    this.outbox.flush();
    this.#socket.end();
    // Reads on, so that the other end gets what was said, but not for ever.
    this.#socket.resume();
    setTimeout(() => this.#socket.destroy(), 1000).unref();
  }

  #onEnd(): void {
    if (this.#state !== 'closed' && this.#state !== 'closing' && !this.#reader.atBoundary) {
      this.host.counters.protocolErrors++;
      this.#fail(new ProtocolError('EPROTO', 'the connection ended inside a frame', 0));
      return;
    }
    this.outbox.flush();
    this.#socket.end();
    this.#socket.destroySoon();
  }

  #onClose(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    clearTimeout(this.#introduction);
    this.#cancelAll('the client has gone');
    this.host.closed(this);
  }

  /** Resolves when nothing is in flight. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#inFlight.size === 0) resolve();
      else this.#awaitingIdle.push(resolve);
    });
  }

  #cancelAll(why: string): void {
    for (const { controller } of this.#inFlight.values()) {
      controller.abort(new PinfoldError('ESHUTDOWN', why));
    }
  }
}

function tooLong(type: string, length: number, limit: number): PinfoldError {
  return new PinfoldError(
    'EMSGSIZE',
    `${type} of ${length} bytes, at most ${limit} are allowed in one request: cut it into several`,
  );
}
