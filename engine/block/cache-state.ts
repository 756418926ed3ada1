// The memory that the state of a volatile cache lies in, so that several threads can use one cache. Its parts ask for their
// arrays while they are made, in the same order in every thread: the first thread gets new ones, all others the same ones.

export class CacheState {
  /** This is the first thread: the arrays hold zeroes. */
  readonly isNew: boolean;
  readonly #arrays: SharedArrayBuffer[];
  #next = 0;

  /** @param arrays `arrays` of the first thread's; null makes this the first */
  constructor(arrays: readonly SharedArrayBuffer[] | null) {
    this.isNew = arrays === null;
    this.#arrays = arrays === null ? [] : [...arrays];
  }

  /** For other threads, once all parts have been made. */
  get arrays(): SharedArrayBuffer[] {
    return [...this.#arrays];
  }

  uint8(length: number): Uint8Array {
    return new Uint8Array(this.#take(length));
  }

  int32(length: number): Int32Array {
    return new Int32Array(this.#take(length * Int32Array.BYTES_PER_ELEMENT));
  }

  uint32(length: number): Uint32Array {
    return new Uint32Array(this.#take(length * Uint32Array.BYTES_PER_ELEMENT));
  }

  float64(length: number): Float64Array {
    return new Float64Array(this.#take(length * Float64Array.BYTES_PER_ELEMENT));
  }

  #take(bytes: number): SharedArrayBuffer {
    if (this.isNew) this.#arrays.push(new SharedArrayBuffer(bytes));
    const array = this.#arrays[this.#next++];
    if (array.byteLength === bytes) return array;
    throw new RangeError(`an array of ${bytes} bytes has ${array.byteLength} in the first thread`);
  }
}
