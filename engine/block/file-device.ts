// A backing file as a block device: vectored I/O straight between page frames and the descriptor.
// Every operation blocks its thread, so only kblockd and offline tools use it.

import {
  Arena,
  fallocate,
  fdatasync,
  fileStatus,
  NativeError,
  startWriteback,
} from '../../native/index.js';
import type { Machine } from '../machine.js';
import type { Op, Task } from '../sched/op.js';
import { BLOCK_ERRORS, type BlockDevice } from './request.js';

/** Pages of a write from which on the host is told to begin writing at once. */
const EARLY_PAGES = 128;

export class FileDevice implements BlockDevice {
  readonly blocks: number;
  private readonly arena: Arena;
  private readonly pageBytes: number;
  /** Pairs (offset, length) in the memory of the frames, and how many are filled. */
  private iov = new Float64Array(512);
  private ranges = 0;

  /** @param sizeBytes what the file must have; less means that somebody truncated it */
  constructor(
    m: Machine,
    private readonly fd: number,
    private readonly sizeBytes: number,
  ) {
    this.arena = new Arena(m.frames.segments);
    this.pageBytes = m.geometry.pageBytes;
    this.blocks = Math.floor(sizeBytes / this.pageBytes);
  }

  check(): number {
    try {
      return fileStatus(this.fd).sizeBytes < this.sizeBytes ? BLOCK_ERRORS.truncated : 0;
    } catch (error) {
      return numberOf(error);
    }
  }

  *read(_task: Task, block: number, frames: Int32Array, count: number): Op<number> {
    this.gather(frames, count);
    try {
      const bytes = this.arena.preadv(this.fd, this.iov, this.ranges, block * this.pageBytes);
      return bytes < count * this.pageBytes ? BLOCK_ERRORS.truncated : 0;
    } catch (error) {
      return numberOf(error);
    }
  }

  *write(_task: Task, block: number, frames: Int32Array, count: number): Op<number> {
    this.gather(frames, count);
    try {
      this.arena.pwritev(this.fd, this.iov, this.ranges, block * this.pageBytes);
      // The host's disk works while the next batch is prepared, and the flush has less to wait for.
      if (count >= EARLY_PAGES)
        startWriteback(this.fd, block * this.pageBytes, count * this.pageBytes);
      return 0;
    } catch (error) {
      return numberOf(error);
    }
  }

  *flush(_task: Task): Op<number> {
    try {
      fdatasync(this.fd);
      return 0;
    } catch (error) {
      return numberOf(error);
    }
  }

  *discard(_task: Task, block: number, count: number): Op<number> {
    try {
      fallocate(this.fd, 'punch', block * this.pageBytes, count * this.pageBytes);
      return 0;
    } catch (error) {
      // A discard is a hint: a host file system without holes may ignore it.
      if (error instanceof NativeError && error.code === 'ENOTSUP') return 0;
      return numberOf(error);
    }
  }

  /** Fills `iov`; frames that lie side by side share a range. */
  private gather(frames: Int32Array, count: number): void {
    if (this.iov.length < count * 2) this.iov = new Float64Array(count * 2);
    const { iov, pageBytes } = this;
    let ranges = 0;
    let previous = -1;
    for (let i = 0; i < count; i++) {
      const pfn = frames[i];
      if (pfn === previous + 1 && i > 0) {
        iov[ranges * 2 - 1] += pageBytes;
      } else {
        iov[ranges * 2] = pfn * pageBytes;
        iov[ranges * 2 + 1] = pageBytes;
        ranges++;
      }
      previous = pfn;
    }
    this.ranges = ranges;
  }
}

function numberOf(error: unknown): number {
  if (!(error instanceof NativeError)) throw error;
  return error.code === 'ENOSPC' || error.code === 'EDQUOT'
    ? BLOCK_ERRORS.ENOSPC
    : BLOCK_ERRORS.EIO;
}
