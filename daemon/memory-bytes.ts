// The bytes of a disk in memory, for copies by any thread: segments of shared memory, of which it is noted what was written.

import { Arena } from '../native/index.js';
import type { WrittenPages } from './written-pages.js';

export class MemoryBytes {
  readonly arena: Arena;
  readonly #views: readonly Uint8Array[];
  readonly #segmentBytes: number;

  /** @param segments all of the same length but the last, which may be shorter */
  constructor(
    segments: readonly SharedArrayBuffer[],
    readonly written: WrittenPages,
  ) {
    this.#views = segments.map((segment) => new Uint8Array(segment));
    this.arena = new Arena(this.#views);
    this.#segmentBytes = segments.at(0)?.byteLength ?? 1;
  }

  copyOut(offset: number, target: Uint8Array): void {
    const end = offset + target.length;
    for (let at = offset; at < end; ) {
      const isWritten = this.written.has(at);
      const next = this.written.runEnd(at, end, isWritten);
      if (isWritten) this.arena.read(at, target, at - offset, next - offset);
      else target.fill(0, at - offset, next - offset);
      at = next;
    }
  }

  /** @param bytes of which those from `from` to below `until` are copied */
  copyIn(offset: number, bytes: Uint8Array, from = 0, until = bytes.length): void {
    this.arena.write(offset, bytes, from, until);
    this.written.note(offset, until - from);
  }

  /** Writes zeroes, which take memory. */
  clear(offset: number, length: number): void {
    const end = offset + length;
    for (let at = offset; at < end; ) {
      const next = Math.min(end, this.#segmentEnd(at));
      const within = at % this.#segmentBytes;
      this.#view(at).fill(0, within, within + next - at);
      at = next;
    }
    this.written.note(offset, length);
  }

  #segmentEnd(at: number): number {
    return at - (at % this.#segmentBytes) + this.#segmentBytes;
  }

  /** @throws RangeError */
  #view(at: number): Uint8Array {
    const view = this.#views.at(Math.floor(at / this.#segmentBytes));
    if (view === undefined) throw new RangeError(`offset ${at} is outside the memory`);
    return view;
  }
}
