// What is asked of a block device, and what a device has to offer: kblockd, a caller that serves the
// queue itself, and the lab all speak this.

import type { ErrnoCode } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';

/** Pages that one request moves at most (1 MiB of 4 KiB pages). */
export const REQUEST_PAGES_MAX = 256;

export type BlockOp = 'read' | 'write' | 'flush' | 'discard';

/** A run of consecutive blocks. A block is as large as a page frame. */
export interface BlockRequest {
  readonly op: BlockOp;
  /** First block; not looked at for a flush. */
  readonly block: number;
  /** The frames to fill or to write, one per block; the device uses them until the request is answered. */
  readonly frames: Int32Array;
  /** Blocks, 1 to REQUEST_PAGES_MAX; a discard may cover more, a flush has 0. */
  readonly count: number;
  /** Force unit access: a write is durable before it is answered. */
  readonly fua: boolean;
}

/** A request that makes what was answered before it durable. */
export const FLUSH: BlockRequest = {
  op: 'flush',
  block: 0,
  frames: new Int32Array(0),
  count: 0,
  fua: false,
};

/** Why a request failed. The number is Linux's errno, so that it fits a shared word. */
export const BLOCK_ERRORS = {
  /** The device failed; details were lost with it. */
  EIO: 5,
  /** The host has no room for a block that was never written before. */
  ENOSPC: 28,
  /** Somebody cut the backing file short. */
  truncated: 5 | (1 << 8),
  /** An earlier flush failed, so nothing written since can be trusted. */
  failed: 5 | (2 << 8),
  /** The request lies outside the device. */
  outside: 22,
} as const;

/** The number for an errno name that describeBlockError() gave. */
export function numberOfErrno(code: ErrnoCode): number {
  return code === 'ENOSPC' ? BLOCK_ERRORS.ENOSPC : BLOCK_ERRORS.EIO;
}

/** The errno name and the sentence for a number of BLOCK_ERRORS. */
export function describeBlockError(error: number): readonly [ErrnoCode, string] {
  switch (error) {
    case BLOCK_ERRORS.ENOSPC:
      return [
        'ENOSPC',
        'the host has no space left for the backing file: free some, then sync again',
      ];
    case BLOCK_ERRORS.truncated:
      return [
        'EIO',
        'the backing file was truncated by somebody else: unmount, restore it, run fsck',
      ];
    case BLOCK_ERRORS.failed:
      return ['EIO', 'an earlier flush of the backing file failed: unmount and run fsck'];
    case BLOCK_ERRORS.outside:
      return ['EINVAL', 'the request lies outside the device'];
    default:
      return ['EIO', 'the backing file could not be read or written: see the host log'];
  }
}

/**
 * Something with blocks. Operations return 0 or a number of BLOCK_ERRORS. Those of a real file block
 * the thread; those of the ramdisk are made of steps.
 */
export interface BlockDevice {
  readonly blocks: number;
  /** Checks before a batch that the device is still all there. */
  check(): number;
  read(task: Task, block: number, frames: Int32Array, count: number): Op<number>;
  write(task: Task, block: number, frames: Int32Array, count: number): Op<number>;
  /** Makes everything written so far durable. */
  flush(task: Task): Op<number>;
  discard(task: Task, block: number, count: number): Op<number>;
}
