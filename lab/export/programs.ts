// The hazards as system calls: for each its actors as C, and how their outcome is told.

import type { CProgram } from './c-program.js';
import { DAX_PROGRAMS } from './dax.js';
import { INLINE_PROGRAMS } from './inline.js';
import { PAGE_PROGRAMS } from './pages.js';

export const PROGRAMS: Readonly<Record<string, CProgram>> = {
  ...PAGE_PROGRAMS,
  ...DAX_PROGRAMS,
  ...INLINE_PROGRAMS,
};

/** Why the others have none. */
export const UNMAPPED: Readonly<Record<string, string>> = {
  'H2-b': 'the eviction of an inode that is still linked is no system call',
  'H2-c': 'it unmounts a file system, or takes its device away',
  'H2-d': 'reclaim inside readdir is no system call',
  'H2-e': 'reclaim that waits for a pin is no system call',
  'H2-f': 'a pNFS layout recall is no system call',
  'H2-g': 'what happens under inode->i_lock is no system call',
  'H2-h': 'what iput does with a busy inode is no system call',
  'H2-k': 'the look at the reference count between unmap and fast GUP is no system call',
  'H3-c-readv': 'P11 was never in a kernel',
  'H3-d': 'it is about the order of two steps inside writeback',
  'leaked-dirty-accounting': 'the account of dirty pages is read, not called',
  'false-pin': 'it takes 1,024 plain references to one page',
};
