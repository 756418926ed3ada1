// A disk in memory as a peer has it: until it is recalled.

import { WrittenPages } from '../written-pages.js';
import type { OpenableExport } from './connection-host.js';
import { MemoryStorage } from './memory-storage.js';
import type { DiskData } from './messages.js';
import type { Storage } from './storage.js';

export class PeerDisk implements OpenableExport {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly #storage: MemoryStorage;
  #epoch = 0;
  #isRecalled = false;

  /** @throws RangeError for a disk that is not in memory */
  constructor({ name, description, sizeBytes, readOnly, source }: DiskData) {
    if (source.kind !== 'memory') throw new RangeError(`disk ${name} is not in memory`);
    this.name = name;
    this.description = description;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
    const written = new WrittenPages(sizeBytes, source.written);
    this.#storage = new MemoryStorage(source.fd, source.segments, sizeBytes, written);
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
    return this.#isRecalled ? null : this.#storage;
  }
}
