// A disk as the disks' thread has it: what a connection to it reads and writes at the moment.

import type { OpenableExport } from './connection.js';
import { BackingFile, FileStorage } from './file-storage.js';
import { MemoryStorage } from './memory-storage.js';
import type { DiskData } from './messages.js';
import type { Storage } from './storage.js';

export class ThreadDisk implements OpenableExport {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly #file: BackingFile | null;
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
    this.#memory =
      source.kind === 'memory' ? new MemoryStorage(source.fd, source.segments, sizeBytes) : null;
  }

  get epoch(): number {
    return this.#epoch;
  }

  open(): Storage {
    return this.#openPlain();
  }

  close(): void {
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
