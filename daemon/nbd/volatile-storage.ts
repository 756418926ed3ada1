// A disk with a volatile write cache, as a connection reads and writes it: payload is received into fresh slots of the cache,
// and data is sent from the slots that it lies in, which are pinned until the replies are sent. Other threads may use the
// cache meanwhile, so that all but the payload is done under its lock.

import { SLOT_BYTES, ZERO_SLOTS } from '../../engine/block/cache-slots.js';
import { FOUND, Incoming, type VolatileCache } from '../../engine/block/volatile-cache.js';
import { type Arena, NativeError, nextData, nextHole, preadInto } from '../../native/index.js';
import { REPLY_PIECES, REPLY_ROOM_PIECES, STAGING_BYTES, UNIT_BYTES } from './limits.js';
import { ERROR } from './protocol.js';
import type { Replies } from './replies.js';
import { attempt, type Clock, errorOf, extentFrom, type Storage, WALL } from './storage.js';

const ZERO_BYTES = ZERO_SLOTS * SLOT_BYTES;
/** Pages that a read of STAGING_BYTES touches at most. */
const READ_PAGES_MAX = STAGING_BYTES / SLOT_BYTES + 1;

/** Slots that the replies of one connection pin at most. */
export const PINNED_PAGES_MAX = 2 * READ_PAGES_MAX;

export class VolatileStorage implements Storage {
  clock: Clock = WALL;
  readonly pieceBytesMax = STAGING_BYTES;
  writeId = 0;
  readonly receives = true;
  readonly endsAtOnce = false;
  readonly #incoming = new Incoming();
  /** Pairs of first slot and count. */
  readonly #pinned = new Uint32Array(2 * REPLY_PIECES);
  #pinnedRuns = 0;
  #pinnedPages = 0;
  readonly #loaded = new Uint32Array(READ_PAGES_MAX);
  /** The pieces of a WRITE_ZEROES or TRIM so far. */
  readonly #zeroed: number[] = [];

  /** @param fd of the file that holds the floor, or null */
  constructor(
    private readonly cache: VolatileCache,
    private readonly sizeBytes: number,
    private readonly fd: number | null,
  ) {}

  get arena(): Arena {
    return this.cache.slots.arena;
  }

  begin(): number {
    return ERROR.NONE;
  }

  canRead(length: number, replies: Replies): boolean {
    if (replies.empty && this.#pinnedRuns > 0) {
      this.cache.lock.take();
      try {
        this.#unpin();
      } finally {
        this.cache.lock.release();
      }
    }
    const pieces = Math.ceil(length / SLOT_BYTES) + 1;
    return (
      this.#pinnedPages + pieces <= READ_PAGES_MAX &&
      replies.freePieces >= pieces + REPLY_ROOM_PIECES
    );
  }

  read(offset: number, length: number, replies: Replies): number {
    this.cache.lock.take();
    try {
      return this.#read(offset, offset + length, replies);
    } finally {
      this.cache.lock.release();
    }
  }

  #read(offset: number, end: number, replies: Replies): number {
    const { cache } = this;
    for (let at = offset; at < end; ) {
      const piece = cache.locate(at, end);
      if (cache.found === FOUND.ZEROES) {
        for (let done = 0; done < piece; done += ZERO_BYTES) {
          replies.data(0, Math.min(ZERO_BYTES, piece - done));
        }
      } else if (cache.found === FOUND.SLOTS) {
        const { foundAt } = cache;
        const first = Math.floor(foundAt / SLOT_BYTES);
        this.#pin(first, Math.ceil((foundAt + piece) / SLOT_BYTES) - first);
        replies.data(foundAt, piece);
      } else {
        const error = this.#readFloor(at, at + piece, replies);
        if (error !== ERROR.NONE) return error;
      }
      at += piece;
    }
    return ERROR.NONE;
  }

  copy(offset: number, target: Uint8Array): number {
    const { cache, fd } = this;
    return this.#attempt(() => {
      for (let done = 0; done < target.length; ) {
        const piece = cache.locate(offset + done, offset + target.length);
        const into = target.subarray(done, done + piece);
        if (cache.found === FOUND.ZEROES) into.fill(0);
        else if (cache.found === FOUND.SLOTS) cache.slots.read(cache.foundAt, into);
        else if (fd === null || preadInto(fd, into, offset + done) < piece) {
          throw new NativeError('EIO', 'pread', 'the backing file was truncated');
        }
        done += piece;
      }
    });
  }

  canWrite(length: number): boolean {
    return this.cache.hasRoom(length);
  }

  beginWrite(offset: number, length: number): number {
    const { lock } = this.cache;
    lock.take();
    try {
      return this.cache.begin(this.#incoming, offset, length) ? ERROR.NONE : ERROR.ENOMEM;
    } finally {
      lock.release();
    }
  }

  receive(
    fd: number,
    at: number,
    end: number,
    buffer: Uint8Array,
    ahead: number,
    patienceUs: number,
  ): number {
    const { slots } = this.#incoming;
    const first = this.#incoming.firstByte;
    return this.arena.receivePages(
      fd,
      slots,
      at - first,
      end - first,
      UNIT_BYTES,
      buffer,
      0,
      ahead,
      patienceUs,
    );
  }

  store(at: number, bytes: Uint8Array, from: number, until: number): number {
    const incoming = this.#incoming;
    while (from < until) {
      const length = incoming.placeBytes(at, at + until - from);
      this.cache.slots.write(incoming.place(at), bytes, from, from + length);
      at += length;
      from += length;
    }
    return ERROR.NONE;
  }

  endWrite(fua: boolean): number {
    const { lock } = this.cache;
    lock.take();
    try {
      this.writeId = this.cache.commit(this.#incoming);
      if (fua) this.cache.fua(this.writeId);
      return ERROR.NONE;
    } catch (error) {
      return errorOf(error);
    } finally {
      lock.release();
    }
  }

  abortWrite(): void {
    this.cache.lock.hold(() => this.cache.abort(this.#incoming));
  }

  flush(): number {
    const { cache } = this;
    cache.lock.awaitReplies();
    return this.#attempt(() => cache.flush(cache.flushBegins()));
  }

  zero(offset: number, length: number, keepBlocks: boolean, _fast: boolean, trim: boolean): number {
    const error = keepBlocks
      ? this.#writeZeroes(offset, length)
      : this.#attempt(() => {
          this.writeId = this.cache.zero(trim, offset, length);
        });
    if (error === ERROR.NONE) this.#zeroed.push(this.writeId);
    else this.#zeroed.length = 0;
    return error;
  }

  endZero(fua: boolean): number {
    const error = this.#attempt(() => {
      if (fua) for (const id of this.#zeroed) this.cache.fua(id);
    });
    this.#zeroed.length = 0;
    return error;
  }

  zeroesFast(keepBlocks: boolean): boolean {
    return !keepBlocks;
  }

  dataFrom(offset: number): number {
    return this.cache.lock.hold(() => this.#dataFrom(offset));
  }

  #dataFrom(offset: number): number {
    const { cache, sizeBytes, fd } = this;
    for (let at = offset; at < sizeBytes; ) {
      // Not how far data goes, which may be the whole disk.
      cache.locate(at, at + 1);
      if (cache.found === FOUND.SLOTS) return at;
      const end = at + cache.locate(at, sizeBytes);
      if (cache.found === FOUND.FLOOR && fd !== null) {
        const from = at;
        const data = extentFrom(() => nextData(fd, from), from, sizeBytes);
        if (data < end) return data;
      }
      at = end;
    }
    return sizeBytes;
  }

  holeFrom(offset: number): number {
    return this.cache.lock.hold(() => this.#holeFrom(offset));
  }

  #holeFrom(offset: number): number {
    const { cache, sizeBytes, fd } = this;
    for (let at = offset; at < sizeBytes; ) {
      const end = at + cache.locate(at, sizeBytes);
      if (cache.found === FOUND.ZEROES) return at;
      if (cache.found === FOUND.FLOOR && fd !== null) {
        const from = at;
        const hole = extentFrom(() => nextHole(fd, from), sizeBytes, sizeBytes);
        if (hole < end) return hole;
      }
      at = end;
    }
    return sizeBytes;
  }

  beginReplies(): void {
    this.cache.lock.beginReplies();
  }

  replied(writeId: number): void {
    const { lock } = this.cache;
    lock.take();
    try {
      this.cache.replied(writeId);
    } finally {
      lock.release();
    }
  }

  endReplies(): void {
    this.cache.lock.endReplies();
  }

  close(): void {
    this.abortWrite();
    this.cache.lock.hold(() => this.#unpin());
  }

  /** Under the lock. */
  #attempt(action: () => void): number {
    return attempt(() => this.cache.lock.hold(action));
  }

  /** Data of the file comes into slots that are free again once it was sent. */
  #readFloor(at: number, end: number, replies: Replies): number {
    const { slots } = this.cache;
    const first = Math.floor(at / SLOT_BYTES);
    const count = Math.ceil(end / SLOT_BYTES) - first;
    const loaded = this.#loaded;
    for (let i = 0; i < count; i++) loaded[i] = slots.take();
    const error = attempt(() => this.cache.load(first, loaded, count));
    for (let from = 0; from < count; ) {
      let until = from + 1;
      while (until < count && loaded[until] === loaded[until - 1] + 1) until++;
      if (error === ERROR.NONE) {
        this.#pin(loaded[from], until - from);
        const start = Math.max(at, (first + from) * SLOT_BYTES);
        const stop = Math.min(end, (first + until) * SLOT_BYTES);
        replies.data(loaded[from] * SLOT_BYTES + (start % SLOT_BYTES), stop - start);
      }
      from = until;
    }
    for (let i = 0; i < count; i++) slots.release(loaded[i], false);
    slots.settle();
    return error;
  }

  /** With NO_HOLE: zeroes that take memory, as data does. */
  #writeZeroes(offset: number, length: number): number {
    const error = this.beginWrite(offset, length);
    if (error !== ERROR.NONE) return error;
    const { slots, count } = this.#incoming;
    for (let i = 0; i < count; i++) this.cache.slots.zero(slots[i], 0, SLOT_BYTES);
    return this.endWrite(false);
  }

  #pin(first: number, count: number): void {
    this.cache.slots.pin(first, count);
    this.#pinned[2 * this.#pinnedRuns] = first;
    this.#pinned[2 * this.#pinnedRuns + 1] = count;
    this.#pinnedRuns++;
    this.#pinnedPages += count;
  }

  #unpin(): void {
    const { slots } = this.cache;
    for (let i = 0; i < this.#pinnedRuns; i++) {
      slots.unpin(this.#pinned[2 * i], this.#pinned[2 * i + 1]);
    }
    slots.settle();
    this.#pinnedRuns = 0;
    this.#pinnedPages = 0;
  }
}
