// The contents of a small disk as numbers: each different sector that was ever written has one, and a
// disk is an array of them with a hash that follows every change.

/** Smallest unit that a power cut keeps or loses. */
export const SECTOR_BYTES = 512;
const SECTOR_WORDS = SECTOR_BYTES / 4;
export const BLOCK_BYTES = 4096;
export const SECTORS_PER_BLOCK = BLOCK_BYTES / SECTOR_BYTES;

/** A sector of zeroes. */
export const ZEROES = 0;

/** Gives each content of a sector a number. */
export class SectorStore {
  private readonly ids = new Map<string, number>();
  private readonly contents: Int32Array[] = [];

  constructor() {
    this.idOf(new Uint8Array(SECTOR_BYTES));
  }

  /** @param bytes SECTOR_BYTES of them */
  idOf(bytes: Uint8Array): number {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, SECTOR_BYTES).toString('latin1');
    let id = this.ids.get(key);
    if (id === undefined) {
      id = this.contents.length;
      const words = new Int32Array(SECTOR_WORDS);
      new Uint8Array(words.buffer).set(bytes.subarray(0, SECTOR_BYTES));
      this.contents.push(words);
      this.ids.set(key, id);
    }
    return id;
  }

  /** The numbers of the sectors of whole sectors of bytes; the last one is filled up with zeroes. */
  idsOf(bytes: Uint8Array): Int32Array {
    const ids = new Int32Array(Math.ceil(bytes.length / SECTOR_BYTES));
    for (let i = 0; i < ids.length; i++) {
      const piece = bytes.subarray(i * SECTOR_BYTES, (i + 1) * SECTOR_BYTES);
      ids[i] = this.idOf(piece.length === SECTOR_BYTES ? piece : padded(piece));
    }
    return ids;
  }

  wordsOf(id: number): Int32Array {
    return this.contents[id];
  }

  bytesOf(id: number): Uint8Array {
    return new Uint8Array(this.contents[id].buffer);
  }

  /** Do two sectors begin with the same `length` bytes? */
  sameStart(a: number, b: number, length: number): boolean {
    if (a === b) return true;
    return (
      Buffer.compare(this.bytesOf(a).subarray(0, length), this.bytesOf(b).subarray(0, length)) === 0
    );
  }

  /** Is everything from byte `from` on zero? */
  isZeroFrom(id: number, from: number): boolean {
    return (
      id === ZEROES ||
      this.bytesOf(id)
        .subarray(from)
        .every((byte) => byte === 0)
    );
  }
}

function padded(bytes: Uint8Array): Uint8Array {
  const sector = new Uint8Array(SECTOR_BYTES);
  sector.set(bytes);
  return sector;
}

/** A disk as sector numbers. Its hash is a sum over blocks, so that it follows each change. */
export class SectorImage {
  readonly ids: Int32Array;
  /** Per block two sums over its sectors. */
  private readonly low: Int32Array;
  private readonly high: Int32Array;
  private sumLow = 0;
  private sumHigh = 0;
  /** What hash() leaves out. */
  private apartLow = 0;
  private apartHigh = 0;

  /**
   * @param apartStart first block of a region that contentHash() leaves out (the journal)
   * @param apartEnd the block after it
   */
  constructor(
    readonly store: SectorStore,
    ids: Int32Array,
    private readonly apartStart: number,
    private readonly apartEnd: number,
  ) {
    this.ids = new Int32Array(ids.length);
    const blocks = ids.length / SECTORS_PER_BLOCK;
    this.low = new Int32Array(blocks);
    this.high = new Int32Array(blocks);
    for (const [sector, id] of ids.entries()) this.set(sector, id);
  }

  get blocks(): number {
    return this.low.length;
  }

  set(sector: number, id: number): void {
    const before = this.ids[sector];
    if (before === id) return;
    this.ids[sector] = id;
    const block = Math.floor(sector / SECTORS_PER_BLOCK);
    const low = (mixed(sector, id, LOW) - mixed(sector, before, LOW)) | 0;
    const high = (mixed(sector, id, HIGH) - mixed(sector, before, HIGH)) | 0;
    this.low[block] += low;
    this.high[block] += high;
    this.sumLow = (this.sumLow + low) | 0;
    this.sumHigh = (this.sumHigh + high) | 0;
    if (block < this.apartStart || block >= this.apartEnd) return;
    this.apartLow = (this.apartLow + low) | 0;
    this.apartHigh = (this.apartHigh + high) | 0;
  }

  /** 53 bits that tell images apart. */
  hash(): number {
    return joined(this.sumLow, this.sumHigh);
  }

  /** As hash(), of everything but the region that lies apart. */
  contentHash(): number {
    return joined((this.sumLow - this.apartLow) | 0, (this.sumHigh - this.apartHigh) | 0);
  }

  /** 53 bits that tell contents of these blocks apart, at this place. */
  runHash(block: number, count: number): number {
    let low = 0;
    let high = 0;
    for (let i = block; i < block + count; i++) {
      low = (low + this.low[i]) | 0;
      high = (high + this.high[i]) | 0;
    }
    return joined(low, high);
  }

  /** Copies blocks into words. */
  read(block: number, count: number, into: Int32Array, at = 0): void {
    const first = block * SECTORS_PER_BLOCK;
    for (let i = 0; i < count * SECTORS_PER_BLOCK; i++) {
      into.set(this.store.wordsOf(this.ids[first + i]), at + i * SECTOR_WORDS);
    }
  }

  /** The whole disk. */
  words(): Int32Array {
    const words = new Int32Array(this.ids.length * SECTOR_WORDS);
    this.read(0, this.blocks, words);
    return words;
  }
}

const LOW = 0x3c6ef372;
const HIGH = 0x1b873593;

/** A hash of one sector at one place; zeroes, as which every image starts, have 0. */
function mixed(sector: number, id: number, salt: number): number {
  if (id === ZEROES) return 0;
  let hash = Math.imul(sector + 1, 0x9e3779b1) ^ Math.imul(id + salt, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39 ^ salt);
  return hash ^ (hash >>> 15);
}

function joined(low: number, high: number): number {
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
}
