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
  #epoch = 0;

  constructor(private readonly data: DiskData) {
    const { name, description, sizeBytes, readOnly, source } = data;
    this.name = name;
    this.description = description;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
    this.#file = source.kind === 'file' ? new BackingFile(source.fd, sizeBytes, readOnly) : null;
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
    const { source, sizeBytes, name } = this.data;
    if (source.kind === 'memory') return new MemoryStorage(source.fd, source.segments, sizeBytes);
    if (this.#file === null) throw new RangeError(`the backing file of ${name} is not open`);
    return new FileStorage(this.#file);
  }
}
