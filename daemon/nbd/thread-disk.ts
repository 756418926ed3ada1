// A disk as the disks' thread has it: what a connection to it reads and writes at the moment.

import { preadInto } from '../../native/index.js';
import { PinfoldError } from '../protocol/errors.js';
import type { RecordingSummary } from '../protocol/methods.js';
import type { OpenableExport } from './connection.js';
import { BackingFile, FileStorage } from './file-storage.js';
import { MemoryStorage } from './memory-storage.js';
import type { DiskData } from './messages.js';
import { type RecordedDisk, Recorder, type RecordingOptions } from './recorder.js';
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
  #recorder: Recorder | null = null;
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
    const plain = this.#openPlain();
    return this.#recorder === null ? plain : this.#recorder.watch(plain, true);
  }

  /** Connections tell what they do from their next request on. @throws PinfoldError EBUSY; see Recorder.start() */
  record(options: RecordingOptions): { unitBytes: number } {
    if (this.#recorder !== null)
      throw new PinfoldError('EBUSY', `disk ${this.name} is recorded already: stop that first`);
    this.#recorder = Recorder.start(this.#asRecorded(), options);
    this.#epoch++;
    return { unitBytes: this.#recorder.unitBytes };
  }

  /** @throws PinfoldError EINVAL if it is not recorded */
  stopRecording(): RecordingSummary {
    const summary = this.#recording.stop();
    this.#recorder = null;
    this.#epoch++;
    return summary;
  }

  /** @throws PinfoldError EINVAL if it is not recorded, or the text is too long */
  mark(text: string): void {
    this.#recording.mark(text);
  }

  drainRecording(): void {
    this.#recorder?.drain();
  }

  get #recording(): Recorder {
    if (this.#recorder !== null) return this.#recorder;
    throw new PinfoldError(
      'EINVAL',
      `disk ${this.name} is not recorded: see 'pinfold disk record'`,
    );
  }

  #asRecorded(): RecordedDisk {
    const plain = this.#openPlain();
    return {
      name: this.name,
      sizeBytes: this.sizeBytes,
      cache: null,
      dataFrom: (offset) => plain.dataFrom(offset),
      holeFrom: (offset) => plain.holeFrom(offset),
      copy: (offset, target) => {
        if (this.#file !== null) preadInto(this.#file.fd, target, offset);
        else this.#memory?.copy(offset, target);
      },
    };
  }

  close(): void {
    if (this.#recorder !== null) this.stopRecording();
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
