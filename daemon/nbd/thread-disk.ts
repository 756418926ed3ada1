// A disk as the disks' thread has it: what a connection to it reads and writes at the moment.

import type { VolatileCache } from '../../engine/block/volatile-cache.js';
import { PinfoldError } from '../protocol/errors.js';
import type { RecordingSummary } from '../protocol/methods.js';
import { WrittenPages } from '../written-pages.js';
import { BackingFile } from './backing-file.js';
import type { OpenableExport } from './connection-host.js';
import { checkCut, type PlannedCut, planCut } from './cut.js';
import { openCache } from './disk-cache.js';
import { FaultStorage, type Staging } from './fault-storage.js';
import { FileStorage } from './file-storage.js';
import { FileSync } from './file-sync.js';
import { OWN_LOAD } from './loads.js';
import { MemoryStorage } from './memory-storage.js';
import type { DiskData } from './messages.js';
import { Recorder, type RecordingOptions } from './recorder.js';
import type { RemoteLink } from './remote-link.js';
import { attempt, type Storage, type Waiter } from './storage.js';
import { ThreadFaults } from './thread-faults.js';
import { VolatileStorage } from './volatile-storage.js';

export class ThreadDisk implements OpenableExport {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly faults: ThreadFaults;
  readonly #file: BackingFile | null;
  readonly #sync: FileSync | null;
  readonly #cache: VolatileCache | null;
  readonly #cacheShape: DiskData['cache'];
  /** Of a disk in memory: it keeps nothing of a connection. */
  readonly #memory: MemoryStorage | null;
  /** Of connections that are over, for the next ones: a thread without an event loop never frees an Arena. */
  readonly #unused: FileStorage[] = [];
  readonly #stagings: Staging[] = [];
  #recorder: Recorder | null = null;
  #epoch = 0;
  /** What is about to be done to it while no other thread may serve it. */
  #changes = 0;

  /**
   * @param remote makes files durable without holding up this thread; null: this thread does
   * @param onFault called after each firing of a fault layer
   * @param leaves whether a connection goes on in another thread, which knows disks in memory, perhaps with a cache, only
   */
  constructor(
    data: DiskData,
    remote: RemoteLink | null,
    onFault: () => void,
    private readonly leaves: (waiter: Waiter) => boolean,
  ) {
    const { name, description, sizeBytes, readOnly, source } = data;
    this.name = name;
    this.description = description;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
    this.#file = source.kind === 'file' ? new BackingFile(source.fd, sizeBytes, readOnly) : null;
    this.#sync = this.#file === null || remote === null ? null : new FileSync(remote, this.#file);
    this.#cacheShape = data.cache;
    this.#cache = openCache(data, this.#file?.fd ?? null, OWN_LOAD);
    const changed = (): void => {
      this.#epoch++;
    };
    this.faults = new ThreadFaults(name, sizeBytes, changed, onFault);
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

  /** Connections are asked again whether they stay here. */
  reopen(): void {
    this.#epoch++;
  }

  /** As long as there is one, no connection leaves. @returns ends it */
  beginChange(): () => void {
    this.#changes++;
    return () => {
      this.#changes--;
    };
  }

  /** Whether peers can serve it. */
  get #isShared(): boolean {
    return (
      this.#memory !== null &&
      this.#recorder === null &&
      this.#changes === 0 &&
      this.faults.stack.layers.length === 0
    );
  }

  open(waiter: Waiter): Storage | null {
    if (this.#isShared && this.leaves(waiter)) return null;
    const { stack, clock } = this.faults;
    const disk = this.#openBase();
    disk.clock = clock;
    const base = this.#recorder?.watch(disk, this.#cache === null) ?? disk;
    // What lies above a storage wants to hear at once how a flush has ended.
    const isBare = base === disk && stack.layers.length === 0;
    if (isBare && disk instanceof FileStorage && this.#sync !== null) {
      disk.answerLater(this.#sync, waiter);
    }
    return stack.layers.length === 0
      ? base
      : new FaultStorage(base, stack, clock, this.sizeBytes, this.#stagings);
  }

  /** Connections tell what they do from their next request on. @throws PinfoldError EBUSY; see Recorder.start() */
  record(options: RecordingOptions): { unitBytes: number } {
    if (this.#recorder !== null)
      throw new PinfoldError('EBUSY', `disk ${this.name} is recorded already: stop that first`);
    const storage = this.#openBase();
    const { sizeBytes } = this;
    this.#recorder = Recorder.start({ sizeBytes, cache: this.#cacheShape, storage }, options);
    storage.close();
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

  /** Null if it is not recorded. */
  recordingSoFar(): RecordingSummary | null {
    return this.#recorder?.summary ?? null;
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

  /** Its power was cut: what follows has nothing to do with what was recorded. */
  afterCut(): void {
    this.#recorder?.interrupt(`the power of disk ${this.name} was cut`);
  }

  /** @throws PinfoldError EINVAL without a volatile cache; see checkCut() */
  checkCut(state: string): void {
    checkCut(this.#ownCache, state);
  }

  /** @throws PinfoldError EINVAL without a volatile cache; see planCut() */
  planCut(state: string): PlannedCut {
    return planCut(this.#ownCache, state);
  }

  get #ownCache(): VolatileCache {
    if (this.#cache !== null) return this.#cache;
    throw new PinfoldError('EINVAL', `disk ${this.name} has no volatile cache`);
  }

  /** An orderly end: what is in the cache gets to the file. What can't was never flushed. */
  close(): void {
    const cache = this.#cache;
    if (cache !== null) attempt(() => cache.lock.hold(() => cache.settleAll()));
    if (this.#recorder !== null) this.stopRecording();
    this.#file?.close();
  }

  /** The disk without its faults: its cache, or its own memory or file. */
  #openBase(): Storage {
    if (this.#cache !== null) {
      return new VolatileStorage(this.#cache, this.sizeBytes, this.#file?.fd ?? null);
    }
    if (this.#memory !== null) return this.#memory;
    if (this.#file === null) throw new RangeError(`the backing file of ${this.name} is not open`);
    return (
      this.#unused.pop() ?? new FileStorage(this.#file, (storage) => this.#unused.push(storage))
    );
  }
}
