// A disk as the disks' thread has it: what a connection to it reads and writes at the moment.

import type { OpenableExport } from './connection.js';
import { FaultStorage, type Staging } from './fault-storage.js';
import { BackingFile, FileStorage } from './file-storage.js';
import { MemoryStorage } from './memory-storage.js';
import type { DiskData } from './messages.js';
import type { Storage } from './storage.js';
import { ThreadFaults } from './thread-faults.js';

export class ThreadDisk implements OpenableExport {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly faults: ThreadFaults;
  readonly #file: BackingFile | null;
  /** Of a disk in memory: it keeps nothing of a connection. */
  readonly #memory: MemoryStorage | null;
  /** Of connections that are over, for the next ones: a thread without an event loop never frees an Arena. */
  readonly #unused: FileStorage[] = [];
  readonly #stagings: Staging[] = [];
  #epoch = 0;

  /** @param onFault called after each firing of a fault layer */
  constructor(data: DiskData, onFault: () => void) {
    const { name, description, sizeBytes, readOnly, source } = data;
    this.name = name;
    this.description = description;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
    this.#file = source.kind === 'file' ? new BackingFile(source.fd, sizeBytes, readOnly) : null;
    const changed = (): void => {
      this.#epoch++;
    };
    this.faults = new ThreadFaults(name, sizeBytes, changed, onFault);
    this.#memory =
      source.kind === 'memory' ? new MemoryStorage(source.fd, source.segments, sizeBytes) : null;
  }

  get epoch(): number {
    return this.#epoch;
  }

  open(): Storage {
    const { stack, clock } = this.faults;
    const plain = this.#openPlain();
    plain.clock = clock;
    return stack.layers.length === 0
      ? plain
      : new FaultStorage(plain, stack, clock, this.sizeBytes, this.#stagings);
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
