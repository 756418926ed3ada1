// A file system with nothing of its own: the hooks that mm calls, each doing the least it may. The
// tiny file systems of the lab extend it by what their hazard is about.

import type { FileSystem, MkwriteRetry, SyncMode } from '../mm/address-space.js';
import type { Op, Task } from '../sched/op.js';

export abstract class BareFs implements FileSystem {
  readonly stableWrites: boolean = false;
  readonly mkwriteRetry: MkwriteRetry | null = null;

  needsBeforeMkwrite(_inode: number): boolean {
    return false;
  }

  *beforeMkwrite(_task: Task, _inode: number): Op<void> {
    // No inline data here.
  }

  abstract readFolio(task: Task, inode: number, index: number, pfn: number): Op<void>;

  abstract prepareWrite(task: Task, inode: number, index: number, pfn: number): Op<void>;

  *dirtyPages(_task: Task, _inode: number): Op<void> {
    // Every file is always looked at.
  }

  *releaseFolio(_task: Task, _inode: number, _pfn: number): Op<boolean> {
    return false;
  }

  *invalidateFolio(_task: Task, _inode: number, _pfn: number): Op<void> {
    // Blocks are never freed.
  }

  abstract writepages(
    task: Task,
    inode: number,
    mode: SyncMode,
    fromIndex: number,
    toIndex: number,
  ): Op<number>;

  *grabInode(_task: Task, _inode: number): Op<boolean> {
    return true;
  }

  *putInode(_task: Task, _inode: number): Op<void> {
    // Every inode always stays.
  }

  *background(_task: Task): Op<void> {
    // No metadata.
  }
}
