// A profile: the rules in force, as plain data. Code asks it exactly where the kernels differ.

/** What writeback does with a folio that may be pinned for DMA. */
export interface PinnedRule {
  /**
   * `proceed` writes it as any other (mainline); `skip` leaves it dirty for later; `wait` sleeps
   * until the pins are gone; `bounce` writes a copy taken after mkclean.
   */
  readonly action: 'proceed' | 'skip' | 'wait' | 'bounce';
  /** Is the folio dirty again after it was written, since the device may go on writing? */
  readonly staysDirty: boolean;
}

/** One choice for each question on which history has differed. */
export interface Profile {
  readonly name: string;
  /** What the rules are and where they come from, in a sentence or two. */
  readonly description: string;
  /** page_mkwrite returns with the folio locked (2.6.30), so that nothing cleans it before the PTE is dirty. */
  readonly mkwriteReturnsLocked: boolean;
  /** Writeback of a folio that may be pinned: for background cleaning and for fsync apart. */
  readonly pinnedWriteback: { readonly syncNone: PinnedRule; readonly syncAll: PinnedRule };
  /** When the pins are looked at. Only `after-mkclean` keeps a fast GUP from slipping in (kernel.md 4.4). */
  readonly pinnedTest: 'after-mkclean' | 'before-mkclean';
  /** What writeback does with a dirty folio that has no buffers: BUG (before 5.18), WARN and drop, or repair. */
  readonly dirtyWithoutBuffers: 'bug' | 'warn-drop' | 'repair';
  /** Does reclaim take the buffers off a folio that may be pinned (before 6.4)? */
  readonly reclaimStripsPinned: boolean;
  /**
   * Does invalidation for direct I/O take a pinned folio out of the cache (all of Linux), or does
   * such a page stay, and the direct I/O become buffered?
   */
  readonly invalidatesPinned: boolean;
  /** Does reclaim write dirty pages itself (->writepage from vmscan, old kernels)? */
  readonly reclaimWritesPages: boolean;
  /** Are writable long-term pins of file pages refused (6.5): never, always, or unless the file is leased? */
  readonly longtermFilePin: 'allow' | 'refuse' | 'lease';
  /** Which call direct I/O and process_vm_writev use on their buffers: plain get (before 5.6) or pin. */
  readonly dmaReference: 'get' | 'pin';
  /** Every clean-to-dirty transition of unpin goes through page_mkwrite (P1's idea, at the unpin). */
  readonly unpinDirtiesThroughMkwrite: boolean;
  /** What a file system that moves pages (copy-on-write) does with a pinned one. */
  readonly pinnedPageReplacement: 'proceed' | 'wait';
}
