// The questions that a profile answers, in words: what is asked, which answers there are, and what
// each of them means. `pinfold lab profile show` prints it, and a user's profile is checked by it.

import type { Rules } from './profile.js';

/** An answer to a question. */
export type Answer = string | boolean;

/** One question. */
export interface Rule<A extends Answer> {
  readonly question: string;
  /** Each answer with its meaning, in the order in which history gave them. */
  readonly answers: readonly (readonly [A, string])[];
}

const YES_NO = [
  [true, 'yes'],
  [false, 'no'],
] as const;

const PINNED = [
  ['proceed', 'write it as any other (mainline)'],
  ['skip', 'leave it dirty for later'],
  ['wait', 'sleep until the pins are gone'],
  ['bounce', 'write a copy, taken after mkclean'],
] as const;

/** Every question of Rules. */
export const RULES: { readonly [K in keyof Rules]: Rule<Rules[K]> } = {
  hasDax: { question: 'are there files on persistent memory (fsdax)?', answers: YES_NO },
  hasInlineData: { question: 'are there small files inside their inode?', answers: YES_NO },
  hasProcessVm: { question: 'is there process_vm_writev?', answers: YES_NO },
  mkwriteReturnsLocked: {
    question: 'does page_mkwrite return with the folio locked?',
    answers: YES_NO,
  },
  mkwritePreparesDirty: {
    question: 'does the fault dirty the folio before the PTE becomes writable?',
    answers: YES_NO,
  },
  stablePages: {
    question: 'does page_mkwrite wait for writeback?',
    answers: [
      ['never', 'no: pages may change while they are written'],
      ['always', 'yes'],
      ['if-needed', 'only where the storage needs it, as for checksums'],
    ],
  },
  mkcleanOrder: {
    question: 'in which order does writeback clean a page?',
    answers: [
      ['protect-first', 'write-protect the mappings, mark it dirty again, then test and clear'],
      [
        'clear-first',
        'clear the flag, then write-protect the mappings: what they had dirtied is not marked again',
      ],
    ],
  },
  pinnedSyncNone: { question: 'background writeback of a pinned page', answers: PINNED },
  pinnedSyncAll: { question: 'fsync of a pinned page', answers: PINNED },
  pinnedStaysDirty: {
    question: 'is a pinned page still dirty after it was written?',
    answers: YES_NO,
  },
  pinnedKeepsReservation: {
    question: 'does a pinned page that was written keep a reservation for the next time?',
    answers: YES_NO,
  },
  pinnedTest: {
    question: 'when does writeback look at the pins?',
    answers: [
      ['after-mkclean', 'after mkclean: a fast GUP is seen, or fails its second look'],
      ['before-mkclean', 'before mkclean: a fast GUP slips in between'],
    ],
  },
  dirtyWithoutBuffers: {
    question: 'writeback of a dirty page without buffers',
    answers: [
      ['bug', 'BUG'],
      ['warn-drop', 'WARN, and the dirty bit is dropped: the data are lost'],
      ['repair', 'the file system reserves the block late, and may find no space'],
    ],
  },
  dropLeaksAccounting: {
    question: 'does dropping it leak the account of dirty pages?',
    answers: YES_NO,
  },
  reclaimStripsPinned: {
    question: 'does reclaim take the buffers off pinned pages?',
    answers: YES_NO,
  },
  reclaimWritesPages: { question: 'does reclaim write dirty pages itself?', answers: YES_NO },
  invalidatesPinned: {
    question: 'does direct I/O to a file take pinned pages of it out of the cache?',
    answers: YES_NO,
  },
  pinnedPageReplacement: {
    question: 'copy-on-write of a pinned page',
    answers: [
      ['proceed', 'a new page takes its place; the pin keeps the old one'],
      ['wait', 'waits until the pins are gone'],
      ['refuse', 'is refused: the page is written where it is'],
    ],
  },
  dmaReference: {
    question: 'how RDMA and process_vm_writev refer to pages',
    answers: [
      ['get', 'by plain references, which nobody can tell'],
      ['pin', 'by pins, which are counted'],
      ['odp', 'not at all: the device follows the invalidations of the MMU'],
    ],
  },
  directIoReference: {
    question: 'how direct I/O refers to its buffers',
    answers: [
      ['get', 'by plain references'],
      ['pin', 'by pins'],
    ],
  },
  directIoBounces: {
    question: 'does direct I/O bounce where stable pages are required?',
    answers: YES_NO,
  },
  longtermFilePin: {
    question: 'long-term writable pins of file pages',
    answers: [
      ['allow', 'are allowed'],
      ['refuse', 'are refused (EFAULT)'],
      ['lease', 'need a layout lease of the file'],
      ['private-copy', 'get a private copy, which fsync writes back'],
    ],
  },
  gupWaitsForWriteback: {
    question: 'does a write pin of a page under writeback wait, and take a write fault?',
    answers: YES_NO,
  },
  shortPinHolds: {
    question: 'what a short pin holds until its unpin',
    answers: [
      ['nothing', 'nothing but the page'],
      ['folio-lock', 'the folio lock'],
      ['write-begin', 'what write_begin holds, until write_end'],
    ],
  },
  unpinDirtiesThroughMkwrite: {
    question: 'does dirtying through a pin ask page_mkwrite?',
    answers: YES_NO,
  },
  plainGupMayRetry: {
    question: 'may a plain pin_user_pages() retry a fault that dropped its lock?',
    answers: YES_NO,
  },
  longtermDaxPin: {
    question: 'long-term pins of DAX pages',
    answers: [
      ['allow', 'are allowed'],
      ['refuse-vma', 'are refused for a mapping of a DAX file (EOPNOTSUPP)'],
      ['refuse-folio', 'are refused for any DAX page'],
      ['lease', 'need a layout lease of the file'],
    ],
  },
  vmspliceDax: {
    question: 'vmsplice of DAX pages',
    answers: [
      ['allow', 'takes plain references, for as long as the pipe is not read'],
      ['refuse', 'is refused as a long-term pin'],
    ],
  },
  daxTruncate: {
    question: 'truncate and punch of busy DAX pages',
    answers: [
      ['ignore', 'free their blocks at once'],
      ['wait', 'wait until they are idle'],
    ],
  },
  daxIdleCount: {
    question: 'reference count of an idle DAX page',
    answers: [
      ['one', '1; mappings take no reference'],
      ['zero', '0; each mapping takes one'],
    ],
  },
  daxEviction: {
    question: 'eviction of a DAX inode with busy pages',
    answers: [
      ['ignore', 'frees their blocks'],
      ['break-under-locks', 'the file system breaks layouts under its own locks'],
      ['break-final', 'waits for idle pages, uninterruptibly and without locks'],
      ['busy-stays-on-lru', 'a busy inode is kept on the LRU, also unlinked'],
      ['writeback-will-free', 'its last writeback waits, if it has one (I_WILL_FREE)'],
      ['write-inode-now', 'write_inode_now at the last iput waits, if it comes to that'],
    ],
  },
  pinKeeps: {
    question: 'what a pin keeps alive',
    answers: [
      ['page', 'the page'],
      ['vma', 'the page, and the mapping that it came from'],
      ['inode', 'the page, and its inode'],
    ],
  },
  deviceRemoval: {
    question: 'removal of a pmem device',
    answers: [
      ['ignore', 'does not look at pins'],
      ['notify', 'tells the holders of pins, and waits for them'],
    ],
  },
  inlineConversion: {
    question: 'where a mapped inline file is converted',
    answers: [
      ['none', 'nowhere (before 4.12)'],
      ['mkwrite', 'in page_mkwrite, without i_rwsem'],
      ['mkwrite-i_rwsem', 'in page_mkwrite, under i_rwsem'],
      ['mmap-i_rwsem', 'in mmap(2), under i_rwsem inside mmap_lock'],
      ['pre-mmap', 'in mmap(2), under i_rwsem before mmap_lock'],
      ['writepages-copy', 'never: writeback copies the page into the inode'],
      ['writepages-i_rwsem', 'in writeback, under i_rwsem'],
      [
        'mkwrite-retry-as-posted',
        'after the fault dropped mmap_lock, under i_rwsem; without a reference to the file',
      ],
      [
        'mkwrite-retry',
        'after the fault dropped mmap_lock, under i_rwsem, with a reference and its error kept',
      ],
    ],
  },
  inlineRechecks: {
    question: 'does write_end look again whether the file is still inline?',
    answers: YES_NO,
  },
  inlineGrowth: {
    question: 'when does a file that outgrows its inode give up its inline data?',
    answers: [
      ['at-writeback', 'at its next writeback: until then it is dirty and inline at once'],
      ['at-once', 'at once, under xattr_sem, before its page is dirtied'],
    ],
  },
};

/** The names of all rules, in their order. */
export function ruleNames(): (keyof Rules)[] {
  const names: (keyof Rules)[] = [];
  for (const name in RULES) if (isRule(name)) names.push(name);
  return names;
}

/** Is this the name of a rule? */
export function isRule(name: string): name is keyof Rules {
  return Object.hasOwn(RULES, name);
}

/** What a profile answers to a question, and what that means. */
export function answerInWords(rules: Rules, name: keyof Rules): string {
  const given = rules[name];
  const meaning = answersTo(name).find(([answer]) => answer === given)?.[1] ?? 'not an answer';
  return typeof given === 'boolean' ? meaning : `${given}: ${meaning}`;
}

/** The answers that a question has. */
export function answersTo(name: keyof Rules): readonly (readonly [Answer, string])[] {
  return RULES[name].answers;
}
