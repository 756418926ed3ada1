// A plain disk in memory, as a connection reads and writes it: data is sent and received where it lies. What was never
// written is sent from elsewhere, so that reading gives it no memory.

import { type Arena, fallocate, nextData, nextHole, type Prompt } from '../../native/index.js';
import { MemoryBytes } from '../memory-bytes.js';
import type { WrittenPages } from '../written-pages.js';
import { HugePages } from './huge-pages.js';
import { READ_RUNS_MAX, UNIT_BYTES } from './limits.js';
import { ERROR } from './protocol.js';
import type { Replies } from './replies.js';
import { attempt, extentFrom, PlainStorage, type Storage } from './storage.js';

export class MemoryStorage extends PlainStorage implements Storage {
  readonly pieceBytesMax = Number.MAX_SAFE_INTEGER;
  readonly receives = true;
  readonly endsAtOnce = true;
  readonly arena: Arena;
  readonly #bytes: MemoryBytes;
  readonly #huge: HugePages;

  constructor(
    private readonly fd: number,
    segments: readonly SharedArrayBuffer[],
    private readonly sizeBytes: number,
    private readonly written: WrittenPages,
  ) {
    super();
    this.#bytes = new MemoryBytes(segments, written);
    this.arena = this.#bytes.arena;
    this.#huge = new HugePages(this.arena, written);
  }

  canRead(): boolean {
    return true;
  }

  read(offset: number, length: number, replies: Replies): number {
    const end = offset + length;
    let at = offset;
    for (let runs = 0; runs < READ_RUNS_MAX && at < end; runs++) {
      const isWritten = this.written.has(at);
      const next = this.written.runEnd(at, end, isWritten);
      if (isWritten) replies.data(at, next - at);
      else replies.zeroes(next - at);
      at = next;
    }
    replies.data(at, end - at);
    return ERROR.NONE;
  }

  copy(offset: number, target: Uint8Array): number {
    this.#bytes.copyOut(offset, target);
    return ERROR.NONE;
  }

  receive(
    fd: number,
    at: number,
    end: number,
    buffer: Uint8Array,
    ahead: number,
    patienceUs: number,
    prompt: Prompt,
  ): number {
    const length = end - at;
    try {
      const got = this.arena.receiveAnswering(
        fd,
        at,
        length,
        UNIT_BYTES,
        buffer,
        ahead,
        patienceUs,
        this.written.pages,
        prompt,
      );
      if (got > 0) {
        this.written.note(at, Math.min(got, length));
        this.#huge.wrote(at, Math.min(got, length));
      }
      return got;
    } catch (error) {
      this.written.note(at, length); // nobody knows how much of it
      throw error;
    }
  }

  store(at: number, bytes: Uint8Array, from: number, until: number): number {
    this.#bytes.copyIn(at, bytes, from, until);
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
    if (!keepBlocks) return this.#discard(offset, length);
    this.#bytes.clear(offset, length);
    return ERROR.NONE;
  }

  #discard(offset: number, length: number): number {
    return attempt(() => {
      this.written.discard(offset, length, () => fallocate(this.fd, 'punch', offset, length));
    });
  }

  endZero(): number {
    return ERROR.NONE;
  }

  zeroesFast(keepBlocks: boolean): boolean {
    return !keepBlocks;
  }

  dataFrom(offset: number): number {
    if (this.written.has(offset)) return offset;
    return extentFrom(() => nextData(this.fd, offset), offset, this.sizeBytes);
  }

  holeFrom(offset: number): number {
    return extentFrom(() => nextHole(this.fd, offset), this.sizeBytes, this.sizeBytes);
  }
}
