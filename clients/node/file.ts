// An open file of a volume, a mapping of it, and pinned pages of the mapping. They go with their connection.

import { PinfoldError } from '../../daemon/protocol/errors.js';
import { FRAME } from '../../daemon/protocol/frame.js';
import { METHODS, type Stat } from '../../daemon/protocol/methods.js';
import type { WriteOptions } from './disk.js';
import type { Link } from './link.js';
import type { CallOptions, Owner } from './owner.js';
import { discardRange, readInto, writeAll } from './transfer.js';

/** Something that the daemon holds for as long as the connection lasts. */
class Held {
  protected released = false;

  constructor(
    protected readonly client: Owner,
    private readonly opened: Link,
    protected readonly handle: number,
    /** As messages name it. */
    private readonly label: string,
  ) {}

  /** The connection it lives on. @throws PinfoldError EBADF if that is gone, or it was given back */
  protected get link(): Link {
    if (this.released) throw new PinfoldError('EBADF', `the ${this.label} was given back`);
    if (this.client.link === this.opened) return this.opened;
    throw new PinfoldError(
      'EBADF',
      `the ${this.label} went with its connection: the daemon released it, open it again`,
    );
  }

  /** True while it can be used. */
  get isOpen(): boolean {
    return !this.released && this.client.link === this.opened;
  }

  protected async release(): Promise<void> {
    if (!this.isOpen) return;
    this.released = true;
    await this.opened.call(METHODS.release, { handle: this.handle });
  }
}

export class File extends Held {
  /** Use volume.open(). */
  constructor(
    client: Owner,
    link: Link,
    handle: number,
    readonly path: string,
  ) {
    super(client, link, handle, `file ${path}`);
  }

  /** @returns fewer bytes than asked for only at the end of the file */
  async pread(offset: number, lengthBytes: number, options: CallOptions = {}): Promise<Buffer> {
    const target = Buffer.allocUnsafe(lengthBytes);
    return target.subarray(0, await this.preadInto(offset, target, options));
  }

  /** Like pread(), into memory of the caller. @returns bytes read */
  async preadInto(offset: number, target: Uint8Array, options: CallOptions = {}): Promise<number> {
    return await readInto(this.link, this.handle, offset, target, options.signal);
  }

  /** Writes all of `data`. `fua` makes it durable as well (O_DSYNC). */
  async pwrite(offset: number, data: Uint8Array, options: WriteOptions = {}): Promise<void> {
    const fua = options.fua ?? false;
    await writeAll(this.link, this.handle, offset, data, fua, options.signal);
  }

  async fsync(options: CallOptions = {}): Promise<void> {
    await this.link.request(FRAME.FLUSH, 0, this.handle, 0, 0, null, null, options.signal);
  }

  async truncate(sizeBytes: number, options: CallOptions = {}): Promise<void> {
    const params = { handle: this.handle, sizeBytes };
    await this.link.call(METHODS.fileTruncate, params, options.signal);
  }

  /** Makes a hole that reads as zeroes; the size stays. */
  async punch(offset: number, lengthBytes: number, options: CallOptions = {}): Promise<void> {
    await discardRange(this.link, this.handle, offset, lengthBytes, options.signal);
  }

  async stat(options: CallOptions = {}): Promise<Stat> {
    return await this.link.call(METHODS.fileStat, { handle: this.handle }, options.signal);
  }

  /** Maps a range (in whole pages) into the address space that this client has on the volume. */
  async map(
    offsetBytes: number,
    lengthBytes: number,
    options: CallOptions & { readonly writable?: boolean } = {},
  ): Promise<Mapping> {
    const { writable = true, signal } = options;
    const link = this.link;
    const params = { handle: this.handle, offsetBytes, lengthBytes, writable };
    const { handle } = await link.call(METHODS.fileMap, params, signal);
    return new Mapping(this.client, link, handle, this.path, lengthBytes);
  }

  /** Mappings of it stay. */
  async close(): Promise<void> {
    await this.release();
  }
}

export interface PinOptions extends CallOptions {
  /** The device is going to store into the pages (FOLL_WRITE). Default: true. */
  readonly write?: boolean;
  /** Held for as long as one likes (FOLL_LONGTERM), as RDMA does. Default: false. */
  readonly longterm?: boolean;
}

export class Mapping extends Held {
  /** Use file.map(). */
  constructor(
    client: Owner,
    link: Link,
    handle: number,
    path: string,
    readonly lengthBytes: number,
  ) {
    super(client, link, handle, `mapping of ${path}`);
  }

  /** Loads bytes as a CPU of the machine does, with page faults. */
  async load(offset: number, lengthBytes: number, options: CallOptions = {}): Promise<Buffer> {
    const target = Buffer.allocUnsafe(lengthBytes);
    await readInto(this.link, this.handle, offset, target, options.signal);
    return target;
  }

  /** Stores bytes as a CPU of the machine does, with page faults. */
  async store(offset: number, data: Uint8Array, options: CallOptions = {}): Promise<void> {
    await writeAll(this.link, this.handle, offset, data, false, options.signal);
  }

  /** Writes dirty pages back and waits for it (msync). */
  async sync(options: CallOptions = {}): Promise<void> {
    await this.link.request(FRAME.FLUSH, 0, this.handle, 0, 0, null, null, options.signal);
  }

  /** Pins the pages of a range for a device. @throws PinfoldError EFAULT, ENOMEM beyond the limit on pins */
  async pin(offsetBytes: number, lengthBytes: number, options: PinOptions = {}): Promise<Pin> {
    const { write = true, longterm = false, signal } = options;
    const link = this.link;
    const params = { handle: this.handle, offsetBytes, lengthBytes, write, longterm };
    const { handle, pages } = await link.call(METHODS.mappingPin, params, signal);
    return new Pin(this.client, link, handle, lengthBytes, pages, write);
  }

  /** Pins stay. */
  async unmap(): Promise<void> {
    await this.release();
  }
}

export class Pin extends Held {
  /** Use mapping.pin(). */
  constructor(
    client: Owner,
    link: Link,
    handle: number,
    readonly lengthBytes: number,
    readonly pages: number,
    private readonly write: boolean,
  ) {
    super(client, link, handle, 'pin');
  }

  /** The device stores into the pinned pages, asking nobody. `offset` counts from the beginning of the pin. */
  async dmaWrite(offset: number, data: Uint8Array, options: CallOptions = {}): Promise<void> {
    await writeAll(this.link, this.handle, offset, data, false, options.signal);
  }

  async dmaRead(offset: number, lengthBytes: number, options: CallOptions = {}): Promise<Buffer> {
    const target = Buffer.allocUnsafe(lengthBytes);
    await readInto(this.link, this.handle, offset, target, options.signal);
    return target;
  }

  /** Gives the pages back, marked dirty if the device wrote (unpin_user_pages_dirty_lock). */
  async unpin(options: { readonly dirty?: boolean } = {}): Promise<void> {
    if (!this.isOpen) return;
    const link = this.link;
    this.released = true;
    const { dirty = this.write } = options;
    await link.call(METHODS.pinRelease, { handle: this.handle, dirty });
  }
}
