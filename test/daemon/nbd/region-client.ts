// A well-behaved client that owns a region of a disk: it writes stamped sectors, and reads back what it wrote.

import { COMMAND, COMMAND_FLAG, ERROR } from '../../../daemon/nbd/protocol.js';
import type { RawClient } from './raw-client.js';
import { SECTOR_BYTES, stamp, versionOf } from './stamps.js';

const LONGEST_SECTORS = 300;

/** What the sectors of a region hold, whoever serves them. */
export class Region {
  readonly versions: number[];
  last = 0;

  constructor(
    readonly firstSector: number,
    readonly sectors: number,
    readonly writer: number,
  ) {
    this.versions = Array.from({ length: sectors }, () => 0);
  }
}

export class RegionClient {
  steps = 0;

  constructor(
    private readonly client: RawClient,
    private readonly region: Region,
    private readonly random: (below: number) => number,
  ) {}

  /** One request and its answer. @throws Error if an answer is not what it has to be */
  async step(): Promise<void> {
    this.steps++;
    const { random, region } = this;
    const count = 1 + random(random(4) === 0 ? LONGEST_SECTORS : 8);
    const first = random(region.sectors - count);
    switch (random(8)) {
      case 0:
        await this.#succeeds(COMMAND.FLUSH, 0, 0);
        return;
      case 1:
        await this.#clear(first, count);
        return;
      case 2:
      case 3:
      case 4:
        await this.#write(first, count);
        return;
      default:
        await this.check(first, count);
    }
  }

  /** Whatever was there before. */
  async erase(): Promise<void> {
    await this.#clear(0, this.region.sectors);
  }

  /** Reads sectors of the region and compares them with what was written last. */
  async check(first = 0, count = this.region.sectors): Promise<void> {
    const { client, region } = this;
    client.request(COMMAND.READ, this.#at(first), count * SECTOR_BYTES);
    const error = await client.simple();
    if (error !== ERROR.NONE) throw new Error(`READ: error ${error}`);
    const data = await client.read(count * SECTOR_BYTES);
    for (let i = 0; i < count; i++) {
      const sector = region.firstSector + first + i;
      const found = versionOf(data, i * SECTOR_BYTES, sector, region.writer);
      const expected = region.versions.at(first + i) ?? 0;
      if (found === expected) continue;
      throw new Error(`sector ${sector} has version ${found ?? 'none'}, not ${expected}`);
    }
  }

  /** Begins a WRITE whose payload never ends. Each sector that has come may be there then, or not. */
  half(): void {
    const { client, region, random } = this;
    const count = 2 + random(LONGEST_SECTORS);
    const first = random(region.sectors - count);
    const payload = this.#payload(first, count, ++region.last);
    const sent = payload.subarray(0, random(payload.length));
    client.request(COMMAND.WRITE, this.#at(first), payload.length, 0, sent);
  }

  /** After half(): takes over what is there, which has to be whole. */
  async adopt(): Promise<void> {
    const { client, region } = this;
    const bytes = region.sectors * SECTOR_BYTES;
    client.request(COMMAND.READ, this.#at(0), bytes);
    const error = await client.simple();
    if (error !== ERROR.NONE) throw new Error(`READ: error ${error}`);
    const data = await client.read(bytes);
    for (const [i, before] of region.versions.entries()) {
      const sector = region.firstSector + i;
      const found = versionOf(data, i * SECTOR_BYTES, sector, region.writer);
      if (found !== before && found !== region.last)
        throw new Error(`sector ${sector} has version ${found ?? 'none'}, not ${before}`);
      region.versions[i] = found;
    }
  }

  async #write(first: number, count: number): Promise<void> {
    const { region, random } = this;
    const payload = this.#payload(first, count, ++region.last);
    const flags = random(8) === 0 ? COMMAND_FLAG.FUA : 0;
    await this.#succeeds(COMMAND.WRITE, this.#at(first), payload.length, flags, payload);
    region.versions.fill(region.last, first, first + count);
  }

  async #clear(first: number, count: number): Promise<void> {
    const type = this.random(2) === 0 ? COMMAND.TRIM : COMMAND.WRITE_ZEROES;
    await this.#succeeds(type, this.#at(first), count * SECTOR_BYTES);
    this.region.versions.fill(0, first, first + count);
  }

  #payload(first: number, count: number, version: number): Buffer {
    const { firstSector, writer } = this.region;
    const payload = Buffer.alloc(count * SECTOR_BYTES);
    for (let i = 0; i < count; i++)
      stamp(payload, i * SECTOR_BYTES, firstSector + first + i, version, writer);
    return payload;
  }

  async #succeeds(...request: Parameters<RawClient['request']>): Promise<void> {
    this.client.request(...request);
    const error = await this.client.simple();
    if (error !== ERROR.NONE) throw new Error(`command ${request[0]}: error ${error}`);
  }

  #at(sector: number): number {
    return (this.region.firstSector + sector) * SECTOR_BYTES;
  }
}
