// Records what happens to a disk in a file, from one moment on, in the disks' thread.

import { MARK_BYTES_MAX } from '../../engine/block/recording/format.js';
import { RecordingWriter } from '../../engine/block/recording/writer.js';
import { closeDescriptor, fdatasync, NativeError, openFile } from '../../native/index.js';
import { PinfoldError } from '../protocol/errors.js';
import type { RecordingSummary } from '../protocol/methods.js';
import { ERROR } from './protocol.js';
import { RecordingStorage, type Witness } from './recording-storage.js';
import type { Storage } from './storage.js';

const PIECE_BYTES = 1024 * 1024;

/** A disk as the recorder finds it. */
export interface RecordedDisk {
  readonly sizeBytes: number;
  /** What is a unit and what is atomic; null: the disk says nothing about it. */
  readonly cache: { readonly unitBytes: number; readonly atomicBytes: number } | null;
  /** To read what it holds. */
  readonly storage: Storage;
}

export interface RecordingOptions {
  /** A new file. */
  readonly path: string;
  /** Null: as the disk has it, or 512. */
  readonly unitBytes: number | null;
  readonly garbage: boolean;
  readonly seed: number;
}

/** One recording. Storages of all connections tell it what happens. */
export class Recorder implements Witness {
  readonly unitBytes: number;
  readonly #atomicBytes: number;
  readonly #writer: RecordingWriter;
  #connections = 0;
  #lastId = 0;
  #events = 0;
  #failure: string | null = null;

  private constructor(
    private readonly fd: number,
    disk: RecordedDisk,
    { path, unitBytes, garbage, seed }: RecordingOptions,
  ) {
    const { sizeBytes, cache, storage } = disk;
    this.unitBytes = unitBytes ?? cache?.unitBytes ?? 512;
    this.#atomicBytes = cache?.atomicBytes ?? 0;
    this.#writer = new RecordingWriter(fd, {
      sizeBytes,
      unitBytes: this.unitBytes,
      atomicBytes: this.#atomicBytes,
      startedMs: Date.now(),
      seed,
      garbage,
    });
    const buffer = new Uint8Array(new SharedArrayBuffer(PIECE_BYTES));
    for (let at = storage.dataFrom(0); at < sizeBytes; at = storage.dataFrom(at)) {
      const end = Math.min(storage.holeFrom(at), sizeBytes, at + PIECE_BYTES);
      const piece = buffer.subarray(0, end - at);
      if (storage.copy(at, piece) !== ERROR.NONE)
        throw new PinfoldError(
          'EIO',
          `the disk cannot be read at ${at}, and so ${path} not be begun`,
        );
      this.#writer.extent(at, piece);
      at = end;
    }
    this.#writer.begin();
    this.#writer.drain();
  }

  /**
   * Begins: copies what the disk holds, which counts as durable. The thread does nothing else meanwhile.
   * @throws NativeError EEXIST, ENOENT, EACCES, ENOSPC, ... and nothing is left of the file then
   */
  static start(disk: RecordedDisk, options: RecordingOptions): Recorder {
    const fd = openFile(options.path, { create: true, exclusive: true, mode: 0o600 });
    try {
      return new Recorder(fd, disk, options);
    } catch (error) {
      closeDescriptor(fd);
      throw error;
    }
  }

  /** The storage of one connection, watched. @param keepsAborted what a dying client had sent becomes visible */
  watch(storage: Storage, keepsAborted: boolean): Storage {
    return new RecordingStorage(storage, this, ++this.#connections, keepsAborted);
  }

  nextId(): number {
    return ++this.#lastId;
  }

  /** A write became visible. @param payload null: it reads as zeroes */
  written(
    id: number,
    connection: number,
    offset: number,
    length: number,
    fua: boolean,
    payload: Uint8Array | 'zeroes' | 'trim',
  ): void {
    this.#record((writer) => {
      const data = typeof payload !== 'string';
      const atomic = data && this.#isAtomic(offset, length);
      const range = { id, connection, offset, length, fua, atomic };
      if (data) writer.write(range, [payload]);
      else writer.zeroes(range, payload === 'zeroes');
    });
  }

  /** In whole units, and not across a multiple of the limit: B1, as the cache has it. */
  #isAtomic(offset: number, length: number): boolean {
    const limit = this.#atomicBytes;
    if (limit === 0 || offset % this.unitBytes !== 0 || length % this.unitBytes !== 0) return false;
    return Math.floor(offset / limit) === Math.floor((offset + length - 1) / limit);
  }

  replied(id: number, fua: boolean): void {
    this.#record((writer) => writer.replied(id, fua));
  }

  flush(id: number, connection: number): void {
    this.#record((writer) => writer.flush(id, connection));
  }

  flushed(id: number, ok: boolean): void {
    this.#record((writer) => writer.flushed(id, ok));
  }

  /** @throws PinfoldError EINVAL for a long text */
  mark(text: string): void {
    if (Buffer.byteLength(text) > MARK_BYTES_MAX)
      throw new PinfoldError('EINVAL', `a mark has at most ${MARK_BYTES_MAX} bytes of text`);
    this.#record((writer) => writer.mark(text));
  }

  /** Hands everything to the file: called now and then. */
  drain(): void {
    if (this.#failure === null) this.#attempt(() => this.#writer.drain());
  }

  /** What follows cannot be recorded: ends it in good order, but the summary says why. */
  interrupt(why: string): void {
    if (this.#failure !== null) return;
    this.#attempt(() => this.#writer.end());
    this.#failure ??= why;
  }

  /** Ends the recording. */
  stop(): RecordingSummary {
    if (this.#failure === null) {
      this.#attempt(() => {
        this.#writer.end();
        fdatasync(this.fd);
      });
    }
    closeDescriptor(this.fd);
    return this.summary;
  }

  get summary(): RecordingSummary {
    const { lengthBytes } = this.#writer;
    return { events: this.#events, lengthBytes, failure: this.#failure };
  }

  #record(record: (writer: RecordingWriter) => void): void {
    if (this.#failure !== null) return;
    this.#events++;
    this.#attempt(() => record(this.#writer));
  }

  /** A full file system ends the recording, and nothing else. */
  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
      this.#failure = error.message;
    }
  }
}
