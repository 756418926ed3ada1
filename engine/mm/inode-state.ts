// The state bits of an inode slot that mm uses (i_state); a file system's own begin at FIRST_OF_FS.

export const I_STATE = {
  /** Pages were dirtied since the flusher last looked (I_DIRTY_PAGES). */
  dirtyPages: 1 << 0,
} as const;

/** Bits from this number on are the file system's. */
export const FIRST_OF_FS = 8;
