// Opening what is behind a block device: a backing file, locked against a second user, or memory.

import { statSync } from 'node:fs';
import {
  closeDescriptor,
  createMemory,
  fallocate,
  fileStatus,
  lockFile,
  openFile,
  truncateFile,
} from '../../native/index.js';
import { Errno, type ErrnoCode } from '../sched/errors.js';

/** An open disk; its descriptor may be used by all threads of the process. */
export interface Disk {
  readonly fd: number;
  readonly sizeBytes: number;
  /** For messages. */
  readonly name: string;
  /** Closes the descriptor, which also gives the lock up. */
  close(): void;
}

/** How to open a backing file. */
export interface DiskOptions {
  /** Make the file of this size if it is missing, or let an empty one grow to it; 0: it must be there. */
  readonly createBytes?: number;
  /** Refuse a smaller file. */
  readonly leastBytes?: number;
  /** Reserve all blocks now, so that the host cannot run out of space for them later. */
  readonly preallocate?: boolean;
}

/**
 * Opens a backing file (or host block device) and locks it.
 * @throws Errno EBUSY (lock held by pid N), ENOENT, EACCES, EINVAL (too small, no regular file), ENOSPC, EIO
 */
export function openDisk(path: string, options: DiskOptions = {}): Disk {
  const { createBytes = 0, leastBytes = 0, preallocate = false } = options;
  checkKind(path, createBytes > 0);
  const fd = native(path, () => openFile(path, { create: createBytes > 0 }));
  try {
    lockOrExplain(path, fd);
    const sizeBytes = native(path, () => sizeFor(fd, createBytes, preallocate));
    if (sizeBytes < leastBytes) {
      throw new Errno(
        'EINVAL',
        `${path} has ${String(sizeBytes)} B, ${String(leastBytes)} are needed: give another file, or make this one larger`,
      );
    }
    return new OpenDisk(path, fd, sizeBytes, () => {
      closeDescriptor(fd);
    });
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}

/** A disk in memory (memfd), gone when it is closed. @param sizeBytes a multiple of 4096 */
export function memoryDisk(sizeBytes: number): Disk {
  const memory = native('a disk in memory', () =>
    createMemory(sizeBytes, { name: 'pinfold-disk' }),
  );
  return new OpenDisk('memory', memory.fd, sizeBytes, () => {
    memory.close();
  });
}

class OpenDisk implements Disk {
  private open = true;

  constructor(
    readonly name: string,
    readonly fd: number,
    readonly sizeBytes: number,
    private readonly release: () => void,
  ) {}

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.release();
  }
}

/** A pipe or a directory is refused before it is opened, since opening a pipe may block. */
function checkKind(path: string, mayBeMissing: boolean): void {
  const status = native(path, () => statSync(path, { throwIfNoEntry: false }));
  if (status === undefined) {
    if (mayBeMissing) return;
    throw new Errno('ENOENT', `${path} is missing: make it first, or ask for a size`);
  }
  if (status.isFile() || status.isBlockDevice()) return;
  throw new Errno('EINVAL', `${path} is neither a regular file nor a block device`);
}

function lockOrExplain(path: string, fd: number): void {
  const lock = native(path, () => lockFile(fd));
  if (lock.locked) return;
  const holder = lock.pid === null ? 'another process' : `pid ${String(lock.pid)}`;
  throw new Errno('EBUSY', `${path}: lock held by ${holder}; stop it, or use another file`);
}

/** The size of the file, after making an empty one as large as asked. */
function sizeFor(fd: number, createBytes: number, preallocate: boolean): number {
  const { sizeBytes, blockDevice } = fileStatus(fd);
  if (blockDevice || createBytes === 0) return sizeBytes;
  const wanted = sizeBytes === 0 ? createBytes : sizeBytes;
  if (sizeBytes === 0) truncateFile(fd, wanted);
  if (preallocate) fallocate(fd, 'allocate', 0, wanted);
  return wanted;
}

/** Runs a call of the system; its error becomes an Errno that names the disk. */
function native<T>(name: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    if (!(cause instanceof Error) || !('code' in cause)) throw cause;
    throw new Errno(errnoOf(cause.code), `${name}: ${cause.message}`, { cause });
  }
}

const PASSED_ON: readonly ErrnoCode[] = [
  'EPERM',
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'EBUSY',
  'EISDIR',
  'EINVAL',
  'ENFILE',
  'EMFILE',
  'EFBIG',
  'ENOSPC',
  'EROFS',
  'ENOMEM',
];

function errnoOf(code: unknown): ErrnoCode {
  return PASSED_ON.find((known) => known === code) ?? 'EIO';
}
