// Wraps what a client opens into handles: which of its methods the data frames reach, and how it is closed.

import type { Opened } from './ipc/handles.js';
import type {
  FileHandle,
  MachineService,
  MappingHandle,
  PinHandle,
  VolumeSession,
} from './machine-service.js';
import { PinfoldError } from './protocol/errors.js';
import type { Region } from './region.js';
import type { ServedDisk } from './served-disk.js';
import { type Target, unsupported } from './target.js';

const nothing = (): Promise<void> => Promise.resolve();

export class OpenedDisk implements Opened {
  readonly kind = 'disk';
  readonly volume = 0;
  readonly pinnedBytes = 0;
  readonly label: string;
  readonly target: Target;
  readonly close = nothing;

  constructor(readonly disk: ServedDisk) {
    this.label = disk.label;
    this.target = disk;
  }
}

export class OpenedRegion implements Opened {
  readonly kind = 'region';
  readonly volume = 0;
  readonly pinnedBytes = 0;
  readonly target = null;
  readonly label: string;
  readonly close = nothing;

  constructor(region: Region) {
    this.label = `region ${region.name}`;
  }
}

export class OpenedVolume implements Opened {
  readonly kind = 'volume';
  readonly volume = 0;
  readonly pinnedBytes = 0;
  readonly target = null;
  readonly label: string;

  constructor(
    readonly name: string,
    readonly service: MachineService,
    readonly session: VolumeSession,
  ) {
    this.label = `volume ${name}`;
  }

  async close(): Promise<void> {
    await this.session.close();
  }
}

export class OpenedFile implements Opened, Target {
  readonly kind = 'file';
  readonly pinnedBytes = 0;
  readonly inline = null;
  readonly label: string;
  readonly target: Target;

  constructor(
    path: string,
    readonly volume: number,
    readonly file: FileHandle,
    private readonly writable: boolean,
  ) {
    this.label = `file ${path}`;
    this.target = this;
  }

  /** Any range can be read; past the end there is nothing. */
  checkRead(): void {
    // nothing to check
  }

  checkWrite(): void {
    if (this.writable) return;
    throw new PinfoldError('EBADF', `${this.label} was opened for reading only`);
  }

  async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<number> {
    return await this.file.pread(offset, target, signal);
  }

  async write(
    offset: number,
    data: Uint8Array,
    fua: boolean,
    signal: AbortSignal,
  ): Promise<number> {
    const written = await this.file.pwrite(offset, data, signal);
    if (fua) await this.file.fsync(signal); // O_DSYNC
    return written;
  }

  async flush(signal: AbortSignal): Promise<void> {
    await this.file.fsync(signal);
  }

  async discard(offset: number, lengthBytes: number, signal: AbortSignal): Promise<void> {
    this.checkWrite();
    await this.file.punch(offset, lengthBytes, signal);
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

export class OpenedMapping implements Opened, Target {
  readonly kind = 'mapping';
  readonly pinnedBytes = 0;
  readonly inline = null;
  readonly label: string;
  readonly target: Target;

  constructor(
    file: string,
    readonly volume: number,
    readonly lengthBytes: number,
    readonly mapping: MappingHandle,
    private readonly writable: boolean,
  ) {
    this.label = `mapping of ${file}`;
    this.target = this;
  }

  checkRead(offset: number, lengthBytes: number): void {
    checkInside(this.label, this.lengthBytes, 'load', offset, lengthBytes);
  }

  checkWrite(offset: number, lengthBytes: number): void {
    if (!this.writable)
      throw new PinfoldError('EACCES', `${this.label} is mapped for reading only`);
    checkInside(this.label, this.lengthBytes, 'store', offset, lengthBytes);
  }

  async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<number> {
    await this.mapping.load(offset, target, signal);
    return target.byteLength;
  }

  async write(
    offset: number,
    data: Uint8Array,
    _fua: boolean,
    signal: AbortSignal,
  ): Promise<number> {
    await this.mapping.store(offset, data, signal);
    return data.byteLength;
  }

  async flush(signal: AbortSignal): Promise<void> {
    await this.mapping.sync(signal);
  }

  discard(): Promise<void> {
    return Promise.reject(unsupported(this.label, 'discarded: punch the file instead'));
  }

  async close(): Promise<void> {
    await this.mapping.unmap();
  }
}

export class OpenedPin implements Opened, Target {
  readonly kind = 'pin';
  readonly inline = null;
  readonly label: string;
  readonly target: Target;

  constructor(
    mapping: string,
    readonly volume: number,
    readonly pinnedBytes: number,
    readonly pin: PinHandle,
    private readonly writable: boolean,
  ) {
    this.label = `pin in ${mapping}`;
    this.target = this;
  }

  checkRead(offset: number, lengthBytes: number): void {
    checkInside(this.label, this.pinnedBytes, 'DMA read', offset, lengthBytes);
  }

  checkWrite(offset: number, lengthBytes: number): void {
    if (!this.writable) throw new PinfoldError('EACCES', `${this.label} was taken without write`);
    checkInside(this.label, this.pinnedBytes, 'DMA write', offset, lengthBytes);
  }

  async read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<number> {
    await this.pin.dmaRead(offset, target, signal);
    return target.byteLength;
  }

  async write(
    offset: number,
    data: Uint8Array,
    _fua: boolean,
    signal: AbortSignal,
  ): Promise<number> {
    await this.pin.dmaWrite(offset, data, signal);
    return data.byteLength;
  }

  flush(): Promise<void> {
    return Promise.reject(unsupported(this.label, 'flushed: sync the file instead'));
  }

  discard(): Promise<void> {
    return Promise.reject(unsupported(this.label, 'discarded'));
  }

  /** Pages that a device could write are given back as dirty, as at the end of a process. */
  async close(): Promise<void> {
    await this.pin.unpin(this.writable);
  }
}

function checkInside(
  label: string,
  sizeBytes: number,
  what: string,
  offset: number,
  lengthBytes: number,
): void {
  if (offset + lengthBytes <= sizeBytes) return;
  throw new PinfoldError(
    'EFAULT',
    `${what} of ${lengthBytes} bytes at offset ${offset} is outside the ${label}, which has ${sizeBytes} bytes`,
  );
}
