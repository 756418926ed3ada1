// What mm asks of a file system: Linux's address_space_operations and page_mkwrite, for the inodes
// of one mounted volume.

import type { Op, Task } from '../sched/op.js';

/** The largest page index of a file: the end of a range without end. */
export const PAGE_INDEX_MAX = 2 ** 30 - 1;

/** WB_SYNC_NONE: background cleaning. WB_SYNC_ALL: somebody waits for it (fsync). */
export type SyncMode = 'none' | 'all';

/** What mm asks of a file system about its files on persistent memory (fsdax). */
export interface DaxOperations {
  /** Are the pages of this inode the media itself (IS_DAX)? Fixed for the life of the inode. */
  isDax(inode: number): boolean;

  /**
   * The frame of the media behind a page of a DAX inode, allocated if there is none (iomap_begin).
   * The caller holds invalidate_lock shared and the entry's lock.
   * @throws Errno ENOSPC
   */
  frameOf(task: Task, inode: number, index: number): Op<number>;
}

/**
 * The way out of page_mkwrite for a file system that needs a lock which mmap_lock must not be held
 * around: drop mmap_lock, do the work, and let the fault be taken again (VM_FAULT_RETRY).
 */
export interface MkwriteRetry {
  /** Does it leave mmap_lock alone if the fault must not wait (FAULT_FLAG_RETRY_NOWAIT)? */
  readonly heedsNowait: boolean;

  /** Has the inode work of that kind? */
  needed(task: Task, inode: number): Op<boolean>;

  /** Keeps the inode for prepare(): the last moment at which mmap_lock does. */
  hold(task: Task, inode: number): Op<void>;

  /** The work, without mmap_lock. @throws Errno ENOSPC, EIO (the fault ends in SIGBUS) */
  prepare(task: Task, inode: number): Op<void>;
}

export interface FileSystem {
  /** Null: no file of it is on persistent memory. */
  readonly dax: DaxOperations | null;

  /** What a word of State.extra is, if it is the file system's: for diagrams. */
  nameOfExtra?(word: number): string | null;

  /** Its bits of i_state by name, likewise. */
  readonly stateBits?: Readonly<Record<string, number>>;

  /** What a value of such a word means, where the number does not say it. */
  valueOfExtra?(word: number, value: number): string | null;

  /** Set by a file system whose page_mkwrite may drop mmap_lock. */
  readonly mkwriteRetry?: MkwriteRetry | null;

  /** A page must not change while it is written (checksums over it): SB_I_STABLE_WRITES. */
  readonly stableWrites: boolean;

  /** May beforeMkwrite() have anything to do for this inode just now? One step. */
  needsBeforeMkwrite(inode: number): boolean;

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

  /**
   * The inode has dirty pages now (__mark_inode_dirty). Must not sleep: the caller may hold a
   * page-table lock.
   */
  dirtyPages(task: Task, inode: number): Op<void>;

  /**
   * Takes buffers off a clean, locked folio (release_folio): detachBuffers(). False if they are
   * still needed. Must not wait for writeback or for the journal: reclaim calls it in any context.
   */
  releaseFolio(task: Task, inode: number, pfn: number): Op<boolean>;

  /**
   * A locked folio that has buffers leaves the file (truncate, punch): drops its reservation and
   * them (detachBuffers()).
   */
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

  /** Takes a reference to the inode in a slot (igrab); false if there is none, or it is being freed. */
  grabInode(task: Task, inode: number): Op<boolean>;

  /** Drops a reference taken by grabInode() (iput). May evict the inode: no locks held. */
  putInode(task: Task, inode: number): Op<void>;

  /** Metadata that is due, written in the background: the flusher calls it once a round, without locks. */
  background(task: Task): Op<void>;
}
