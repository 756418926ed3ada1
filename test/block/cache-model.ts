// A reference for a disk with a volatile cache, as B1-B8 say it: for each unit a list of versions, in plain
// maps. And the cache itself behind the same operations, so that both can be driven side by side.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheState } from '../../engine/block/cache-state.js';
import type { Pending } from '../../engine/block/power-cut.js';
import { FOUND, Incoming, slotMemory, VolatileCache } from '../../engine/block/volatile-cache.js';
import {
  closeDescriptor,
  type Memory,
  openFile,
  preadInto,
  truncateFile,
} from '../../native/index.js';

interface Version {
  readonly id: number;
  readonly content: Buffer;
  readonly kind: 'data' | 'zeroes' | 'trim';
  readonly fua: boolean;
  replied: boolean;
  durable: boolean;
}

/** A unit: what it held before all versions, and the versions, oldest first. */
interface Unit {
  base: Buffer;
  versions: Version[];
}

export class Reference {
  readonly units: Unit[];

  constructor(
    readonly sizeBytes: number,
    readonly unitBytes: number,
  ) {
    this.units = Array.from({ length: sizeBytes / unitBytes }, () => ({
      base: Buffer.alloc(unitBytes),
      versions: [],
    }));
  }

  visible(): Buffer {
    return Buffer.concat(this.units.map(({ base, versions }) => versions.at(-1)?.content ?? base));
  }

  /** One version for each unit that a range touches, over what is visible (B2). */
  write(id: number, kind: Version['kind'], offset: number, data: Buffer, fua: boolean): void {
    const after = this.visible();
    data.copy(after, offset);
    const { unitBytes } = this;
    for (let unit = 0; unit < this.units.length; unit++) {
      const start = unit * unitBytes;
      if (start + unitBytes <= offset || start >= offset + data.length) continue;
      const content = Buffer.from(after.subarray(start, start + unitBytes));
      this.units[unit].versions.push({ id, content, kind, fua, replied: false, durable: false });
    }
  }

  #each(choose: (version: Version) => boolean): Version[] {
    return this.units.flatMap(({ versions }) => versions.filter(choose));
  }

  replied(id: number): void {
    for (const version of this.#each((each) => each.id === id)) {
      version.replied = true;
      if (version.fua && version.kind !== 'trim') version.durable = true;
    }
  }

  /** What a FLUSH that begins now will cover (B4). */
  flushBegins(): Version[] {
    return this.#each(({ replied, kind }) => replied && kind !== 'trim');
  }

  flush(covered: readonly Version[]): void {
    for (const version of covered) version.durable = true;
  }

  /** The newest version that is durable, if it is not what was there before all. */
  #floorOf({ versions }: Unit): number {
    return versions.findLastIndex(({ durable }) => durable);
  }

  /** The versions above the floor, oldest first, but zeroes over zeroes: they make no difference (B7). */
  open(unit: number): number[] {
    const { base, versions } = this.units[unit];
    const floor = this.#floorOf(this.units[unit]);
    const above = versions.slice(floor + 1);
    const isZero = (content: Buffer): boolean => content.every((byte) => byte === 0);
    if (!isZero(floor < 0 ? base : versions[floor].content)) return above.map(({ id }) => id);
    const first = above.findIndex(({ content }) => !isZero(content));
    return first < 0 ? [] : above.slice(first).map(({ id }) => id);
  }

  /** All versions above the floor, oldest first. */
  ids(unit: number): number[] {
    const { versions } = this.units[unit];
    return versions.slice(this.#floorOf(this.units[unit]) + 1).map(({ id }) => id);
  }

  /** How many versions open() has left out. */
  zeroesBelow(unit: number): number {
    return this.ids(unit).length - this.open(unit).length;
  }

  /** What the disk holds in an image. */
  image(pending: Pending, choices: Int32Array): Buffer {
    const chosen = new Map(
      pending.open.map(({ unit, versions }, i) => [unit, versions[choices[i] - 1]]),
    );
    const contents = this.units.map((unit, i) => {
      const floor = unit.versions[this.#floorOf(unit)]?.content ?? unit.base;
      const id = chosen.get(i);
      return id === undefined ? floor : unit.versions.find((each) => each.id === id)?.content;
    });
    return Buffer.concat(contents.filter((each) => each !== undefined));
  }

  /** Whether an image is one of those that are possible. */
  allows(image: Buffer): boolean {
    return this.units.every((unit, i) => {
      const content = image.subarray(i * this.unitBytes, (i + 1) * this.unitBytes);
      const floor = this.#floorOf(unit);
      if (content.equals(unit.versions[floor]?.content ?? unit.base)) return true;
      return unit.versions.slice(floor + 1).some((each) => content.equals(each.content));
    });
  }

  cut(image: Buffer): void {
    for (const [i, unit] of this.units.entries()) {
      unit.base = Buffer.from(image.subarray(i * this.unitBytes, (i + 1) * this.unitBytes));
      unit.versions = [];
    }
  }
}

/** The cache, with payload given at once. */
export class CacheUnderTest {
  readonly cache: VolatileCache;
  readonly memory: Memory;
  readonly fd: number | null;
  readonly #folder: string | null;

  constructor(
    readonly sizeBytes: number,
    unitBytes: number,
    { inFile = false, versionPages = 1024, atomicBytes = 0 } = {},
  ) {
    this.#folder = inFile ? mkdtempSync(join(tmpdir(), 'pinfold-cache-')) : null;
    this.fd =
      this.#folder === null ? null : openFile(join(this.#folder, 'disk.img'), { create: true });
    if (this.fd !== null) truncateFile(this.fd, sizeBytes);
    const shape = { sizeBytes, unitBytes, atomicBytes, versionPages, pinnedPages: 64, threads: 1 };
    this.memory = slotMemory(shape, inFile);
    this.cache = new VolatileCache(shape, this.fd, this.memory, new CacheState(null));
  }

  receive(offset: number, data: Buffer): Incoming {
    const incoming = new Incoming();
    if (!this.cache.begin(incoming, offset, data.length)) throw new RangeError('no room');
    const { slots } = this.cache;
    for (let done = 0; done < data.length; ) {
      const at = incoming.place(offset + done);
      const within = at % 4096;
      const length = Math.min(
        incoming.placeBytes(offset + done, offset + data.length),
        4096 - within,
      );
      const place = slots.bytes(Math.floor(at / 4096), within, within + length);
      place.set(data.subarray(done, done + length));
      done += length;
    }
    return incoming;
  }

  write(offset: number, data: Buffer, fua = false): number {
    const id = this.cache.commit(this.receive(offset, data));
    if (fua) this.cache.fua(id);
    return id;
  }

  zero(trim: boolean, offset: number, length: number, fua = false): number {
    const id = this.cache.zero(trim, offset, length);
    if (fua) this.cache.fua(id);
    return id;
  }

  visible(): Buffer {
    const { cache } = this;
    const content = Buffer.alloc(this.sizeBytes, 0xee);
    for (let at = 0; at < this.sizeBytes; ) {
      const length = cache.locate(at, this.sizeBytes);
      if (length <= 0) throw new RangeError('nothing was located');
      if (cache.found === FOUND.ZEROES) content.fill(0, at, at + length);
      for (let done = 0; done < length; done += 4096) {
        const from = cache.foundAt + done;
        const piece = content.subarray(at + done, Math.min(at + done + 4096, at + length));
        if (cache.found === FOUND.SLOTS) piece.set(cache.slots.bytes(from / 4096, 0, 4096));
        if (cache.found === FOUND.FLOOR && this.fd !== null) preadInto(this.fd, piece, at + done);
      }
      at += length;
    }
    return content;
  }

  close(): void {
    this.memory.close();
    if (this.fd !== null) closeDescriptor(this.fd);
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true });
  }
}
