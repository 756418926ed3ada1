// A disk in memory whose answers are postponed, by a clock of its own, and whose storage is replaced while clients use it.

import type { OpenableExport } from '../../../../daemon/nbd/connection-host.js';
import { MemoryStorage } from '../../../../daemon/nbd/memory-storage.js';
import type { Request } from '../../../../daemon/nbd/replies.js';
import type { Clock, Storage } from '../../../../daemon/nbd/storage.js';
import { WrittenPages } from '../../../../daemon/written-pages.js';
import type { Memory } from '../../../../native/index.js';

class LateStorage extends MemoryStorage {
  #requests = 0;

  constructor(
    memory: Memory,
    override readonly clock: Clock,
    written: WrittenPages,
  ) {
    super(memory.fd, memory.segments, memory.lengthBytes, written);
  }

  /** Every third request is answered at once. */
  override begin(request?: Request): number {
    const number = ++this.#requests;
    if (request !== undefined && number % 3 > 0) request.delayUs = (number * 7919) % 1000;
    return super.begin();
  }
}

export class LateDisk implements OpenableExport {
  readonly description = 'answers later';
  readonly readOnly = false;
  readonly sizeBytes: number;
  epoch = 0;
  readonly #storages: readonly [Storage, Storage];

  constructor(
    readonly name: string,
    memory: Memory,
    clock: Clock,
  ) {
    this.sizeBytes = memory.lengthBytes;
    const written = new WrittenPages(memory.lengthBytes);
    const storage = (): Storage => new LateStorage(memory, clock, written);
    this.#storages = [storage(), storage()];
  }

  open(): Storage {
    return this.#storages[this.epoch % 2 === 0 ? 0 : 1];
  }
}
