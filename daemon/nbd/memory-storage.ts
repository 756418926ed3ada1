// A plain disk in memory, as a connection reads and writes it: data is sent and received where it lies.

import { Arena, fallocate, nextData, nextHole } from '../../native/index.js';
import { ERROR } from './protocol.js';
import type { Replies } from './replies.js';
import { attempt, extentFrom, PlainStorage, type Storage } from './storage.js';

export class MemoryStorage extends PlainStorage implements Storage {
  readonly pieceBytesMax = Number.MAX_SAFE_INTEGER;
  readonly arena: Arena;
  readonly #views: readonly Uint8Array[];
  readonly #segmentBytes: number;

  constructor(
    private readonly fd: number,
    segments: readonly SharedArrayBuffer[],
    private readonly sizeBytes: number,
  ) {
    super();
    this.#views = segments.map((segment) => new Uint8Array(segment));
    this.#segmentBytes = segments.at(0)?.byteLength ?? 1;
    this.arena = new Arena(this.#views);
  }

  canRead(): boolean {
    return true;
  }

  read(offset: number, length: number, replies: Replies): number {
    replies.data(offset, length);
    return ERROR.NONE;
  }

  copy(offset: number, target: Uint8Array): number {
    for (let at = offset, done = 0; done < target.length; ) {
      const view = this.#views.at(Math.floor(at / this.#segmentBytes));
      if (view === undefined) return ERROR.EIO;
      const within = at % this.#segmentBytes;
      const piece = view.subarray(within, within + target.length - done);
      target.set(piece, done);
      at += piece.length;
      done += piece.length;
    }
    return ERROR.NONE;
  }

  place(at: number): number {
    return at;
  }

  placeBytes(at: number, end: number): number {
    return end - at;
  }

  store(at: number, bytes: Uint8Array, from: number, until: number): number {
    for (let to = at, done = from; done < until; ) {
      const view = this.#views.at(Math.floor(to / this.#segmentBytes));
      if (view === undefined) return ERROR.EIO;
      const within = to % this.#segmentBytes;
      const length = Math.min(until - done, view.byteLength - within);
      view.set(bytes.subarray(done, done + length), within);
      to += length;
      done += length;
    }
    return ERROR.NONE;
  }

  /** What is in memory is as durable as it gets. */
  endWrite(): number {
    return ERROR.NONE;
  }

  flush(): number {
    return ERROR.NONE;
  }

  zero(offset: number, length: number, keepBlocks: boolean): number {
    if (!keepBlocks) return attempt(() => fallocate(this.fd, 'punch', offset, length));
    for (let at = offset; at < offset + length; ) {
      const view = this.#views.at(Math.floor(at / this.#segmentBytes));
      if (view === undefined) return ERROR.EIO;
      const within = at % this.#segmentBytes;
      const piece = Math.min(offset + length - at, view.byteLength - within);
      view.fill(0, within, within + piece);
      at += piece;
    }
    return ERROR.NONE;
  }

  endZero(): number {
    return ERROR.NONE;
  }

  zeroesFast(keepBlocks: boolean): boolean {
    return !keepBlocks;
  }

  dataFrom(offset: number): number {
    return extentFrom(() => nextData(this.fd, offset), offset, this.sizeBytes);
  }

  holeFrom(offset: number): number {
    return extentFrom(() => nextHole(this.fd, offset), this.sizeBytes, this.sizeBytes);
  }
}
