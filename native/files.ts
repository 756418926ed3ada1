// Plain descriptors of files: open, read, write, allocate, lock. All calls block the thread.
import { fstatSync, readFileSync } from 'node:fs';
import { addon } from './addon.js';

export interface OpenFlags {
  /** Make the file if it is missing. */
  readonly create?: boolean;
  /** With `create`: fail with EEXIST if it is there. For a block device: fail with EBUSY if it is in use. */
  readonly exclusive?: boolean;
  readonly readOnly?: boolean;
  /** Bypass the host's page cache (O_DIRECT): addresses, offsets and lengths must be aligned. */
  readonly direct?: boolean;
  /** Permissions of a new file, less the umask. Default: 0o644. */
  readonly mode?: number;
}

export interface FileStatus {
  readonly sizeBytes: number;
  /** Bytes that are allocated, without holes; 0 for a block device. */
  readonly allocatedBytes: number;
  readonly blockDevice: boolean;
}

/** `pid` is null where the holder cannot be told: another PID namespace, or a file system with device numbers of its own. */
export type LockResult =
  | { readonly locked: true }
  | { readonly locked: false; readonly pid: number | null };

export type FallocateMode = 'allocate' | 'punch' | 'zero';

// The order of kFallocateModes in native/src/files.cc.
const FALLOCATE_MODES: Readonly<Record<FallocateMode, number>> = { allocate: 0, punch: 1, zero: 2 };

/**
 * Opens a file for reading and writing, close-on-exec.
 * @returns a descriptor that the caller closes with closeDescriptor().
 * @throws NativeError ENOENT, EEXIST, EACCES, ...
 */
export function openFile(path: string, flags: OpenFlags = {}): number {
  const {
    create = false,
    exclusive = false,
    readOnly = false,
    direct = false,
    mode = 0o644,
  } = flags;
  return addon.openFile(path, create, exclusive, readOnly, direct, mode);
}

/** Closes a descriptor. @throws NativeError EBADF if it is not open. */
export function closeDescriptor(fd: number): void {
  addon.closeDescriptor(fd);
}

/** A second descriptor of the same open file, close-on-exec. @throws NativeError EBADF, EMFILE. */
export function dup(fd: number): number {
  return addon.dup(fd);
}

/**
 * Reads from the file offset on until the view is full or the file ends.
 * @returns bytes read.
 * @throws NativeError EBADF, EINVAL, EIO, ...
 */
export function preadInto(fd: number, view: Uint8Array, fileOffset: number): number {
  return addon.preadInto(fd, view, fileOffset);
}

/**
 * Writes the whole view at the file offset.
 * @returns bytes written: always all of them.
 * @throws NativeError ENOSPC, EFBIG, EBADF, EINVAL, EIO, ... after which a part may have been written.
 */
export function pwriteFrom(fd: number, view: Uint8Array, fileOffset: number): number {
  return addon.pwriteFrom(fd, view, fileOffset);
}

/**
 * Lets the host begin to write a range of the file to its disk, without waiting for it
 * (sync_file_range with SYNC_FILE_RANGE_WRITE): no promise, but a later fdatasync() finds less to do.
 * @throws NativeError EBADF, EINVAL, ESPIPE (no regular file), EIO.
 */
export function startWriteback(fd: number, offsetBytes: number, lengthBytes: number): void {
  addon.startWriteback(fd, offsetBytes, lengthBytes);
}

/** Makes the data of a file durable. After an error, what was written may be lost: trying again proves nothing. */
export function fdatasync(fd: number): void {
  addon.fdatasync(fd);
}

/**
 * `'allocate'` reserves blocks and lets the file grow; `'punch'` makes a hole; `'zero'` makes zeroes but keeps the blocks.
 * The last two leave the size alone.
 * @throws NativeError ENOSPC, ENOTSUP if the file system cannot, EINVAL, EBADF.
 */
export function fallocate(
  fd: number,
  mode: FallocateMode,
  offsetBytes: number,
  lengthBytes: number,
): void {
  addon.fallocate(fd, FALLOCATE_MODES[mode], offsetBytes, lengthBytes);
}

/**
 * Where the next data of a file begins, at or after an offset (SEEK_DATA); -1 if only holes follow.
 * @throws NativeError EBADF, EINVAL if the file system cannot tell, ESPIPE.
 */
export function nextData(fd: number, offsetBytes: number): number {
  return addon.seekExtent(fd, offsetBytes, false);
}

/** Where the next hole begins, at or after an offset (SEEK_HOLE): at the latest the end. @throws as nextData() */
export function nextHole(fd: number, offsetBytes: number): number {
  return addon.seekExtent(fd, offsetBytes, true);
}

/** Size and allocation of a file, or the size of a block device. @throws NativeError EBADF. */
export function fileStatus(fd: number): FileStatus {
  const out = new Float64Array(3);
  addon.fileStatus(fd, out);
  const [sizeBytes = 0, allocatedBytes = 0, blockDevice = 0] = out;
  return { sizeBytes, allocatedBytes, blockDevice: blockDevice === 1 };
}

/** Sets the size of a file. @throws NativeError EINVAL, EFBIG, EPERM if it is sealed, EBADF. */
export function truncateFile(fd: number, sizeBytes: number): void {
  addon.truncateFile(fd, sizeBytes);
}

/**
 * Takes the exclusive lock (flock) of a file without waiting. It is released when the last duplicate of the descriptor is
 * closed, at the latest when its processes end.
 * @throws NativeError EBADF, ENOLCK.
 */
export function lockFile(fd: number): LockResult {
  if (addon.tryLock(fd) === 1) return { locked: true };
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return { locked: false, pid: findLockHolder(readFileSync('/proc/locks', 'utf8'), dev, ino) };
}

// A line of /proc/locks: `1: FLOCK  ADVISORY  WRITE 708 fd:01:42 0 EOF`. Waiters have `->` before the kind.
const FLOCK_LINE = /^\d+: FLOCK +\S+ +\S+ +(-?\d+) ([\da-f]+):([\da-f]+):(\d+) /gm;

/** The process that holds a flock on a file, by a text like /proc/locks. */
function findLockHolder(locks: string, dev: bigint, ino: bigint): number | null {
  // makedev(3): 12 bits of the major number and 20 of the minor one, interleaved.
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  const file = `${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')}`;
  for (const [, pid, lineMajor, lineMinor, lineInode] of locks.matchAll(FLOCK_LINE)) {
    if (`${lineMajor}:${lineMinor}` !== file || lineInode !== ino.toString()) continue;
    return Number(pid) > 0 ? Number(pid) : null;
  }
  return null;
}
