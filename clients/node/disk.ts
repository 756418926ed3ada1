// A disk of the daemon. It comes back by itself after a reconnection.

import { FRAME } from '../../daemon/protocol/frame.js';
import {
  type Cut,
  type Fault,
  type FaultLayer,
  METHODS,
  type RecordingStatus,
  type RecordingSummary,
} from '../../daemon/protocol/methods.js';
import type { Link } from './link.js';
import type { CallOptions, Owner } from './owner.js';
import { discardRange, readInto, writeAll } from './transfer.js';

export interface WriteOptions extends CallOptions {
  /** Durable before it returns (force unit access). */
  readonly fua?: boolean;
}

export interface CutOptions extends CallOptions {
  /**
   * `drop-all`, `keep-all`, `prefix:N`, `random:SEED`, `adversarial:SEED` (a seed is drawn if it is left away), or a state
   * that an earlier cut has returned. Default: `random`.
   */
  readonly state?: string;
}

export interface AddedFault {
  readonly id: number;
  readonly fault: string;
}

export interface AddFaultOptions extends CallOptions {
  /** The number of the layer that is to be asked right after it. Default: it is asked last. */
  readonly before?: number;
}

export interface WaitForFaultOptions extends CallOptions {
  /** How often it must have fired since it came. Default: once. */
  readonly times?: number;
}

export interface RecordOptions extends CallOptions {
  /** Bytes that survive a power cut together: 512 or 4096. Default: as the disk has it, or 512. */
  readonly unitBytes?: 512 | 4096;
  /** A trimmed unit may read as garbage after a power cut, drawn from the seed. Default: false, and 1. */
  readonly garbage?: boolean;
  readonly seed?: number;
}

export class Disk {
  #link: Link;
  #handle: number;

  private constructor(
    private readonly client: Owner,
    readonly name: string,
    readonly sizeBytes: number,
    /** Offsets and lengths are multiples of it. */
    readonly sectorBytes: number,
    link: Link,
    handle: number,
  ) {
    this.#link = link;
    this.#handle = handle;
  }

  /** Use client.disk(). */
  static async open(client: Owner, name: string, signal?: AbortSignal): Promise<Disk> {
    const link = await client.up();
    const { handle, sizeBytes, sectorBytes } = await link.call(METHODS.diskOpen, { name }, signal);
    return new Disk(client, name, sizeBytes, sectorBytes, link, handle);
  }

  /** @throws PinfoldError EINVAL outside the disk or not in whole sectors; EIO */
  async read(offset: number, lengthBytes: number, options: CallOptions = {}): Promise<Buffer> {
    const target = Buffer.allocUnsafe(lengthBytes);
    await this.readInto(offset, target, options);
    return target;
  }

  /** Like read(), into memory of the caller. @returns bytes read: all that it holds */
  readInto(offset: number, target: Uint8Array, options: CallOptions = {}): Promise<number> {
    if (this.client.link === this.#link) {
      return readInto(this.#link, this.#handle, offset, target, options.signal);
    }
    return this.#reopen(options).then(() => this.readInto(offset, target, options));
  }

  /** @throws PinfoldError ENOSPC outside the disk, EINVAL not in whole sectors; EIO, ENOSPC of the backing file */
  async write(offset: number, data: Uint8Array, options: WriteOptions = {}): Promise<void> {
    if (this.client.link !== this.#link) await this.#reopen(options);
    const fua = options.fua ?? false;
    await writeAll(this.#link, this.#handle, offset, data, fua, options.signal);
  }

  /** Makes all writes that have returned durable. */
  async flush(options: CallOptions = {}): Promise<void> {
    if (this.client.link !== this.#link) await this.#reopen(options);
    await this.#link.request(FRAME.FLUSH, 0, this.#handle, 0, 0, null, null, options.signal);
  }

  /** The range reads as zeroes afterwards and takes no space. */
  async discard(offset: number, lengthBytes: number, options: CallOptions = {}): Promise<void> {
    if (this.client.link !== this.#link) await this.#reopen(options);
    await discardRange(this.#link, this.#handle, offset, lengthBytes, options.signal);
  }

  /**
   * Cuts the power of a disk with a volatile cache: connections die, requests under way end with EIO, and the disk holds
   * one of the images that were possible. This object stays usable.
   * @throws PinfoldError EINVAL for a disk without a volatile cache, or a state that is unknown or does not fit
   */
  async cut(options: CutOptions = {}): Promise<Cut> {
    if (this.client.link !== this.#link) await this.#reopen(options);
    const { state = 'random', signal } = options;
    return await this.#link.call(METHODS.diskCut, { handle: this.#handle, state }, signal);
  }

  /**
   * Adds a fault layer: `error,errno=EIO,op=write`, or an object with `kind` and these keys.
   * @returns its number on this disk, and the fault as text with the seed that was drawn if none was given
   * @throws PinfoldError EINVAL naming the key and what is allowed; ENOENT for `before`, ENOSPC
   */
  async addFault(fault: Fault, options: AddFaultOptions = {}): Promise<AddedFault> {
    const { before = null, signal } = options;
    const link = await this.client.up();
    return await link.call(METHODS.diskFaultAdd, { name: this.name, fault, before }, signal);
  }

  /** The fault layers, in the order in which they are asked. */
  async faults({ signal }: CallOptions = {}): Promise<FaultLayer[]> {
    const link = await this.client.up();
    return (await link.call(METHODS.diskFaultList, { name: this.name }, signal)).layers;
  }

  /** Takes one fault layer away, or all. @returns how many @throws PinfoldError ENOENT */
  async clearFaults(id: number | null = null, { signal }: CallOptions = {}): Promise<number> {
    const link = await this.client.up();
    return (await link.call(METHODS.diskFaultClear, { name: this.name, id }, signal)).cleared;
  }

  /**
   * Waits until a fault layer has fired so many times.
   * @returns how often it has
   * @throws PinfoldError ENOENT, also if it is cleared meanwhile; AbortError
   */
  async waitForFault(id: number, options: WaitForFaultOptions = {}): Promise<number> {
    const { times = 1, signal } = options;
    const link = await this.client.up();
    return (await link.call(METHODS.diskFaultWait, { name: this.name, id, times }, signal)).fired;
  }

  /**
   * Records what happens to the disk until stopRecording(), for pinfold crash explore. What it holds now counts as durable.
   * @param path a new file on the daemon's machine, absolute
   * @throws PinfoldError EBUSY if it is recorded already; EEXIST, ENOENT, EACCES, ENOSPC
   */
  async record(path: string, options: RecordOptions = {}): Promise<{ unitBytes: number }> {
    const { unitBytes = null, garbage = false, seed = 1, signal } = options;
    const link = await this.client.up();
    const params = { name: this.name, path, unitBytes, garbage, seed };
    return await link.call(METHODS.diskRecordStart, params, signal);
  }

  /** @throws PinfoldError EINVAL if it is not recorded */
  async stopRecording({ signal }: CallOptions = {}): Promise<RecordingSummary> {
    const link = await this.client.up();
    return await link.call(METHODS.diskRecordStop, { name: this.name }, signal);
  }

  /** The recording that runs, or the last one; null if there was none. */
  async recording({ signal }: CallOptions = {}): Promise<RecordingStatus | null> {
    const link = await this.client.up();
    const { recording } = await link.call(METHODS.diskRecordStatus, { name: this.name }, signal);
    return recording;
  }

  /** Notes a word in the recording, which checkers get to see: that a transaction was committed, say. */
  async mark(text: string, { signal }: CallOptions = {}): Promise<void> {
    const link = await this.client.up();
    await link.call(METHODS.diskRecordMark, { name: this.name, text }, signal);
  }

  async close(): Promise<void> {
    if (this.client.link !== this.#link) return; // went with its connection
    await this.#link.call(METHODS.release, { handle: this.#handle });
  }

  async #reopen({ signal }: CallOptions): Promise<void> {
    const link = await this.client.up();
    if (link === this.#link) return;
    const { handle } = await link.call(METHODS.diskOpen, { name: this.name }, signal);
    this.#handle = handle;
    this.#link = link;
  }
}
