// Errors of a file's writeback, each reported once to every open file (Linux: lib/errseq.c). A file that
// is opened later hears of one that nobody has seen yet.
//
//   word IP.error   how many errors were seen (bits 9-30) | SEEN | errno (bits 0-7); 0: none so far

import { cas, load, peek } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import type { Op } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { inodeName, ip, type Vol } from './core.js';
import { IP } from './layout.js';

const ERRNO = 0xff;
const SEEN = 0x100;
const COUNT_ONE = 0x200;
const COUNT = 0x7fffffff & ~(SEEN | ERRNO);

const EIO = 5;
const ENOSPC = 28;

/** How far an open file has heard of its inode's errors. */
export interface ErrorCursor {
  errorSeen: number;
}

/** Records that writing a file's data failed. */
export function* recordError(v: Vol, inode: number, error: Errno): Op<void> {
  const { iPrivate } = v.m.state;
  const at = ip(inode, IP.error);
  const number = error.code === 'ENOSPC' ? ENOSPC : EIO;
  for (;;) {
    if (lab?.point()) yield STEP;
    const word = peek(iPrivate, at);
    const count = word & COUNT;
    const next = ((word & SEEN) === 0 ? count : (count + COUNT_ONE) & COUNT) | number;
    if (cas(iPrivate, at, word, next) === word) return;
  }
}

/** Where a file that is opened now begins to listen. */
export function* sampleErrors(v: Vol, inode: number): Op<number> {
  if (lab?.point()) yield STEP;
  const word = load(v.m.state.iPrivate, ip(inode, IP.error));
  return (word & SEEN) === 0 ? 0 : word;
}

/** The error that an open file has not heard of yet, if there is one; from now on it has. */
export function* takeError(v: Vol, inode: number, cursor: ErrorCursor): Op<Errno | null> {
  const { iPrivate } = v.m.state;
  const at = ip(inode, IP.error);
  for (;;) {
    if (lab?.point()) yield STEP;
    const word = load(iPrivate, at);
    if (word === cursor.errorSeen) return null;
    if ((word & SEEN) === 0) {
      if (lab?.point()) yield STEP;
      if (cas(iPrivate, at, word, word | SEEN) !== word) continue;
    }
    cursor.errorSeen = word | SEEN;
    return new Errno(
      (word & ERRNO) === ENOSPC ? 'ENOSPC' : 'EIO',
      `data of ${inodeName(v.m, inode)} could not be written in the background: write them again`,
    );
  }
}
