// What mm asks of a file system: Linux's address_space_operations and page_mkwrite, for the inodes
// of one mounted volume.

import type { Op, Task } from '../sched/op.js';

/** WB_SYNC_NONE: background cleaning. WB_SYNC_ALL: somebody waits for it (fsync). */
export type SyncMode = 'none' | 'all';

export interface FileSystem {
  /** A page must not change while it is written (checksums over it): SB_I_STABLE_WRITES. */
  readonly stableWrites: boolean;

  /**
   * Before page_mkwrite locks the folio, with invalidate_lock held shared: converts inline data.
   * @throws Errno ENOSPC, EIO (the fault ends in SIGBUS)
   */
  beforeMkwrite(task: Task, inode: number): Op<void>;

  /**
   * Fills a new, locked folio from the file (read_folio), zeroes past i_size.
   * @throws Errno EIO
   */
  readFolio(task: Task, inode: number, index: number, pfn: number): Op<void>;

  /**
   * Reserves or allocates the block under a locked folio and attaches buffers, as page_mkwrite and
   * write_begin do.
   * @throws Errno ENOSPC, EIO
   */
  prepareWrite(task: Task, inode: number, index: number, pfn: number): Op<void>;

  /** The inode has dirty pages now (__mark_inode_dirty): the flusher will look at it. */
  dirtyPages(task: Task, inode: number): Op<void>;

  /** Takes buffers off a clean, locked folio (release_folio); false if they are still needed. */
  releaseFolio(task: Task, inode: number, pfn: number): Op<boolean>;

  /** A locked folio leaves the file (truncate, punch): drops its buffers and reservation. */
  invalidateFolio(task: Task, inode: number, pfn: number): Op<void>;

  /**
   * Writes dirty pages of the inode in [fromIndex, toIndex] (writepages), in the order of
   * kernel.md 4.4, and for `all` waits for them.
   * @returns pages written
   * @throws Errno EIO, ENOSPC
   */
  writepages(
    task: Task,
    inode: number,
    mode: SyncMode,
    fromIndex: number,
    toIndex: number,
  ): Op<number>;
}
