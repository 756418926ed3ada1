// A disk over a backing file: the system calls run in a thread of its own, fed in batches.
//
// Data passes through staging memory that both threads see, in slots; a longer transfer takes several. While all slots
// are taken, transfers wait in order.

import { Worker } from 'node:worker_threads';
import {
  closeDescriptor,
  fileStatus,
  lockFile,
  NativeError,
  openFile,
  truncateFile,
} from '../native/index.js';
import { checkDiskRange, checkDiskWritable, type Disk, type DiskStorage } from './disk.js';
import { batchReplySchema, OPERATION } from './file-disk-messages.js';
import { PinfoldError } from './protocol/errors.js';
import { PAGE_BYTES } from './protocol/limits.js';

const SLOT_BYTES = 64 * 1024;
const SLOTS = 128;

interface Piece {
  readonly operation: number;
  readonly offset: number;
  readonly length: number;
  /** What is written, or where to put what is read; null if no data moves. */
  readonly data: Uint8Array | null;
  readonly signal: AbortSignal | null;
  readonly done: (error: Error | null) => void;
  slot: number;
}

export class FileDisk implements Disk {
  readonly label: string;
  readonly cache = null;
  readonly inline = null;
  readonly #staging = new Uint8Array(new SharedArrayBuffer(SLOTS * SLOT_BYTES));
  readonly #freeSlots = Array.from({ length: SLOTS }, (_, i) => i);
  readonly #waiting: Piece[] = [];
  readonly #sent = new Map<number, Piece>();
  #nextId = 1;
  #batch: number[] = [];
  readonly #worker: Worker;
  #failure: Error | null = null;

  private constructor(
    readonly name: string,
    readonly sizeBytes: number,
    readonly backing: string,
    private readonly fd: number,
    readonly readOnly: boolean,
  ) {
    this.label = `disk ${name}`;
    this.#worker = new Worker(new URL('./file-disk-worker.js', import.meta.url), {
      workerData: { fd, sizeBytes, label: this.label, staging: this.#staging.buffer },
    });
    this.#worker.on('message', (message) => this.#onReply(message));
    this.#worker.on('error', (error) => this.#onFailure(error));
  }

  /**
   * @param sizeBytes null: as large as the file is
   * @throws PinfoldError EBUSY 'lock held by pid N', EINVAL for a file of another size, ENOENT; NativeError
   */
  static open(name: string, path: string, sizeBytes: number | null, readOnly = false): FileDisk {
    const fd = openBacking(name, path, sizeBytes !== null, readOnly);
    try {
      const lock = lockFile(fd);
      if (!lock.locked) {
        const holder = lock.pid === null ? 'another process' : `pid ${lock.pid}`;
        throw new PinfoldError(
          'EBUSY',
          `the backing file ${path} of disk ${name} is in use: lock held by ${holder}`,
        );
      }
      return new FileDisk(name, prepareSize(name, path, fd, sizeBytes), path, fd, readOnly);
    } catch (error) {
      closeDescriptor(fd);
      throw error;
    }
  }

  get storage(): DiskStorage {
    return { kind: 'file', fd: this.fd };
  }

  checkRead(offset: number, lengthBytes: number): void {
    checkDiskRange(this, 'read', offset, lengthBytes, 'EINVAL');
  }

  checkWrite(offset: number, lengthBytes: number): void {
    checkDiskWritable(this, 'write');
    checkDiskRange(this, 'write', offset, lengthBytes, 'ENOSPC');
  }

  async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<number> {
    await this.#transfer(OPERATION.READ, offset, target, signal);
    return target.byteLength;
  }

  async write(
    offset: number,
    data: Uint8Array,
    fua: boolean,
    signal: AbortSignal,
  ): Promise<number> {
    await this.#transfer(fua ? OPERATION.WRITE_FUA : OPERATION.WRITE, offset, data, signal);
    return data.byteLength;
  }

  async flush(signal: AbortSignal | null = null): Promise<void> {
    await this.#request(OPERATION.FLUSH, 0, 0, null, signal);
  }

  async discard(offset: number, lengthBytes: number, signal: AbortSignal): Promise<void> {
    checkDiskWritable(this, 'discard');
    checkDiskRange(this, 'discard', offset, lengthBytes, 'EINVAL');
    await this.#request(OPERATION.DISCARD, offset, lengthBytes, null, signal);
  }

  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      const ended = new Promise((resolve) => this.#worker.once('exit', resolve));
      this.#worker.postMessage(null);
      await ended;
      this.#failure ??= new PinfoldError('ESHUTDOWN', `${this.label} is closed`);
      closeDescriptor(this.fd);
    }
  }

  async #transfer(
    operation: number,
    offset: number,
    data: Uint8Array,
    signal: AbortSignal,
  ): Promise<void> {
    const pieces: Promise<void>[] = [];
    for (let done = 0; done < data.byteLength; done += SLOT_BYTES) {
      const part = data.subarray(done, done + SLOT_BYTES);
      pieces.push(this.#request(operation, offset + done, part.byteLength, part, signal));
    }
    // All of them end before this does: a piece in flight may still use the buffer.
    const results = await Promise.allSettled(pieces);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #request(
    operation: number,
    offset: number,
    length: number,
    data: Uint8Array | null,
    signal: AbortSignal | null,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: Error | null): void => {
        if (error === null) resolve();
        else reject(error);
      };
      this.#waiting.push({ operation, offset, length, data, signal, done, slot: -1 });
      this.#startWaiting();
    });
  }

  /** Gives slots to those that wait for them, in order. */
  #startWaiting(): void {
    for (let piece = this.#waiting.at(0); piece !== undefined; piece = this.#waiting.at(0)) {
      if (this.#failure !== null) {
        piece.done(this.#failure);
      } else if (piece.signal?.aborted === true) {
        piece.done(new PinfoldError('EINTR', `withdrawn before ${this.label} began with it`));
      } else if (piece.data !== null && this.#freeSlots.length === 0) {
        return;
      } else {
        this.#send(piece);
      }
      this.#waiting.shift();
    }
  }

  #send(piece: Piece): void {
    let at = 0;
    if (piece.data !== null) {
      piece.slot = this.#freeSlots.pop() ?? -1;
      at = piece.slot * SLOT_BYTES;
      if (piece.operation !== OPERATION.READ) this.#staging.set(piece.data, at);
    }
    const id = this.#nextId++;
    this.#sent.set(id, piece);
    if (this.#batch.length === 0) {
      queueMicrotask(() => {
        this.#worker.postMessage(Float64Array.from(this.#batch));
        this.#batch = [];
      });
    }
    this.#batch.push(id, piece.operation, at, piece.offset, piece.length);
  }

  #onReply(message: unknown): void {
    const { ids, errors } = batchReplySchema.parse(message);
    ids.forEach((id, i) => {
      const piece = this.#sent.get(id);
      if (piece === undefined) return;
      this.#sent.delete(id);
      if (piece.slot >= 0) {
        if (piece.operation === OPERATION.READ) {
          const at = piece.slot * SLOT_BYTES;
          piece.data?.set(this.#staging.subarray(at, at + piece.length));
        }
        this.#freeSlots.push(piece.slot);
      }
      const error = errors.at(i) ?? null;
      piece.done(error === null ? null : new NativeError(error.code, 'disk', error.message));
    });
    this.#startWaiting();
  }

  #onFailure(error: Error): void {
    this.#failure = new PinfoldError('EIO', `the thread of ${this.label} ended: ${error.message}`);
    for (const piece of this.#sent.values()) piece.done(this.#failure);
    this.#sent.clear();
    this.#startWaiting();
  }
}

/** @throws PinfoldError ENOENT for a file that is not there, and is not to be made */
function openBacking(name: string, path: string, hasSize: boolean, readOnly: boolean): number {
  try {
    return openFile(path, { create: hasSize && !readOnly, readOnly });
  } catch (error) {
    if (!(error instanceof NativeError && error.code === 'ENOENT') || (hasSize && !readOnly))
      throw error;
    const advice = readOnly ? 'make it first' : 'give a size, and it is made, or make it first';
    throw new PinfoldError(
      'ENOENT',
      `the backing file ${path} of disk ${name} does not exist: ${advice}`,
      { cause: error },
    );
  }
}

function prepareSize(name: string, path: string, fd: number, sizeBytes: number | null): number {
  const { sizeBytes: have } = fileStatus(fd);
  if (sizeBytes === null) {
    if (have >= PAGE_BYTES && have % PAGE_BYTES === 0) return have;
    throw new PinfoldError(
      'EINVAL',
      `the backing file ${path} of disk ${name} has ${have} bytes, expected a multiple of ${PAGE_BYTES}: give size=`,
    );
  }
  if (have === sizeBytes) return sizeBytes;
  if (have !== 0) {
    throw new PinfoldError(
      'EINVAL',
      `the backing file ${path} of disk ${name} has ${have} bytes, but size=${sizeBytes} was asked for: ` +
        'leave size away, or name a new file',
    );
  }
  truncateFile(fd, sizeBytes);
  return sizeBytes;
}
