// A disk in memory: reads and writes are copies, made at once on the event loop.

import { createMemory, type Memory } from '../native/index.js';
import { checkDiskRange, checkDiskWritable, type Disk, type DiskStorage } from './disk.js';
import { MemoryBytes } from './memory-bytes.js';
import type { InlineBytes } from './target.js';
import { WrittenPages } from './written-pages.js';

/** Memory given back in one turn of the event loop: about a millisecond. */
const DISCARD_TURN_BYTES = 16 * 1024 * 1024;

export class MemoryDisk implements Disk {
  readonly label: string;
  readonly cache = null;
  readonly backing = 'memory';
  readonly inline: InlineBytes;
  readonly #memory: Memory;
  readonly #written: WrittenPages;

  constructor(
    readonly name: string,
    readonly sizeBytes: number,
    readonly readOnly = false,
  ) {
    this.label = `disk ${name}`;
    this.#memory = createMemory(sizeBytes, { name: `pinfold-disk-${name}` });
    this.#written = new WrittenPages(sizeBytes);
    this.inline = new MemoryBytes(this.#memory.segments, this.#written);
  }

  get storage(): DiskStorage {
    const { fd, segments } = this.#memory;
    return { kind: 'memory', fd, segments: [...segments], written: this.#written.shared };
  }

  checkRead(offset: number, lengthBytes: number): void {
    checkDiskRange(this, 'read', offset, lengthBytes, 'EINVAL');
  }

  checkWrite(offset: number, lengthBytes: number): void {
    checkDiskWritable(this, 'write');
    checkDiskRange(this, 'write', offset, lengthBytes, 'ENOSPC');
  }

  read(offset: number, target: Uint8Array): Promise<number> {
    this.inline.copyOut(offset, target);
    return Promise.resolve(target.byteLength);
  }

  write(offset: number, data: Uint8Array): Promise<number> {
    this.inline.copyIn(offset, data);
    return Promise.resolve(data.byteLength);
  }

  /** What is in memory is as durable as it gets. */
  flush(): Promise<void> {
    return Promise.resolve();
  }

  async discard(offset: number, lengthBytes: number, signal: AbortSignal): Promise<void> {
    checkDiskWritable(this, 'discard');
    checkDiskRange(this, 'discard', offset, lengthBytes, 'EINVAL');
    for (let done = 0; done < lengthBytes && !signal.aborted; done += DISCARD_TURN_BYTES) {
      const at = offset + done;
      const piece = Math.min(DISCARD_TURN_BYTES, lengthBytes - done);
      this.#written.discard(at, piece, () => this.#memory.discard(at, piece));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): Promise<void> {
    this.#memory.close();
    return Promise.resolve();
  }
}
