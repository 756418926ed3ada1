// The main thread's end of the channel to the disks' thread: does what NBD clients ask of files of volumes, and has backing
// files of disks made durable.

import { setMaxListeners } from 'node:events';
import { fdatasync } from 'node:fs';
import { promisify } from 'node:util';
import type { MessagePort } from 'node:worker_threads';
import type { WakeEvent } from '../../native/index.js';
import type { FileExport } from '../file-export.js';
import type { ErrorCode } from '../protocol/errors.js';
import { toWireError } from '../wire-error.js';
import { EXTENTS_MAX, REMOTE_TURN_BYTES } from './limits.js';
import { ERROR } from './protocol.js';
import { EXTENT_NUMBERS, OPERATION, openingSchema, REQUEST_NUMBERS } from './remote-messages.js';

/** What a request costs, in bytes, beside those that it moves. */
const REQUEST_BYTES = 4096;

const ERRORS: ReadonlyMap<ErrorCode, number> = new Map<ErrorCode, number>([
  ['ENOSPC', ERROR.ENOSPC],
  ['EFBIG', ERROR.ENOSPC],
  ['EROFS', ERROR.EPERM],
  ['EOPNOTSUPP', ERROR.ENOTSUP],
  ['ESHUTDOWN', ERROR.ESHUTDOWN],
]);

/** In a thread of libuv's pool. */
const syncFile = promisify(fdatasync);

interface Client {
  readonly exported: FileExport;
  readonly staging: Uint8Array;
  readonly gone: AbortController;
}

export class RemoteServer {
  readonly #clients = new Map<number, Client>();
  readonly #exports: ReadonlyMap<string, FileExport>;
  /** Requests that wait for a turn, REQUEST_NUMBERS each, and where the next one is. */
  #queue: number[] = [];
  #next = 0;
  #turnComes = false;
  #replies: number[] = [];
  #closed = false;

  /**
   * @param wake of the disks' thread
   * @param fatal called with a defect of ours
   */
  constructor(
    private readonly port: MessagePort,
    exports: readonly FileExport[],
    private readonly wake: WakeEvent,
    private readonly fatal: (error: unknown) => void,
  ) {
    this.#exports = new Map(exports.map((each) => [each.name, each]));
    port.on('message', (message) => this.#onMessage(message));
  }

  /** After the disks' thread has ended. */
  close(): void {
    this.#closed = true;
    for (const { gone } of this.#clients.values()) gone.abort();
    this.#clients.clear();
    this.port.close();
  }

  #onMessage(message: unknown): void {
    if (message instanceof Float64Array) {
      for (const number of message) this.#queue.push(number);
      if (!this.#turnComes) this.#turn();
      return;
    }
    const opening = openingSchema.parse(message);
    if ('close' in opening) {
      this.#clients.get(opening.close)?.gone.abort();
      this.#clients.delete(opening.close);
      return;
    }
    const exported = this.#exports.get(opening.export);
    if (exported === undefined) throw new RangeError(`no export is named ${opening.export}`);
    const gone = new AbortController();
    setMaxListeners(0, gone.signal);
    const staging = new Uint8Array(opening.staging);
    this.#clients.set(opening.open, { exported, staging, gone });
  }

  /** Begins with as many requests as may be copied before others get their turn. */
  #turn(): void {
    this.#turnComes = false;
    for (let bytes = 0; bytes < REMOTE_TURN_BYTES && this.#next < this.#queue.length; ) {
      const [client = 0, piece = 0, operation = 0, place = 0, offset = 0, length = 0] =
        this.#queue.slice(this.#next, this.#next + REQUEST_NUMBERS);
      this.#next += REQUEST_NUMBERS;
      bytes += REQUEST_BYTES + (operation === OPERATION.PUNCH ? 0 : length);
      this.#serve(client, piece, operation, place, offset, length).catch(this.fatal);
    }
    if (this.#next < this.#queue.length) {
      this.#turnComes = true;
      setImmediate(() => this.#turn());
    } else {
      this.#queue = [];
      this.#next = 0;
    }
  }

  async #serve(
    number: number,
    piece: number,
    operation: number,
    place: number,
    offset: number,
    length: number,
  ): Promise<void> {
    const client = this.#clients.get(number);
    let error: number = ERROR.NONE;
    let extents = 0;
    try {
      if (operation === OPERATION.SYNC) await syncFile(offset);
      else if (client === undefined)
        error = ERROR.EIO; // it went away
      else extents = await perform(client, operation, place, offset, length);
    } catch (cause) {
      const told = toWireError(cause);
      if (told === null) throw cause;
      error = ERRORS.get(told.code) ?? ERROR.EIO;
    }
    if (this.#replies.length === 0) queueMicrotask(() => this.#sendReplies());
    this.#replies.push(number, piece, error, extents);
  }

  #sendReplies(): void {
    if (this.#closed) return;
    this.port.postMessage(Float64Array.from(this.#replies));
    this.#replies = [];
    this.wake.signal();
  }
}

/** @returns the number of extents, for OPERATION.EXTENTS */
async function perform(
  { exported, staging, gone: { signal } }: Client,
  operation: number,
  place: number,
  offset: number,
  length: number,
): Promise<number> {
  switch (operation) {
    case OPERATION.READ:
      await exported.read(offset, staging.subarray(place, place + length), signal);
      return 0;
    case OPERATION.WRITE:
      await exported.write(offset, staging.subarray(place, place + length), signal);
      return 0;
    case OPERATION.FLUSH:
      await exported.flush(signal);
      return 0;
    case OPERATION.ZERO:
    case OPERATION.PUNCH:
      await exported.zero(offset, length, operation === OPERATION.ZERO, signal);
      return 0;
    case OPERATION.EXTENTS: {
      const found = await exported.extents(offset, length, EXTENTS_MAX, signal);
      const numbers = new Float64Array(staging.buffer, place, found.length * EXTENT_NUMBERS);
      found.forEach(({ lengthBytes, data }, i) => {
        numbers[i * EXTENT_NUMBERS] = lengthBytes;
        numbers[i * EXTENT_NUMBERS + 1] = data ? 1 : 0;
      });
      return found.length;
    }
    default:
      throw new RangeError(`${operation} is no operation`);
  }
}
