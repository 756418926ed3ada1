// What units of a recorded disk have held: each content has a number, a hash, and a place to be read from.

import { createHash } from 'node:crypto';
import { mix } from '../seeded.js';
import type { Extent, Recording } from './reader.js';

/** The content of a unit that was never written. */
export const ZEROES = 0;
/** 32-bit words of a hash. */
export const HASH_WORDS = 4;

const IN_MEMORY = -1;

/** The contents of one recording's units. Numbers are given out in order, and never again. */
export class Contents {
  readonly unitBytes: number;
  readonly #extents: readonly Extent[];
  /** Where in the file; IN_MEMORY if nowhere. */
  #places = new Float64Array(1024);
  #hashes = new Int32Array(1024 * HASH_WORDS);
  readonly #composed = new Map<number, Uint8Array>();
  readonly #garbage = new Map<number, number>();
  #count = 0;
  /** What a replay has met, in order; a second one meets the same. */
  readonly #met: number[] = [];
  #meets = 0;

  constructor(private readonly recording: Recording) {
    this.unitBytes = recording.header.unitBytes;
    this.#extents = recording.extents;
    this.#keep(this.#add(IN_MEMORY, new Uint8Array(this.unitBytes)));
  }

  /** A replay begins from the start: it gets the same numbers as the one before. */
  restart(): void {
    this.#meets = 0;
  }

  /** What a unit held at first. */
  initial(unit: number): number {
    const { unitBytes } = this;
    const from = unit * unitBytes;
    const first = this.#extentAt(from);
    const extent = this.#extents.at(first);
    if (extent === undefined || extent.offset >= from + unitBytes) return ZEROES;
    const bytes = new Uint8Array(unitBytes);
    if (extent.offset <= from && extent.offset + extent.length >= from + unitBytes) {
      const place = extent.payloadAt + from - extent.offset;
      this.recording.read(place, bytes);
      return this.stored(place, bytes);
    }
    for (let nth = first; nth < this.#extents.length; nth++) {
      const { offset, length, payloadAt } = this.#extents[nth];
      if (offset >= from + unitBytes) break;
      const begin = Math.max(offset, from);
      const end = Math.min(offset + length, from + unitBytes);
      if (begin < end)
        this.recording.read(payloadAt + begin - offset, bytes.subarray(begin - from, end - from));
    }
    return this.compose(bytes);
  }

  /** The first extent that ends behind an offset. */
  #extentAt(offset: number): number {
    let low = 0;
    let high = this.#extents.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { offset: begin, length } = this.#extents[middle];
      if (begin + length > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** A unit's bytes that stand in the file. @param bytes the same, for the hash */
  stored(place: number, bytes: Uint8Array): number {
    return this.#meet(() => this.#add(place, bytes));
  }

  /** A unit's bytes that stand nowhere in the file as they are. */
  compose(bytes: Uint8Array): number {
    return this.#meet(() => this.#keep(this.#add(IN_MEMORY, bytes), bytes));
  }

  #meet(add: () => number): number {
    const known = this.#met.at(this.#meets++);
    if (known !== undefined) return known;
    const content = add();
    this.#met.push(content);
    return content;
  }

  #keep(content: number, bytes: Uint8Array = new Uint8Array(this.unitBytes)): number {
    this.#composed.set(content, bytes);
    return content;
  }

  /** What a trimmed unit reads as when it reads as garbage: the same for each unit and seed. */
  garbage(unit: number): number {
    const known = this.#garbage.get(unit);
    if (known !== undefined) return known;
    const bytes = new Uint8Array(this.unitBytes);
    for (let i = 0; i < bytes.length; i++) bytes[i] = mix(this.recording.header.seed, i, unit);
    const content = this.#keep(this.#add(IN_MEMORY, bytes), bytes);
    this.#garbage.set(unit, content);
    return content;
  }

  #add(place: number, bytes: Uint8Array): number {
    const content = this.#count++;
    if (content === this.#places.length) {
      const places = new Float64Array(2 * content);
      places.set(this.#places);
      this.#places = places;
      const hashes = new Int32Array(2 * content * HASH_WORDS);
      hashes.set(this.#hashes);
      this.#hashes = hashes;
    }
    this.#places[content] = place;
    const digest = createHash('sha1').update(bytes).digest();
    for (let word = 0; word < HASH_WORDS; word++)
      this.#hashes[content * HASH_WORDS + word] = digest.readInt32LE(4 * word);
    return content;
  }

  /** Fills the view with a content. */
  load(content: number, view: Uint8Array): void {
    const composed = this.#composed.get(content);
    if (composed === undefined) this.recording.read(this.#places[content], view);
    else view.set(composed);
  }

  /** Whether two contents have the same bytes. */
  same(a: number, b: number): boolean {
    for (let word = 0; word < HASH_WORDS; word++) {
      if (this.#hashes[a * HASH_WORDS + word] !== this.#hashes[b * HASH_WORDS + word]) return false;
    }
    return true;
  }

  /** Takes `content at a unit` into a hash, or out of it: the order does not matter. */
  toggle(hash: Int32Array, unit: number, content: number): void {
    for (let word = 0; word < HASH_WORDS; word++)
      hash[word] ^= mix(this.#hashes[content * HASH_WORDS + word], word + 1, unit);
  }
}
