// The bytes of a disk in memory, for copies by any thread: segments of shared memory, of which it is noted what was written.

import type { WrittenPages } from './written-pages.js';

export class MemoryBytes {
  readonly views: readonly Uint8Array[];
  readonly #segmentBytes: number;

  /** @param segments all of the same length but the last, which may be shorter */
  constructor(
    segments: readonly SharedArrayBuffer[],
    readonly written: WrittenPages,
  ) {
    this.views = segments.map((segment) => new Uint8Array(segment));
    this.#segmentBytes = segments.at(0)?.byteLength ?? 1;
  }

  copyOut(offset: number, target: Uint8Array): void {
    const end = offset + target.length;
    for (let at = offset; at < end; ) {
      const isWritten = this.written.has(at);
      const done = at - offset;
      const next = isWritten
        ? Math.min(this.written.runEnd(at, end, true), this.#segmentEnd(at))
        : this.written.runEnd(at, end, false);
      if (isWritten) {
        const within = at % this.#segmentBytes;
        target.set(this.#view(at).subarray(within, within + next - at), done);
      } else {
        target.fill(0, done, next - offset);
      }
      at = next;
    }
  }

  copyIn(offset: number, data: Uint8Array): void {
    const end = offset + data.length;
    for (let at = offset; at < end; ) {
      const next = Math.min(end, this.#segmentEnd(at));
      const whole = at === offset && next === end;
      const piece = whole ? data : data.subarray(at - offset, next - offset);
      this.#view(at).set(piece, at % this.#segmentBytes);
      at = next;
    }
    this.written.note(offset, data.length);
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
    const view = this.views.at(Math.floor(at / this.#segmentBytes));
    if (view === undefined) throw new RangeError(`offset ${at} is outside the memory`);
    return view;
  }
}
