// Memory shared between threads as SharedArrayBuffers and between processes as sealed memfds.
import { addon } from './addon.js';
import { checkInteger, NativeError } from './errors.js';
import { closeDescriptor, fallocate, fileStatus } from './files.js';

const DEFAULT_SEGMENT_BYTES = 2 ** 30;
// One typed array covers at most 2^32 elements, so a longer segment could not be viewed as bytes.
const MAX_SEGMENT_BYTES = 2 ** 32;
const MAX_SEGMENTS = 1024;

/** Bytes mapped as consecutive segments, all `segmentBytes` long but the last, which may be shorter. */
export interface Mapping {
  readonly lengthBytes: number;
  readonly segmentBytes: number;
  /** The mapping of a segment lives until every thread has dropped its SharedArrayBuffer. */
  readonly segments: readonly SharedArrayBuffer[];
}

export interface MemoryOptions {
  /** Shown in /proc/PID/maps; at most 249 bytes. Default: `'pinfold'`. */
  readonly name?: string;
  /** A multiple of the host's page size, at most 4 GiB. Default: 1 GiB. */
  readonly segmentBytes?: number;
}

export interface MapMemoryOptions {
  /** A multiple of the host's page size, at most 4 GiB. Default: 1 GiB. */
  readonly segmentBytes?: number;
  /** Maps without permission to write: a store from JavaScript then kills the process with SIGSEGV. Default: false. */
  readonly readOnly?: boolean;
}

/** A sealed memfd and its mapping. */
export class Memory implements Mapping {
  readonly lengthBytes: number;
  readonly segmentBytes: number;
  readonly segments: readonly SharedArrayBuffer[];
  #fd: number;

  /** Takes `fd` over; use createMemory or mapMemory. */
  constructor(fd: number, mapping: Mapping) {
    this.#fd = fd;
    this.lengthBytes = mapping.lengthBytes;
    this.segmentBytes = mapping.segmentBytes;
    this.segments = mapping.segments;
  }

  /** The memfd, to be sent to other processes; -1 after close(). Owned by this object: dup() it to keep it longer. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Gives the memory of a range back to the system; the range reads as zeroes afterwards, in all processes. Pages that
   * the range covers only in part are zeroed there, but kept.
   * @throws NativeError EINVAL for a range outside the memory, EBADF after close().
   */
  discard(offsetBytes: number, lengthBytes: number): void {
    checkInteger('fallocate', 'offsetBytes', offsetBytes, 0, this.lengthBytes);
    checkInteger('fallocate', 'lengthBytes', lengthBytes, 0, this.lengthBytes - offsetBytes);
    this.#requireOpen('fallocate');
    if (lengthBytes > 0) fallocate(this.#fd, 'punch', offsetBytes, lengthBytes);
  }

  /**
   * Bytes that the memory occupies now, over all processes and including what is swapped out.
   * @throws NativeError EBADF after close().
   */
  residentBytes(): number {
    this.#requireOpen('fstat');
    return fileStatus(this.#fd).allocatedBytes;
  }

  /** Closes the descriptor; the mapping stays. Calling it again does nothing. */
  close(): void {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    closeDescriptor(fd);
  }

  #requireOpen(syscall: string): void {
    if (this.#fd < 0) throw new NativeError('EBADF', syscall, `${syscall}: this memory was closed`);
  }
}

/**
 * New zeroed memory that takes no space until it is touched, and that nobody can shrink or grow.
 * @param lengthBytes a multiple of the host's page size; may exceed 4 GiB.
 * @throws NativeError EINVAL, ENOMEM, EMFILE, ENAMETOOLONG.
 */
export function createMemory(lengthBytes: number, options: MemoryOptions = {}): Memory {
  const { name = 'pinfold', segmentBytes = DEFAULT_SEGMENT_BYTES } = options;
  checkLayout(lengthBytes, segmentBytes);
  const fd = addon.createSealedMemory(name, lengthBytes);
  try {
    return new Memory(fd, mapSegments(fd, 0, lengthBytes, segmentBytes, true));
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}

/**
 * Maps a memfd that another process sent, and takes the descriptor over if it succeeds.
 * @param lengthBytes how much of it to map, from its beginning; a multiple of the host's page size.
 * @throws NativeError EPERM if it is not sealed against shrinking (its owner could then kill this process), EINVAL if it
 *   is shorter or no memfd, EBADF, ENOMEM.
 */
export function mapMemory(fd: number, lengthBytes: number, options: MapMemoryOptions = {}): Memory {
  const { segmentBytes = DEFAULT_SEGMENT_BYTES, readOnly = false } = options;
  checkLayout(lengthBytes, segmentBytes);
  addon.checkSealed(fd, lengthBytes);
  return new Memory(fd, mapSegments(fd, 0, lengthBytes, segmentBytes, !readOnly));
}

/**
 * Maps a range of a regular file whose blocks are all allocated, allocating them now where the file system can. The
 * descriptor stays the caller's and may be closed. Nobody may shrink the file or punch holes into the range while it is
 * mapped: touching what is gone kills the process with SIGBUS, so own the file by lockFile first.
 * @param offsetBytes a multiple of the host's page size.
 * @param lengthBytes a multiple of the host's page size; the range must lie inside the file.
 * @throws NativeError EINVAL for a range outside the file or with a hole, ENOSPC, EBADF, EACCES, ENOMEM.
 */
export function mapFile(fd: number, offsetBytes: number, lengthBytes: number): Mapping {
  checkLayout(lengthBytes, DEFAULT_SEGMENT_BYTES);
  checkInteger('mmap', 'offsetBytes', offsetBytes, 0, Number.MAX_SAFE_INTEGER, addon.pageBytes());
  addon.reserveRange(fd, offsetBytes, lengthBytes);
  return mapSegments(fd, offsetBytes, lengthBytes, DEFAULT_SEGMENT_BYTES, true);
}

function checkLayout(lengthBytes: number, segmentBytes: number): void {
  const unit = addon.pageBytes();
  checkInteger('mmap', 'segmentBytes', segmentBytes, unit, MAX_SEGMENT_BYTES, unit);
  checkInteger('mmap', 'lengthBytes', lengthBytes, unit, segmentBytes * MAX_SEGMENTS, unit);
}

function mapSegments(
  fd: number,
  offsetBytes: number,
  lengthBytes: number,
  segmentBytes: number,
  writable: boolean,
): Mapping {
  const segments: SharedArrayBuffer[] = [];
  for (let done = 0; done < lengthBytes; done += segmentBytes) {
    const length = Math.min(segmentBytes, lengthBytes - done);
    segments.push(addon.mapShared(fd, offsetBytes + done, length, writable));
  }
  return { lengthBytes, segmentBytes, segments: Object.freeze(segments) };
}
