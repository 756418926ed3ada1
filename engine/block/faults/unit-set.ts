// A set of units of the disk, by number: bitmaps of the parts of the disk in which there are any.

const CHUNK_UNITS = 2 ** 15;

/** What a layer remembers of the medium is told in units of this. */
export const UNIT_BYTES = 512;

export class UnitSet {
  readonly #chunks = new Map<number, Uint8Array>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(unit: number): boolean {
    const byte = this.#chunks.get(Math.floor(unit / CHUNK_UNITS))?.[(unit % CHUNK_UNITS) >>> 3];
    return byte !== undefined && (byte & (1 << (unit & 7))) !== 0;
  }

  add(unit: number): void {
    if (this.has(unit)) return;
    const chunk = Math.floor(unit / CHUNK_UNITS);
    let bits = this.#chunks.get(chunk);
    if (bits === undefined) {
      bits = new Uint8Array(CHUNK_UNITS / 8);
      this.#chunks.set(chunk, bits);
    }
    const at = (unit % CHUNK_UNITS) >>> 3;
    bits[at] = (bits[at] ?? 0) | (1 << (unit & 7));
    this.#size++;
  }

  delete(unit: number): void {
    const bits = this.#chunks.get(Math.floor(unit / CHUNK_UNITS));
    if (bits === undefined || !this.has(unit)) return;
    const at = (unit % CHUNK_UNITS) >>> 3;
    bits[at] = (bits[at] ?? 0) & ~(1 << (unit & 7));
    this.#size--;
  }
}
