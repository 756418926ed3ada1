// A disk in memory as a peer has it: until it is recalled.

import type { VolatileCache } from '../../engine/block/volatile-cache.js';
import { WrittenPages } from '../written-pages.js';
import type { OpenableExport } from './connection-host.js';
import { openCache } from './disk-cache.js';
import { MemoryStorage } from './memory-storage.js';
import type { DiskData } from './messages.js';
import type { Storage } from './storage.js';
import { VolatileStorage } from './volatile-storage.js';

export class PeerDisk implements OpenableExport {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly #memory: MemoryStorage;
  readonly #cache: VolatileCache | null;
  #epoch = 0;
  #isRecalled = false;

  /** @param thread its number in Loads @throws RangeError for a disk that is not in memory */
  constructor(data: DiskData, thread: number) {
    const { name, description, sizeBytes, readOnly, source } = data;
    if (source.kind !== 'memory') throw new RangeError(`disk ${name} is not in memory`);
    this.name = name;
    this.description = description;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
    const written = new WrittenPages(sizeBytes, source.written);
    this.#memory = new MemoryStorage(source.fd, source.segments, sizeBytes, written);
    this.#cache = openCache(data, null, thread);
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** While it is recalled its connections leave, instead of beginning another request. */
  set isRecalled(isRecalled: boolean) {
    if (isRecalled === this.#isRecalled) return;
    this.#isRecalled = isRecalled;
    this.#epoch++;
  }

  open(): Storage | null {
    if (this.#isRecalled) return null;
    return this.#cache === null
      ? this.#memory
      : new VolatileStorage(this.#cache, this.sizeBytes, null);
  }
}
