// What a connection reads and writes: a disk in memory, or one in a file, with NBD's errors as results.

import {
  Arena,
  closeDescriptor,
  fallocate,
  fdatasync,
  fileStatus,
  NativeError,
  nextData,
  nextHole,
  openFile,
  preadInto,
  pwriteFrom,
} from '../../native/index.js';
import { STAGING_BYTES } from './limits.js';
import { ERROR } from './protocol.js';

export type StorageSource =
  | {
      readonly kind: 'memory';
      readonly fd: number;
      readonly segments: readonly SharedArrayBuffer[];
    }
  | { readonly kind: 'file'; readonly fd: number };

export interface Storage {
  /** Memory that data is sent from: the disk's own, or the connection's staging. */
  readonly arena: Arena;
  /** Payload may be received straight into the arena, at the disk's offsets. */
  readonly direct: boolean;
  /** At most so much per load(). */
  readonly loadBytesMax: number;
  /** Makes a range ready to be sent. @returns its place in the arena, or an NBD error as a negative number */
  load(offset: number, length: number): number;
  /** @returns an NBD error */
  store(offset: number, bytes: Uint8Array, from: number, until: number): number;
  flush(): number;
  /** At most TURN_BYTES: the range reads as zeroes afterwards. */
  zero(offset: number, length: number, keepBlocks: boolean, fast: boolean): number;
  /** Whether zero() would be fast. */
  zeroesFast(keepBlocks: boolean): boolean;
  /** Where data goes on at or after the offset: the length of the disk if it does not. */
  dataFrom(offset: number): number;
  holeFrom(offset: number): number;
}

function errorOf(error: unknown): number {
  if (!(error instanceof NativeError)) throw error;
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT' || error.code === 'EFBIG')
    return ERROR.ENOSPC;
  if (error.code === 'ENOTSUP') return ERROR.ENOTSUP;
  return ERROR.EIO;
}

function attempt(action: () => void): number {
  try {
    action();
    return ERROR.NONE;
  } catch (error) {
    return errorOf(error);
  }
}

/** Without SEEK_DATA, everything is data. */
function extentFrom(find: () => number, otherwise: number, sizeBytes: number): number {
  try {
    const found = find();
    return found < 0 ? sizeBytes : Math.min(found, sizeBytes);
  } catch (error) {
    errorOf(error);
    return otherwise;
  }
}

export class MemoryStorage implements Storage {
  readonly direct = true;
  readonly loadBytesMax = Number.MAX_SAFE_INTEGER;
  readonly arena: Arena;
  readonly #views: readonly Uint8Array[];
  readonly #segmentBytes: number;

  constructor(
    private readonly fd: number,
    segments: readonly SharedArrayBuffer[],
    private readonly sizeBytes: number,
  ) {
    this.#views = segments.map((segment) => new Uint8Array(segment));
    this.#segmentBytes = segments.at(0)?.byteLength ?? 1;
    this.arena = new Arena(this.#views);
  }

  load(offset: number): number {
    return offset;
  }

  store(offset: number, bytes: Uint8Array, from: number, until: number): number {
    for (let at = offset, done = from; done < until; ) {
      const view = this.#views.at(Math.floor(at / this.#segmentBytes));
      if (view === undefined) return ERROR.EIO;
      const within = at % this.#segmentBytes;
      const length = Math.min(until - done, view.byteLength - within);
      view.set(bytes.subarray(done, done + length), within);
      at += length;
      done += length;
    }
    return ERROR.NONE;
  }

  /** What is in memory is as durable as it gets. */
  flush(): number {
    return ERROR.NONE;
  }

  zero(offset: number, length: number, keepBlocks: boolean): number {
    if (!keepBlocks) return attempt(() => fallocate(this.fd, 'punch', offset, length));
    for (let at = offset; at < offset + length; ) {
      const view = this.#views.at(Math.floor(at / this.#segmentBytes));
      if (view === undefined) return ERROR.EIO;
      const within = at % this.#segmentBytes;
      const piece = Math.min(offset + length - at, view.byteLength - within);
      view.fill(0, within, within + piece);
      at += piece;
    }
    return ERROR.NONE;
  }

  zeroesFast(keepBlocks: boolean): boolean {
    return !keepBlocks;
  }

  dataFrom(offset: number): number {
    return extentFrom(() => nextData(this.fd, offset), offset, this.sizeBytes);
  }

  holeFrom(offset: number): number {
    return extentFrom(() => nextHole(this.fd, offset), this.sizeBytes, this.sizeBytes);
  }
}

/** A backing file as one worker has it open, for all connections. */
export class BackingFile {
  readonly fd: number;
  /** After a failed fdatasync what was written may be lost: no later one may say otherwise. */
  failed = false;

  /** Opens it again: errors of writeback are then reported here, whoever else has asked for them. */
  constructor(
    fd: number,
    readonly sizeBytes: number,
    readonly readOnly: boolean,
  ) {
    this.fd = openFile(`/proc/self/fd/${fd}`, { readOnly });
  }

  close(): void {
    closeDescriptor(this.fd);
  }
}

export class FileStorage implements Storage {
  readonly direct = false;
  readonly loadBytesMax = STAGING_BYTES;
  readonly arena: Arena;
  readonly #staging = new Uint8Array(new SharedArrayBuffer(STAGING_BYTES));
  /** Place for the next load; from the beginning again when everything was sent. */
  #used = 0;

  constructor(private readonly file: BackingFile) {
    this.arena = new Arena([this.#staging]);
  }

  /** Everything that was loaded has been sent. */
  reset(): void {
    this.#used = 0;
  }

  hasRoom(length: number): boolean {
    return STAGING_BYTES - this.#used >= length;
  }

  load(offset: number, length: number): number {
    const at = this.#used;
    const error = attempt(() => {
      const got = preadInto(this.file.fd, this.#staging.subarray(at, at + length), offset);
      if (got < length) throw new NativeError('EIO', 'pread', 'the backing file was truncated');
    });
    if (error !== ERROR.NONE) return -error;
    this.#used += length;
    return at;
  }

  store(offset: number, bytes: Uint8Array, from: number, until: number): number {
    return attempt(() => {
      this.#checkSize();
      pwriteFrom(this.file.fd, bytes.subarray(from, until), offset);
      this.#checkSize();
    });
  }

  flush(): number {
    if (this.file.failed) return ERROR.EIO;
    const error = attempt(() => {
      this.#checkSize();
      fdatasync(this.file.fd);
    });
    if (error !== ERROR.NONE) this.file.failed = true;
    return error;
  }

  zero(offset: number, length: number, keepBlocks: boolean, fast: boolean): number {
    const error = attempt(() => {
      this.#checkSize();
      fallocate(this.file.fd, keepBlocks ? 'zero' : 'punch', offset, length);
    });
    if (error !== ERROR.ENOTSUP || fast) return error;
    const zeroes = new Uint8Array(Math.min(length, STAGING_BYTES));
    for (let done = 0; done < length; done += zeroes.length) {
      const failed = this.store(offset + done, zeroes, 0, Math.min(zeroes.length, length - done));
      if (failed !== ERROR.NONE) return failed;
    }
    return ERROR.NONE;
  }

  /** Whether it is can only be told by trying. */
  zeroesFast(): boolean {
    return true;
  }

  dataFrom(offset: number): number {
    return extentFrom(() => nextData(this.file.fd, offset), offset, this.file.sizeBytes);
  }

  holeFrom(offset: number): number {
    const { fd, sizeBytes } = this.file;
    return extentFrom(() => nextHole(fd, offset), sizeBytes, sizeBytes);
  }

  /** A write past the end of a file that somebody truncated would let it grow, with zeroes where data was. */
  #checkSize(): void {
    if (fileStatus(this.file.fd).sizeBytes >= this.file.sizeBytes) return;
    throw new NativeError('EIO', 'fstat', 'the backing file was truncated');
  }
}
