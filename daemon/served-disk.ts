// A disk as all its clients see it: plain, or through the disks' thread, which is the only one to know of caches and faults.

import type { z } from 'zod';
import type { Disk, DiskCache, DiskStorage } from './disk.js';
import { DiskFaults } from './faults/disk-faults.js';
import { DiskLink } from './nbd/link.js';
import type { Command } from './nbd/messages.js';
import type { NbdServer } from './nbd/server.js';
import { PinfoldError } from './protocol/errors.js';
import { type Cut, cutSchema } from './protocol/methods.js';
import { DiskRecording } from './recording.js';
import type { InlineBytes } from './target.js';

export class ServedDisk implements Disk {
  readonly name: string;
  readonly label: string;
  readonly sizeBytes: number;
  readonly backing: string;
  readonly readOnly: boolean;
  readonly storage: DiskStorage;
  readonly faults = new DiskFaults(this);
  readonly recording = new DiskRecording(this);
  /** Why it is not served as a plain disk. */
  readonly #reasons = new Set<string>();
  /** Requests that the plain disk is busy with, and who waits for their end. */
  #plainRequests = 0;
  readonly #awaitingQuiet: (() => void)[] = [];
  #link: DiskLink | null = null;
  #thread: NbdServer | null = null;

  /** @param cache with one it is never plain */
  constructor(
    private readonly plain: Disk,
    readonly cache: DiskCache | null = null,
  ) {
    const { name, label, sizeBytes, backing, readOnly, storage } = plain;
    this.name = name;
    this.label = label;
    this.sizeBytes = sizeBytes;
    this.backing = backing;
    this.readOnly = readOnly;
    this.storage = storage;
    if (cache !== null) this.#reasons.add('cache');
  }

  /** The thread that can serve it. */
  get thread(): NbdServer {
    if (this.#thread === null) throw new Error(`the thread of ${this.label} has not been started`);
    return this.#thread;
  }

  set thread(thread: NbdServer) {
    this.#thread = thread;
  }

  /** Commands the thread. @throws what the command throws */
  async call<T>(command: Command, result: z.ZodType<T>): Promise<T> {
    return await this.thread.call(command, result);
  }

  get inline(): InlineBytes | null {
    return this.#reasons.size > 0 ? null : this.plain.inline;
  }

  /**
   * From now on, until the last reason is gone, requests go through the thread. Ends when none is under way that does not.
   * @param reason 'faults', 'cache', ...
   */
  async enterThread(reason: string): Promise<void> {
    this.#reasons.add(reason);
    while (this.#plainRequests > 0) {
      await new Promise<void>((resolve) => this.#awaitingQuiet.push(resolve));
    }
  }

  leaveThread(reason: string): void {
    this.#reasons.delete(reason);
  }

  checkRead(offset: number, lengthBytes: number): void {
    this.plain.checkRead(offset, lengthBytes);
  }

  checkWrite(offset: number, lengthBytes: number): void {
    this.plain.checkWrite(offset, lengthBytes);
  }

  async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<number> {
    return await this.#run(
      async (disk) => await disk.read(offset, target, signal),
      async (link) => {
        await link.read(offset, target, signal);
        return target.byteLength;
      },
    );
  }

  async write(
    offset: number,
    data: Uint8Array,
    fua: boolean,
    signal: AbortSignal,
  ): Promise<number> {
    return await this.#run(
      async (disk) => await disk.write(offset, data, fua, signal),
      async (link) => {
        await link.write(offset, data, fua, signal);
        return data.byteLength;
      },
    );
  }

  async flush(signal: AbortSignal): Promise<void> {
    await this.#run(
      async (disk) => await disk.flush(signal),
      async (link) => await link.flush(signal),
    );
  }

  async discard(offset: number, lengthBytes: number, signal: AbortSignal): Promise<void> {
    await this.#run(
      async (disk) => await disk.discard(offset, lengthBytes, signal),
      async (link) => {
        this.plain.checkWrite(offset, lengthBytes);
        await link.discard(offset, lengthBytes, signal);
      },
    );
  }

  /**
   * Cuts the power: connections die, unanswered requests end with EIO, and the disk comes back with one of the images that
   * its cache might have left.
   * @param state see pick() of engine/block/power-cut.ts; `random` and `adversarial` may come without a seed
   * @throws PinfoldError EINVAL for a disk without a cache, or a state that does not fit; nothing has happened then
   */
  async cut(state: string): Promise<Cut> {
    if (this.cache === null) {
      throw new PinfoldError(
        'EINVAL',
        `${this.label} has no volatile cache, so a power cut takes nothing: serve it with cache=volatile`,
      );
    }
    const link = this.#link;
    const result = await this.call({ kind: 'cut', disk: this.name, state }, cutSchema);
    // Its end may not have been noticed yet.
    if (this.#link === link) this.#link = null;
    link?.close();
    return result;
  }

  async close(): Promise<void> {
    this.#link?.close();
    await this.plain.close();
  }

  async #run<T>(
    onPlain: (disk: Disk) => Promise<T>,
    onLink: (link: DiskLink) => Promise<T>,
  ): Promise<T> {
    if (this.#reasons.size > 0) return await onLink(this.#openLink());
    this.#plainRequests++;
    try {
      return await onPlain(this.plain);
    } finally {
      if (--this.#plainRequests === 0) for (const wake of this.#awaitingQuiet.splice(0)) wake();
    }
  }

  /** A new one after the disk has lost power. */
  #openLink(): DiskLink {
    if (this.#link === null || this.#link.ended) {
      this.#link = new DiskLink(this.thread.connect(this.name), this.label);
    }
    return this.#link;
  }
}
