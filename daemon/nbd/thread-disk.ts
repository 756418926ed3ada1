// A disk as the disks' thread has it: what a connection to it reads and writes at the moment.

import { SLOT_BYTES } from '../../engine/block/cache-slots.js';
import { VolatileCache } from '../../engine/block/volatile-cache.js';
import { PinfoldError } from '../protocol/errors.js';
import { WrittenPages } from '../written-pages.js';
import type { OpenableExport } from './connection.js';
import { type PlannedCut, planCut } from './cut.js';
import { BackingFile, FileStorage } from './file-storage.js';
import { CONNECTIONS_MAX } from './limits.js';
import { MemoryStorage } from './memory-storage.js';
import type { DiskData } from './messages.js';
import { attempt, type Storage } from './storage.js';
import { PINNED_PAGES_MAX, VolatileStorage } from './volatile-storage.js';

export class ThreadDisk implements OpenableExport {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly #file: BackingFile | null;
  readonly #cache: VolatileCache | null;
  /** Of a disk in memory: it keeps nothing of a connection. */
  readonly #memory: MemoryStorage | null;
  /** Of connections that are over, for the next ones: a thread without an event loop never frees an Arena. */
  readonly #unused: FileStorage[] = [];
  #epoch = 0;

  constructor(data: DiskData) {
    const { name, description, sizeBytes, readOnly, source } = data;
    this.name = name;
    this.description = description;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
    this.#file = source.kind === 'file' ? new BackingFile(source.fd, sizeBytes, readOnly) : null;
    this.#cache = makeCache(data, this.#file?.fd ?? null);
    this.#memory =
      source.kind === 'memory'
        ? new MemoryStorage(
            source.fd,
            source.segments,
            sizeBytes,
            new WrittenPages(sizeBytes, source.written),
          )
        : null;
  }

  get epoch(): number {
    return this.#epoch;
  }

  open(): Storage {
    if (this.#cache === null) return this.#openPlain();
    return new VolatileStorage(this.#cache, this.sizeBytes, this.#file?.fd ?? null);
  }

  /** @throws PinfoldError EINVAL without a volatile cache; see planCut() */
  planCut(state: string): PlannedCut {
    if (this.#cache === null) {
      throw new PinfoldError('EINVAL', `disk ${this.name} has no volatile cache`);
    }
    return planCut(this.#cache, state);
  }

  /** An orderly end: what is in the cache gets to the file. What can't was never flushed. */
  close(): void {
    const cache = this.#cache;
    if (cache !== null) {
      attempt(() => cache.settleAll());
      cache.close();
    }
    this.#file?.close();
  }

  /** The disk's own memory or file. */
  #openPlain(): Storage {
    if (this.#memory !== null) return this.#memory;
    if (this.#file === null) throw new RangeError(`the backing file of ${this.name} is not open`);
    return (
      this.#unused.pop() ?? new FileStorage(this.#file, (storage) => this.#unused.push(storage))
    );
  }
}

function makeCache({ cache, sizeBytes }: DiskData, fd: number | null): VolatileCache | null {
  if (cache === null) return null;
  const { unitBytes, atomicBytes, versionBytes } = cache;
  const versionPages = versionBytes / SLOT_BYTES;
  const pinnedPages = (CONNECTIONS_MAX + 1) * PINNED_PAGES_MAX;
  return new VolatileCache({ sizeBytes, unitBytes, atomicBytes, versionPages }, fd, pinnedPages);
}
