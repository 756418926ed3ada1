// A file system on an ordinary disk, with one file of one word, that direct I/O reads from: the
// target of a transfer whose buffer belongs to another file system (H2-a and its kin). What counts
// is that the transfer refers to this file, and to nothing of the buffer's.
//
//   extra, from `base` on:  active | the word on the disk

import type { Machine } from '../machine.js';
import { load, store } from '../memory/word.js';
import { InvariantError } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { BareFs } from './bare.js';
import { InodeLife, type InodeOperations } from './inode-life.js';

export const SOURCE_WORDS = 2;

export class SourceStore extends BareFs implements InodeOperations {
  readonly inodes: InodeLife;

  /** @param inode the slot of its file */
  constructor(
    private readonly m: Machine,
    private readonly inode: number,
    private readonly base: number,
  ) {
    super();
    this.inodes = new InodeLife(m, inode, 1, base, this);
  }

  /** Before the machine runs. */
  format(word: number): void {
    const { m, inode, base } = this;
    m.state.extra[base] = 1;
    m.state.extra[base + 1] = word;
    m.state.ino[inode] = inode + 1;
    m.state.iNlink[inode] = 1;
  }

  /** The disk transfers the word straight into a page, whatever has become of that. */
  *transfer(pfn: number): Op<void> {
    const { frames, state } = this.m;
    if (lab?.point()) yield STEP;
    const word = load(state.extra, this.base + 1);
    if (lab?.point()) yield STEP;
    store(frames.wordSegment(pfn), frames.wordOffset(pfn), word);
  }

  nameOfExtra(word: number): string | null {
    return ['source mounted', 'disk block of the source'][word - this.base] ?? null;
  }

  *readFolio(): Op<void> {
    throw new InvariantError('the source is only read by direct I/O');
  }

  *prepareWrite(): Op<void> {
    throw new InvariantError('the source is only read by direct I/O');
  }

  *writepages(): Op<number> {
    return 0;
  }

  override grabInode(task: Task, inode: number): Op<boolean> {
    return this.inodes.igrab(task, inode);
  }

  override putInode(task: Task, inode: number): Op<void> {
    return this.inodes.iput(task, inode);
  }

  *keepsBusy(): Op<boolean> {
    return false;
  }

  *writeInodeNow(): Op<void> {
    // Nothing is dirty.
  }

  *evictInode(): Op<void> {
    // No pages.
  }

  *destroyInode(): Op<void> {
    // Its memory is not accounted for.
  }
}
