// One connection to a daemon: requests out, replies in, matched by their ids.
//
// Requests of one turn go out in one write. At most as many as the daemon's window are in flight; the rest wait here, in
// order, except for those that give something back, which may be what the others wait for.

import { connect, type Socket } from 'node:net';
import { packControl, unpackControl } from '../../daemon/protocol/control.js';
import { AbortError, PinfoldError } from '../../daemon/protocol/errors.js';
import {
  CLIENT_TAKES,
  encodeFrame,
  FLAG,
  FRAME,
  UNVERSIONED,
} from '../../daemon/protocol/frame.js';
import { FrameReader } from '../../daemon/protocol/frame-reader.js';
import { FrameWriter } from '../../daemon/protocol/frame-writer.js';
import {
  PROTOCOL_VERSION_MAX,
  PROTOCOL_VERSION_MIN,
  RECEIVE_BUFFER_BYTES,
} from '../../daemon/protocol/limits.js';
import {
  type EventMessage,
  errorSchema,
  eventSchema,
  type Hello,
  type Method,
  type Welcome,
  welcomeSchema,
} from '../../daemon/protocol/methods.js';

/** Requests that the window keeps free for those that give something back. */
const RESERVED_REQUESTS = 16;
/** Methods that use them. */
const GIVING_BACK: readonly string[] = ['release', 'pin.release'];

export interface LinkEvents {
  event(message: EventMessage): void;
  /** The connection ended, after all its requests have been rejected. */
  down(error: PinfoldError): void;
}

/** A request on its way. */
class Pending {
  /** 0 while it waits for the window. */
  id = 0;
  onAbort: (() => void) | null = null;

  constructor(
    readonly type: number,
    readonly flags: number,
    readonly handle: number,
    readonly offset: number,
    readonly length: number,
    readonly payload: Uint8Array | null,
    /** Where the data of a READ goes. */
    readonly target: Uint8Array | null,
    /** Gives something back. */
    readonly urgent: boolean,
    readonly signal: AbortSignal | undefined,
    /** Bytes read or written, and the value of a control reply. */
    readonly resolve: (length: number, control: unknown) => void,
    readonly reject: (error: Error) => void,
  ) {}

  get bytes(): number {
    return (this.payload ?? this.target)?.byteLength ?? 0;
  }
}

export class Link {
  readonly #socket: Socket;
  readonly #writer: FrameWriter;
  readonly #reader = new FrameReader(CLIENT_TAKES);
  readonly #inFlight = new Map<number, Pending>();
  #waiting: Pending[] = [];
  #bytesInFlight = 0;
  #nextId = 1;
  #failure: PinfoldError | null = null;

  private constructor(
    socket: Socket,
    reader: FrameReader,
    readonly welcome: Welcome,
    private readonly events: LinkEvents,
  ) {
    this.#socket = socket;
    this.#reader = reader;
    this.#writer = new FrameWriter(socket);
    this.#writer.version = welcome.version;
  }

  /** @throws PinfoldError ECONNREFUSED, ETIMEDOUT, EPROTONOSUPPORT, EACCES, EUSERS */
  static async open(
    path: string,
    name: string,
    timeoutMs: number,
    events: LinkEvents,
  ): Promise<Link> {
    return await new Promise((resolve, reject) => {
      let link: Link | null = null;
      const reader = new FrameReader(CLIENT_TAKES);
      const buffer = new Uint8Array(RECEIVE_BUFFER_BYTES);
      const fail = (error: PinfoldError): void => {
        clearTimeout(timer);
        socket.destroy();
        if (link === null) reject(error);
        else link.#down(error);
      };
      const socket = connect({
        path,
        onread: {
          buffer,
          callback: (received) => {
            try {
              reader.feed(received === buffer.byteLength ? buffer : buffer.subarray(0, received));
              while (!socket.destroyed && reader.next()) {
                if (link !== null) link.#take();
                else {
                  link = new Link(socket, reader, parseWelcome(reader), events);
                  clearTimeout(timer);
                  resolve(link);
                }
              }
            } catch (error) {
              fail(asPinfoldError(error));
            }
            return true;
          },
        },
      });
      const timer = setTimeout(() => {
        fail(new PinfoldError('ETIMEDOUT', `no daemon answered on ${path} within ${timeoutMs} ms`));
      }, timeoutMs);
      const hello: Hello = {
        versionMin: PROTOCOL_VERSION_MIN,
        versionMax: PROTOCOL_VERSION_MAX,
        name,
      };
      socket.write(encodeFrame(UNVERSIONED, FRAME.HELLO, 0, packControl(hello)));
      socket.on('error', (cause: NodeJS.ErrnoException) => fail(connectError(path, cause)));
      socket.on('close', () => {
        fail(new PinfoldError('ECONNRESET', `the daemon on ${path} closed the connection`));
      });
    });
  }

  get isUp(): boolean {
    return this.#failure === null;
  }

  /**
   * Sends a data request. `target` takes the data of a READ, `payload` is that of a WRITE: leave them alone until the end.
   * @returns bytes read, or written
   */
  request(
    type: number,
    flags: number,
    handle: number,
    offset: number,
    length: number,
    payload: Uint8Array | null,
    target: Uint8Array | null,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#send(
        new Pending(
          type,
          flags,
          handle,
          offset,
          length,
          payload,
          target,
          false,
          signal,
          resolve,
          reject,
        ),
      );
    });
  }

  /** Calls a method and checks its result. */
  async call<Params, Result>(
    method: Method<Params, Result>,
    params: Params,
    signal?: AbortSignal,
  ): Promise<Result> {
    const payload = packControl({ method: method.name, params });
    const urgent = GIVING_BACK.includes(method.name);
    const answer = await new Promise<unknown>((resolve, reject) => {
      const done = (_length: number, control: unknown): void => resolve(control);
      this.#send(new Pending(FRAME.CALL, 0, 0, 0, 0, payload, null, urgent, signal, done, reject));
    });
    const result = method.result.safeParse(answer);
    if (result.success) return result.data;
    throw new PinfoldError('EBADMSG', `the daemon's answer to ${method.name} is malformed`, {
      cause: result.error,
    });
  }

  /** Ends the connection; what is in flight is rejected. */
  async close(): Promise<void> {
    this.#writer.flush();
    const closed = new Promise((resolve) => this.#socket.once('close', resolve));
    this.#socket.end();
    if (!this.#socket.destroyed) await closed;
  }

  #send(pending: Pending): void {
    const { signal } = pending;
    if (this.#failure !== null) {
      pending.reject(this.#failure);
      return;
    }
    if (signal !== undefined) {
      if (signal.aborted) {
        pending.reject(aborted(signal));
        return;
      }
      pending.onAbort = () => this.#abort(pending);
      signal.addEventListener('abort', pending.onAbort, { once: true });
    }
    const mayPass = pending.urgent || this.#waiting.length === 0;
    if (mayPass && this.#hasRoom(pending)) this.#start(pending);
    else this.#waiting.push(pending);
  }

  #hasRoom(pending: Pending): boolean {
    const { requestsInFlight, bytesInFlight } = this.welcome.limits;
    const reserved = pending.urgent ? 0 : Math.min(RESERVED_REQUESTS, requestsInFlight >> 1);
    if (this.#inFlight.size === 0) return true;
    return (
      this.#inFlight.size + reserved < requestsInFlight &&
      this.#bytesInFlight + pending.bytes <= bytesInFlight
    );
  }

  #start(pending: Pending): void {
    let id = this.#nextId;
    while (this.#inFlight.has(id)) id = id >= 0xffffffff ? 1 : id + 1;
    this.#nextId = id >= 0xffffffff ? 1 : id + 1;
    pending.id = id;
    this.#inFlight.set(id, pending);
    this.#bytesInFlight += pending.bytes;
    const { type, flags, handle, offset, length, payload } = pending;
    const payloadBytes = payload?.byteLength ?? 0;
    const place = this.#writer.append(type, flags, id, handle, offset, length, payloadBytes);
    if (payload !== null) place.set(payload);
    this.#writer.schedule(); // all that is asked for in this turn goes out together
  }

  #abort(pending: Pending): void {
    if (pending.id !== 0) {
      // The daemon's answer ends it: it alone knows whether the request was carried out.
      this.#writer.append(FRAME.CANCEL, 0, pending.id, 0, 0, 0, 0);
      this.#writer.schedule(); // all that is asked for in this turn goes out together
      return;
    }
    this.#waiting = this.#waiting.filter((other) => other !== pending);
    if (pending.signal !== undefined) pending.reject(aborted(pending.signal));
  }

  #take(): void {
    const { header, payload } = this.#reader;
    if (header.type === FRAME.EVENT) {
      this.events.event(eventSchema.parse(unpackControl(payload)));
      return;
    }
    if (header.type === FRAME.ERROR && header.requestId === 0) throw parseError(payload);
    const pending = this.#inFlight.get(header.requestId);
    if (pending === undefined) {
      throw new PinfoldError(
        'EPROTO',
        `a reply to request ${header.requestId}, which was not made`,
      );
    }
    this.#finish(pending);
    if (header.type === FRAME.ERROR) {
      const error = parseError(payload);
      const { signal } = pending;
      const wasAborted = error.code === 'EINTR' && signal?.aborted === true;
      pending.reject(wasAborted ? new AbortError(bare(error), { cause: signal.reason }) : error);
    } else if ((header.flags & FLAG.CONTROL) !== 0) {
      pending.resolve(header.length, unpackControl(payload));
    } else {
      if (payload.byteLength > (pending.target?.byteLength ?? 0)) {
        throw new PinfoldError('EPROTO', `a reply of ${payload.byteLength} bytes that is too long`);
      }
      pending.target?.set(payload);
      pending.resolve(header.length, null);
    }
  }

  #finish(pending: Pending): void {
    this.#inFlight.delete(pending.id);
    this.#bytesInFlight -= pending.bytes;
    this.#unlisten(pending);
    let next = this.#waiting.at(0);
    while (next !== undefined && this.#hasRoom(next)) {
      this.#waiting.shift();
      this.#start(next);
      next = this.#waiting.at(0);
    }
  }

  #unlisten(pending: Pending): void {
    if (pending.onAbort !== null) pending.signal?.removeEventListener('abort', pending.onAbort);
  }

  #down(error: PinfoldError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    const lost = [...this.#inFlight.values(), ...this.#waiting];
    this.#inFlight.clear();
    this.#waiting = [];
    for (const pending of lost) {
      this.#unlisten(pending);
      const started = pending.id !== 0;
      pending.reject(
        new PinfoldError(
          error.code,
          `${bare(error)}${started ? '; the request may or may not have been carried out' : ''}`,
          { cause: error },
        ),
      );
    }
    this.events.down(error);
  }
}

function parseWelcome(reader: FrameReader): Welcome {
  if (reader.header.type === FRAME.ERROR) throw parseError(reader.payload);
  if (reader.header.type !== FRAME.WELCOME) {
    throw new PinfoldError('EPROTO', `a frame of type ${reader.header.type} instead of WELCOME`);
  }
  return welcomeSchema.parse(unpackControl(reader.payload));
}

/** The error that an ERROR frame carries. */
export function parseError(payload: Uint8Array): PinfoldError {
  const { code, message } = errorSchema.parse(unpackControl(payload));
  return new PinfoldError(code, message);
}

function bare(error: PinfoldError): string {
  return error.message.replace(`${error.code}: `, '');
}

function aborted(signal: AbortSignal): AbortError {
  return new AbortError('withdrawn before it was sent', { cause: signal.reason });
}

function asPinfoldError(error: unknown): PinfoldError {
  if (error instanceof PinfoldError) return error;
  return new PinfoldError('EBADMSG', 'the daemon sent something malformed', { cause: error });
}

function connectError(path: string, cause: NodeJS.ErrnoException): PinfoldError {
  if (cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED') {
    return new PinfoldError(
      'ECONNREFUSED',
      `no daemon listens on ${path}: start \`pinfold serve\``,
      {
        cause,
      },
    );
  }
  if (cause.code === 'EACCES') {
    return new PinfoldError('EACCES', `the socket ${path} belongs to another user`, { cause });
  }
  return new PinfoldError('ECONNRESET', `the connection to ${path} broke: ${cause.message}`, {
    cause,
  });
}
