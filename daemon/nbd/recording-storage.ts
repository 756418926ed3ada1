// A storage that tells a recorder what happens to it. Payload passes through memory of the connection, for the recording.

import type { Arena } from '../../native/index.js';
import { ERROR } from './protocol.js';
import type { Replies, Request } from './replies.js';
import type { Clock, Storage } from './storage.js';

const BUFFER_BYTES_MIN = 256 * 1024;

/** Who is told: ids are for all connections of the disk. */
export interface Witness {
  nextId(): number;
  written(
    id: number,
    connection: number,
    offset: number,
    length: number,
    fua: boolean,
    payload: Uint8Array | 'zeroes' | 'trim',
  ): void;
  replied(id: number, fua: boolean): void;
  flush(id: number, connection: number): void;
  flushed(id: number, ok: boolean): void;
}

export class RecordingStorage implements Storage {
  readonly pieceBytesMax: number;
  readonly receives = false;
  readonly endsAtOnce = false;
  #writeId = 0;
  /** The base's ids of writes that were not replied to, and whether FUA was asked for. */
  readonly #unreplied = new Map<number, { readonly base: number; fua: boolean }>();
  /** Pieces of a TRIM or WRITE_ZEROES that is under way. */
  readonly #zeroed: number[] = [];
  #payload = new Uint8Array(BUFFER_BYTES_MIN);
  #offset = 0;
  #received = 0;

  constructor(
    private readonly base: Storage,
    private readonly recorder: Witness,
    private readonly connection: number,
    private readonly keepsAborted: boolean,
  ) {
    this.pieceBytesMax = base.pieceBytesMax;
  }

  get arena(): Arena {
    return this.base.arena;
  }

  get clock(): Clock {
    return this.base.clock;
  }

  set clock(clock: Clock) {
    this.base.clock = clock;
  }

  begin(request: Request): number {
    return this.base.begin(request);
  }

  canRead(length: number, replies: Replies): boolean {
    return this.base.canRead(length, replies);
  }

  read(offset: number, length: number, replies: Replies): number {
    return this.base.read(offset, length, replies);
  }

  copy(offset: number, target: Uint8Array): number {
    return this.base.copy(offset, target);
  }

  canWrite(length: number): boolean {
    return this.base.canWrite(length);
  }

  beginWrite(offset: number, length: number): number {
    this.#offset = offset;
    this.#received = 0;
    if (length > this.#payload.length) this.#payload = new Uint8Array(length);
    return this.base.beginWrite(offset, length);
  }

  receive(): number {
    throw new RangeError('only store() takes payload');
  }

  store(at: number, bytes: Uint8Array, from: number, until: number): number {
    const error = this.base.store(at, bytes, from, until);
    if (error !== ERROR.NONE) return error;
    this.#payload.set(bytes.subarray(from, until), at - this.#offset);
    this.#received = at - this.#offset + until - from;
    return ERROR.NONE;
  }

  endWrite(fua: boolean): number {
    const before = this.base.writeId;
    const error = this.base.endWrite(fua);
    if (error === ERROR.NONE) {
      this.#writeId = this.#note(fua);
      this.#tell(this.#writeId, fua);
    } else if (this.keepsAborted || this.base.writeId !== before) {
      // It is visible, but not durable.
      this.#tell(this.recorder.nextId(), false);
    }
    return error;
  }

  abortWrite(): void {
    this.base.abortWrite();
    // As if its reply had not come yet.
    if (this.keepsAborted && this.#received > 0) this.#tell(this.recorder.nextId(), false);
  }

  #tell(id: number, fua: boolean): void {
    const payload = this.#payload.subarray(0, this.#received);
    this.recorder.written(id, this.connection, this.#offset, payload.length, fua, payload);
  }

  #note(fua: boolean): number {
    const id = this.recorder.nextId();
    this.#unreplied.set(id, { base: this.base.writeId, fua });
    return id;
  }

  flush(): number {
    const id = this.recorder.nextId();
    this.recorder.flush(id, this.connection);
    const error = this.base.flush();
    this.recorder.flushed(id, error === ERROR.NONE);
    return error;
  }

  zero(offset: number, length: number, keepBlocks: boolean, fast: boolean, trim: boolean): number {
    const error = this.base.zero(offset, length, keepBlocks, fast, trim);
    if (error !== ERROR.NONE) return error;
    this.#writeId = this.#note(false);
    this.#zeroed.push(this.#writeId);
    const kind = trim ? 'trim' : 'zeroes';
    this.recorder.written(this.#writeId, this.connection, offset, length, false, kind);
    return ERROR.NONE;
  }

  endZero(fua: boolean): number {
    const error = this.base.endZero(fua);
    for (const id of this.#zeroed.splice(0)) {
      const write = this.#unreplied.get(id);
      if (write !== undefined) write.fua = fua && error === ERROR.NONE;
    }
    return error;
  }

  zeroesFast(keepBlocks: boolean): boolean {
    return this.base.zeroesFast(keepBlocks);
  }

  dataFrom(offset: number): number {
    return this.base.dataFrom(offset);
  }

  holeFrom(offset: number): number {
    return this.base.holeFrom(offset);
  }

  get writeId(): number {
    return this.#writeId;
  }

  beginReplies(): void {
    this.base.beginReplies();
  }

  endReplies(): void {
    this.base.endReplies();
  }

  replied(writeId: number): void {
    const write = this.#unreplied.get(writeId);
    // It is of a storage that the connection used before.
    if (write === undefined) return;
    this.#unreplied.delete(writeId);
    if (write.base !== 0) this.base.replied(write.base);
    this.recorder.replied(writeId, write.fua);
  }

  close(): void {
    this.base.close();
  }
}
