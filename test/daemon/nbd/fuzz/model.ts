// What the disks of the fuzz test hold, as the reference sees it: plain bytes, and which older bytes a READ in flight may
// still be answered with.

export interface ModelDisk {
  readonly name: string;
  readonly readOnly: boolean;
  readonly bytes: Buffer;
}

/** A change of a disk, for reads that are under way meanwhile: they may see the old bytes, or these. */
interface Change {
  readonly at: number;
  readonly bytes: Buffer;
}

/** A range of a disk as it was when a request came. */
export class Snapshot {
  readonly #before: Buffer;
  readonly #changes: Change[] = [];

  constructor(
    disk: ModelDisk,
    readonly offset: number,
    readonly length: number,
  ) {
    this.#before = Buffer.from(disk.bytes.subarray(offset, offset + length));
  }

  /** Something was written after the request was sent. */
  changed(at: number, bytes: Buffer): void {
    const [from, until] = [
      Math.max(at, this.offset),
      Math.min(at + bytes.length, this.offset + this.length),
    ];
    if (from < until)
      this.#changes.push({ at: from, bytes: Buffer.from(bytes.subarray(from - at, until - at)) });
  }

  /** Whether a reply may show these bytes at this offset of the disk. */
  allows(at: number, bytes: Buffer): boolean {
    const from = at - this.offset;
    if (this.#before.compare(bytes, 0, bytes.length, from, from + bytes.length) === 0) return true;
    if (this.#changes.length === 0) return false;
    return bytes.every((byte, i) => byte === this.#before[from + i] || this.#wrote(at + i, byte));
  }

  #wrote(at: number, byte: number): boolean {
    return this.#changes.some((change) => change.bytes[at - change.at] === byte);
  }
}
