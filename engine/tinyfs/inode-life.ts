// The life of inodes in memory, for the lab's tiny file systems: references, the LRU of those that
// nobody uses, and their end (Linux: fs/inode.c; order of steps: kernel.md 4.11). The volume has a
// table of its own (fs/inode.ts); this one follows Linux to the letter, since H2-a to H2-h hang on it.
//
// Count, link count and state bits of an inode are covered by its i_lock.

import type { Machine } from '../machine.js';
import { load, read, store, write } from '../memory/word.js';
import { FIRST_OF_FS } from '../mm/inode-state.js';
import { KernelBug } from '../sched/errors.js';
import { spinLock, spinUnlock } from '../sched/lock.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';

/** Bits of i_state. */
export const I = {
  /** On the LRU (i_lru). */
  lru: 1 << FIRST_OF_FS,
  willFree: 2 << FIRST_OF_FS,
  freeing: 4 << FIRST_OF_FS,
  clear: 8 << FIRST_OF_FS,
  /** Not to be kept when the last reference goes (d_mark_dontcache). */
  dontcache: 16 << FIRST_OF_FS,
  /** Poisoned by an unmount that found it in use: whoever touches it oopses. */
  poisoned: 32 << FIRST_OF_FS,
} as const;

/** The bits by Linux's names, for diagrams. */
export const I_NAMES = {
  I_LRU: I.lru,
  I_WILL_FREE: I.willFree,
  I_FREEING: I.freeing,
  I_CLEAR: I.clear,
  I_DONTCACHE: I.dontcache,
  poison: I.poisoned,
} as const;

/** What a file system does at the turns of an inode's life (super_operations). */
export interface InodeOperations {
  /** May a last reference that is gone leave the inode in memory all the same, unlinked or not (P15)? i_lock is held. */
  keepsBusy(task: Task, inode: number): Op<boolean>;
  /** write_inode_now(sync), and what proposals add to it. No lock is held. */
  writeInodeNow(task: Task, inode: number): Op<void>;
  /** evict_inode: truncate_inode_pages_final, and frees the blocks of an unlinked file. No lock is held. */
  evictInode(task: Task, inode: number): Op<void>;
  /** Gives the memory of the inode back (destroy_inode). */
  destroyInode(task: Task, inode: number): Op<void>;
}

export class InodeLife {
  /**
   * @param first the first inode slot of this file system
   * @param count how many it has
   * @param active index of a word of State.extra: 1 while the file system is mounted (SB_ACTIVE)
   */
  constructor(
    private readonly m: Machine,
    private readonly first: number,
    private readonly count: number,
    private readonly active: number,
    private readonly ops: InodeOperations,
  ) {}

  /** Takes a reference to an inode that somebody else has one to, or that is cached (igrab); false if it is going. */
  *igrab(task: Task, inode: number): Op<boolean> {
    const { iState, iCount } = this.m.state;
    yield* this.lock(task, inode);
    const state = read(iState, inode);
    const lives = (state & (I.freeing | I.willFree | I.clear)) === 0;
    if (lives) {
      write(iCount, inode, read(iCount, inode) + 1);
      write(iState, inode, state & ~I.lru);
    }
    yield* this.unlock(task, inode);
    return lives;
  }

  /** Finds the inode again, reading it in if it is not in memory; waits for one that is just going (iget_locked). */
  *iget(task: Task, inode: number): Op<void> {
    const { iState, iCount } = this.m.state;
    for (;;) {
      yield* this.lock(task, inode);
      const state = read(iState, inode);
      const isGoing = (state & (I.freeing | I.willFree)) !== 0 && (state & I.clear) === 0;
      if (!isGoing) {
        write(iState, inode, 0);
        write(iCount, inode, read(iCount, inode) + 1);
      }
      yield* this.unlock(task, inode);
      if (!isGoing) return;
      yield sleepOn(task, iState, inode, state);
    }
  }

  /** Drops a reference (iput); the last one may end the inode, so no locks are held. */
  *iput(task: Task, inode: number): Op<void> {
    const { iCount, iState } = this.m.state;
    yield* this.lock(task, inode);
    if ((read(iState, inode) & I.poisoned) !== 0) {
      throw new KernelBug(
        `BUG: iput of inode ${String(inode + 1)} after its file system was unmounted`,
      );
    }
    const left = read(iCount, inode) - 1;
    write(iCount, inode, left);
    if (left === 0) yield* this.iputFinal(task, inode);
    else yield* this.unlock(task, inode);
  }

  /** Called with i_lock held, and returns without. */
  private *iputFinal(task: Task, inode: number): Op<void> {
    const { iState, iNlink, extra } = this.m.state;
    const busy = yield* this.ops.keepsBusy(task, inode);
    const drop = read(iNlink, inode) === 0 && !busy;
    if (!drop && (read(iState, inode) & I.dontcache) === 0) {
      if (lab?.point()) yield STEP;
      if (load(extra, this.active) !== 0) {
        write(iState, inode, read(iState, inode) | I.lru);
        yield* this.unlock(task, inode);
        return;
      }
    }
    if (!drop) {
      write(iState, inode, read(iState, inode) | I.willFree);
      yield* this.unlock(task, inode);
      yield* this.ops.writeInodeNow(task, inode);
      yield* this.lock(task, inode);
      write(iState, inode, read(iState, inode) & ~I.willFree);
    }
    yield* this.beginFreeing(task, inode);
    yield* this.evict(task, inode);
  }

  /** Evicts the first inode of the LRU that nobody uses (prune_icache_sb). False if there is none. */
  *prune(task: Task): Op<boolean> {
    const { iState, iCount } = this.m.state;
    for (let inode = this.first; inode < this.first + this.count; inode++) {
      yield* this.lock(task, inode);
      const state = read(iState, inode);
      if ((state & I.lru) !== 0 && (state & I.freeing) === 0 && read(iCount, inode) === 0) {
        yield* this.beginFreeing(task, inode);
        yield* this.evict(task, inode);
        return true;
      }
      yield* this.unlock(task, inode);
    }
    return false;
  }

  /**
   * Unmounts: evicts every unused inode, and complains of the others (generic_shutdown_super).
   * @returns how many the others are
   */
  *unmount(task: Task): Op<number> {
    const { iState, iCount, extra } = this.m.state;
    if (lab?.point()) yield STEP;
    store(extra, this.active, 0);
    let busy = 0;
    for (let inode = this.first; inode < this.first + this.count; inode++) {
      yield* this.lock(task, inode);
      const state = read(iState, inode);
      if (read(iCount, inode) > 0) {
        busy++;
        write(iState, inode, state | I.poisoned);
        yield* this.unlock(task, inode);
        this.m.report({
          kind: 'warn',
          hazard: null,
          task: task.name,
          message: `VFS: busy inodes after unmount: inode ${String(inode + 1)} is in use`,
        });
      } else if ((state & I.lru) !== 0 && (state & I.freeing) === 0) {
        yield* this.beginFreeing(task, inode);
        yield* this.evict(task, inode);
      } else {
        yield* this.unlock(task, inode);
      }
    }
    return busy;
  }

  /** Mounts it again. */
  *mount(): Op<void> {
    if (lab?.point()) yield STEP;
    store(this.m.state.extra, this.active, 1);
  }

  /** Called with i_lock held, and returns without: from here on nobody gets the inode any more. */
  private *beginFreeing(task: Task, inode: number): Op<void> {
    const { iState } = this.m.state;
    write(iState, inode, (read(iState, inode) & ~I.lru) | I.freeing);
    yield* this.unlock(task, inode);
  }

  private *evict(task: Task, inode: number): Op<void> {
    const { iState, nrPages } = this.m.state;
    yield* this.ops.evictInode(task, inode);
    const pages = read(nrPages, inode); // nobody else can find the inode
    if (pages !== 0) {
      throw new KernelBug(
        `BUG: clear_inode of inode ${String(inode + 1)} with ${String(pages)} pages`,
      );
    }
    yield* this.lock(task, inode);
    const state = read(iState, inode);
    if ((state & I.freeing) === 0) throw new KernelBug('BUG: an evicted inode is not being freed');
    write(iState, inode, I.freeing | I.clear);
    wake(iState, inode);
    yield* this.unlock(task, inode);
    yield* this.ops.destroyInode(task, inode);
  }

  private *lock(task: Task, inode: number): Op<void> {
    yield* spinLock(task, this.m.iLock, inode);
  }

  private *unlock(task: Task, inode: number): Op<void> {
    if (lab?.point()) yield STEP;
    spinUnlock(task, this.m.iLock, inode);
  }
}
