// A profile: the rules in force, as plain data. Code asks it exactly where the kernels differ.
//
// rules.ts says in words what each question means and what its answers are; kernels.ts and
// proposals.ts answer them.

/** What writeback does with a folio that may be pinned for DMA. */
export type PinnedAction = 'proceed' | 'skip' | 'wait' | 'bounce';

/** One choice for each question on which history has differed. Flat: a user's file has the same names. */
export interface Rules {
  // What exists at all: a hazard that needs more does not apply.
  /** Files on persistent memory whose pages are the media (fsdax, 4.0). */
  readonly hasDax: boolean;
  /** Small files inside their inode (ext4 inline_data, 3.8). */
  readonly hasInlineData: boolean;
  /** process_vm_writev (3.2). */
  readonly hasProcessVm: boolean;

  // Faults
  /** page_mkwrite returns with the folio locked (2.6.30), so that nothing cleans it before the PTE is dirty. */
  readonly mkwriteReturnsLocked: boolean;
  /** P12: the fault dirties the folio before it makes the PTE writable, and may fail there. */
  readonly mkwritePreparesDirty: boolean;
  /** Does page_mkwrite wait for writeback: never (before 3.0), always, or only for checksummed storage (3.9)? */
  readonly stablePages: 'never' | 'always' | 'if-needed';

  // Writeback
  /** The order of cleaning: mappings first and the flag re-marked (2.6.20), or the flag first (2.6.19: H3-d). */
  readonly mkcleanOrder: 'protect-first' | 'clear-first';
  /** WB_SYNC_NONE of a folio that may be pinned. */
  readonly pinnedSyncNone: PinnedAction;
  /** WB_SYNC_ALL (fsync) of a folio that may be pinned. */
  readonly pinnedSyncAll: PinnedAction;
  /** Is a pinned folio dirty again after it was written, since its device may go on writing? */
  readonly pinnedStaysDirty: boolean;
  /** If it stays dirty: does its file system keep space for writing it once more? */
  readonly pinnedKeepsReservation: boolean;
  /** When the pins are looked at. Only `after-mkclean` keeps a fast GUP from slipping in (kernel.md 4.4). */
  readonly pinnedTest: 'after-mkclean' | 'before-mkclean';
  /** What writeback does with a dirty folio that has no buffers: BUG (before 5.18), WARN and drop, or repair. */
  readonly dirtyWithoutBuffers: 'bug' | 'warn-drop' | 'repair';
  /** Does `warn-drop` forget to take the folio off the account of dirty pages (5.18 to 7.0)? */
  readonly dropLeaksAccounting: boolean;

  // Reclaim, invalidation, page replacement
  /** Does reclaim take the buffers off a folio that may be pinned (before 6.4)? */
  readonly reclaimStripsPinned: boolean;
  /** Does reclaim write dirty pages itself (->writepage from vmscan, old kernels)? */
  readonly reclaimWritesPages: boolean;
  /** Does invalidation for direct I/O take a pinned folio out of the cache (all of Linux), or does it stay? */
  readonly invalidatesPinned: boolean;
  /** What a file system that moves pages (copy-on-write, snapshots) does with a pinned one. */
  readonly pinnedPageReplacement: 'proceed' | 'wait' | 'refuse';

  // Getting and pinning
  /** How RDMA and process_vm_writev refer to pages: plain get (before 5.6), pin, or not at all (P9: ODP). */
  readonly dmaReference: 'get' | 'pin' | 'odp';
  /** How direct I/O refers to its buffers: plain get (before 6.5), or pin. */
  readonly directIoReference: 'get' | 'pin';
  /** Direct I/O goes through a bounce buffer where stable pages are required (7.0). */
  readonly directIoBounces: boolean;
  /** Writable long-term pins of file pages: allowed, refused (6.5), only with a lease, or given a private copy that fsync writes back. */
  readonly longtermFilePin: 'allow' | 'refuse' | 'lease' | 'private-copy';
  /** P10: a write pin of a folio under writeback waits and takes a write fault. */
  readonly gupWaitsForWriteback: boolean;
  /** What a short pin holds from pin to unpin: nothing more, the folio lock (P11), or write_begin (P2). */
  readonly shortPinHolds: 'nothing' | 'folio-lock' | 'write-begin';
  /** Every dirtying through a pin goes through page_mkwrite (P1, here at the unpin). */
  readonly unpinDirtiesThroughMkwrite: boolean;
  /** May a plain pin_user_pages() retry a fault whose lock was dropped (H4-f)? */
  readonly plainGupMayRetry: boolean;

  // DAX and the end of an inode
  /** Long-term pins of DAX pages: allowed (before 4.15), refused by VMA, refused by folio (6.15), or only with a lease (P21). */
  readonly longtermDaxPin: 'allow' | 'refuse-vma' | 'refuse-folio' | 'lease';
  /** vmsplice of DAX pages: as a plain get, or refused as a long-term pin (P22). */
  readonly vmspliceDax: 'allow' | 'refuse';
  /** Do truncate and punch wait for busy DAX pages (4.18)? */
  readonly daxTruncate: 'ignore' | 'wait';
  /** Reference count at which a DAX page is idle: 1, and mappings take none; or 0, and each takes one (6.15). */
  readonly daxIdleCount: 'one' | 'zero';
  /** What the eviction of a DAX inode does about busy pages; see rules.ts. */
  readonly daxEviction:
    | 'ignore'
    | 'break-under-locks'
    | 'break-final'
    | 'busy-stays-on-lru'
    | 'writeback-will-free'
    | 'write-inode-now';
  /** What a pin keeps alive besides the page: nothing, the mapping's VMA (P17), or the inode (P18). */
  readonly pinKeeps: 'page' | 'vma' | 'inode';
  /** Removal of a pmem device: pins are ignored, or their holders are told and it waits for them (P16). */
  readonly deviceRemoval: 'ignore' | 'notify';

  // Inline data
  /** Where, and under which locks, a mapped inline file is converted; see rules.ts. */
  readonly inlineConversion:
    | 'none'
    | 'mkwrite'
    | 'mkwrite-i_rwsem'
    | 'mmap-i_rwsem'
    | 'pre-mmap'
    | 'writepages-copy'
    | 'writepages-i_rwsem'
    | 'mkwrite-retry-as-posted'
    | 'mkwrite-retry';
  /** Does write_end look again whether the file is inline still (partial hardening of 6.12)? */
  readonly inlineRechecks: boolean;
  /** When a file that outgrows its inode gives up its inline data: at its next writeback, or at once (RFC of 2024). */
  readonly inlineGrowth: 'at-writeback' | 'at-once';
}

/** Rules with a name. */
export interface Profile extends Rules {
  /** `linux-6.12`, `linux-6.12+P7-bounce`, `best-known`, or a name of the user's. */
  readonly name: string;
  /** What the rules are and where they come from, in a sentence or two. */
  readonly description: string;
}
