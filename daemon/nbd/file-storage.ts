// A plain disk in a file, as a connection reads and writes it: through memory of the connection, by system calls that
// block the thread.

import {
  Arena,
  fallocate,
  fdatasync,
  fileStatus,
  NativeError,
  nextData,
  nextHole,
  preadInto,
  pwriteFrom,
} from '../../native/index.js';
import type { BackingFile } from './backing-file.js';
import type { FileSync } from './file-sync.js';
import { STAGING_BYTES } from './limits.js';
import { ERROR } from './protocol.js';
import type { Replies } from './replies.js';
import { attempt, extentFrom, PlainStorage, type Storage, type Waiter } from './storage.js';

export class FileStorage extends PlainStorage implements Storage {
  readonly pieceBytesMax = STAGING_BYTES;
  readonly receives = false;
  readonly endsAtOnce = false;
  readonly arena: Arena;
  readonly #staging = new Uint8Array(new SharedArrayBuffer(STAGING_BYTES));
  /** Place for what is read next; from the beginning again when everything was sent. */
  #used = 0;

  /** Who is answered later; null: a flush takes the thread's time. */
  #waiter: Waiter | null = null;
  #sync: FileSync | null = null;

  /** @param unused is told when a connection has closed it: another one may have it then */
  constructor(
    private readonly file: BackingFile,
    private readonly unused: (storage: FileStorage) => void,
  ) {
    super();
    this.arena = new Arena([this.#staging]);
  }

  /** From now on FLUSH and FUA are done elsewhere, and answered later. */
  answerLater(sync: FileSync, waiter: Waiter): void {
    this.#sync = sync;
    this.#waiter = waiter;
  }

  override close(): void {
    this.#sync = null;
    this.#waiter = null;
    this.unused(this);
  }

  canRead(length: number, replies: Replies): boolean {
    if (replies.empty) this.#used = 0;
    return STAGING_BYTES - this.#used >= length;
  }

  read(offset: number, length: number, replies: Replies): number {
    const at = this.#used;
    const error = this.copy(offset, this.#staging.subarray(at, at + length));
    if (error !== ERROR.NONE) return error;
    this.#used += length;
    replies.data(at, length);
    return ERROR.NONE;
  }

  copy(offset: number, target: Uint8Array): number {
    return attempt(() => {
      if (preadInto(this.file.fd, target, offset) === target.length) return;
      throw new NativeError('EIO', 'pread', 'the backing file was truncated');
    });
  }

  receive(): number {
    throw new RangeError('only store() takes payload');
  }

  store(at: number, bytes: Uint8Array, from: number, until: number): number {
    return attempt(() => {
      this.#checkSize();
      pwriteFrom(this.file.fd, bytes.subarray(from, until), at);
      this.#checkSize();
    });
  }

  endWrite(fua: boolean): number {
    return fua ? this.flush() : ERROR.NONE;
  }

  flush(): number {
    if (this.file.failed) return ERROR.EIO;
    const sync = this.#sync;
    const waiter = this.#waiter;
    const error = attempt(() => {
      this.#checkSize();
      if (sync === null) fdatasync(this.file.fd);
    });
    if (error === ERROR.NONE && sync !== null && waiter !== null) return -sync.ask(waiter);
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

  endZero(fua: boolean): number {
    return fua ? this.flush() : ERROR.NONE;
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
