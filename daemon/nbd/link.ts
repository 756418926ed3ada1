// The daemon as a client of its own disks' thread: NBD with extended headers over a pair of sockets, so that a request of an
// IPC client meets all that an NBD client's meets.

import { Socket } from 'node:net';
import { type ErrorCode, PinfoldError } from '../protocol/errors.js';
import {
  BYTES,
  CHUNK,
  CHUNK_DONE,
  COMMAND,
  COMMAND_FLAG,
  ERROR,
  getUint16,
  getUint32,
  getUint64,
  MAGIC,
  putUint16,
  putUint32,
  putUint64,
} from './protocol.js';

const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [ERROR.EPERM, 'EROFS'],
  [ERROR.EIO, 'EIO'],
  [ERROR.ENOMEM, 'ENOMEM'],
  [ERROR.ENOMEM, 'ENOMEM'],
  [ERROR.EINVAL, 'EINVAL'],
  [ERROR.ENOSPC, 'ENOSPC'],
  [ERROR.EOVERFLOW, 'EOVERFLOW'],
  [ERROR.ENOTSUP, 'EOPNOTSUPP'],
  [ERROR.ESHUTDOWN, 'ESHUTDOWN'],
]);

interface Pending {
  /** Where to put what is read; null if it was withdrawn, or nothing is. */
  target: Uint8Array | null;
  readonly what: string;
  error: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class DiskLink {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #lastCookie = 0;
  /** What was received and is not a whole chunk yet. */
  #received: Buffer[] = [];
  #receivedBytes = 0;
  #ended = false;

  /** @param fd from NbdServer.connect(), taken over */
  constructor(
    fd: number,
    private readonly label: string,
  ) {
    this.#socket = new Socket({ fd });
    this.#socket.on('data', (bytes) => this.#onData(bytes));
    this.#socket.on('error', () => undefined); // 'close' follows
    this.#socket.on('close', () => this.#onClose());
  }

  /** The thread has closed it: the disk lost power, or the daemon stops. */
  get ended(): boolean {
    return this.#ended;
  }

  async read(offset: number, target: Uint8Array, signal: AbortSignal | null): Promise<void> {
    const { READ } = COMMAND;
    await this.#request(READ, COMMAND_FLAG.DF, offset, target.byteLength, null, target, signal);
  }

  async write(
    offset: number,
    data: Uint8Array,
    fua: boolean,
    signal: AbortSignal | null,
  ): Promise<void> {
    const flags = COMMAND_FLAG.PAYLOAD_LEN | (fua ? COMMAND_FLAG.FUA : 0);
    await this.#request(COMMAND.WRITE, flags, offset, data.byteLength, data, null, signal);
  }

  async flush(signal: AbortSignal | null): Promise<void> {
    await this.#request(COMMAND.FLUSH, 0, 0, 0, null, null, signal);
  }

  /** By WRITE_ZEROES: it reads as zeroes afterwards. */
  async discard(offset: number, lengthBytes: number, signal: AbortSignal | null): Promise<void> {
    await this.#request(COMMAND.WRITE_ZEROES, 0, offset, lengthBytes, null, null, signal);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #request(
    type: number,
    flags: number,
    offset: number,
    length: number,
    data: Uint8Array | null,
    target: Uint8Array | null,
    signal: AbortSignal | null,
  ): Promise<void> {
    const what = `the request at offset ${offset} of ${this.label}`;
    if (this.#ended) throw new PinfoldError('EIO', `${what}: its link has ended`);
    if (signal?.aborted === true) throw new PinfoldError('EINTR', `${what} was withdrawn`);
    let withdraw = (): void => undefined;
    const answered = new Promise<void>((resolve, reject) => {
      const cookie = ++this.#lastCookie;
      const pending: Pending = { target, what, error: ERROR.NONE, resolve, reject };
      this.#pending.set(cookie, pending);
      withdraw = (): void => {
        // Its answer is still to come, but nobody waits for it.
        pending.target = null;
        reject(new PinfoldError('EINTR', `${what} was withdrawn`));
      };
      const header = new Uint8Array(BYTES.EXTENDED_REQUEST);
      putUint32(header, 0, MAGIC.EXTENDED_REQUEST);
      putUint16(header, 4, flags);
      putUint16(header, 6, type);
      putUint64(header, 8, cookie);
      putUint64(header, 16, offset);
      putUint64(header, 24, length);
      this.#socket.cork();
      this.#socket.write(header);
      if (data !== null) this.#socket.write(data);
      this.#socket.uncork();
    });
    signal?.addEventListener('abort', withdraw, { once: true });
    try {
      await answered;
    } finally {
      signal?.removeEventListener('abort', withdraw);
    }
  }

  #onData(bytes: Buffer): void {
    this.#received.push(bytes);
    this.#receivedBytes += bytes.length;
    // A large chunk comes in many pieces: they are put together once.
    while (this.#receivedBytes >= BYTES.EXTENDED_CHUNK) {
      const first = this.#gather(BYTES.EXTENDED_CHUNK);
      const length = getUint64(first, 24);
      if (this.#receivedBytes < BYTES.EXTENDED_CHUNK + length) return;
      const all = this.#gather(BYTES.EXTENDED_CHUNK + length);
      const rest = all.subarray(BYTES.EXTENDED_CHUNK + length);
      this.#received = rest.length > 0 ? [rest] : [];
      this.#receivedBytes = rest.length;
      this.#onChunk(all, all.subarray(BYTES.EXTENDED_CHUNK, BYTES.EXTENDED_CHUNK + length));
    }
  }

  /** The first buffer, which has at least so many bytes then. */
  #gather(bytes: number): Buffer {
    const first = this.#received.at(0);
    if (first !== undefined && first.length >= bytes) return first;
    const all = Buffer.concat(this.#received);
    this.#received = [all];
    return all;
  }

  #onChunk(header: Uint8Array, payload: Uint8Array): void {
    const cookie = getUint64(header, 8);
    const pending = this.#pending.get(cookie);
    if (getUint32(header, 0) !== MAGIC.EXTENDED_CHUNK || pending === undefined) {
      throw new RangeError(`the disks' thread has answered ${this.label} with no known reply`);
    }
    const type = getUint16(header, 6);
    if (type === CHUNK.OFFSET_DATA) pending.target?.set(payload.subarray(8));
    if (type === CHUNK.ERROR) pending.error = getUint32(payload, 0);
    if ((getUint16(header, 4) & CHUNK_DONE) === 0) return;
    this.#pending.delete(cookie);
    if (pending.error === ERROR.NONE) pending.resolve();
    else pending.reject(failure(pending));
  }

  #onClose(): void {
    this.#ended = true;
    for (const { what, reject } of this.#pending.values()) {
      reject(new PinfoldError('EIO', `${what} was not answered: the disk lost power, or it stops`));
    }
    this.#pending.clear();
  }
}

function failure({ error, what }: Pending): PinfoldError {
  const code = CODES.get(error) ?? 'EIO';
  return new PinfoldError(code, `${what} failed: the disk says ${code}`);
}
