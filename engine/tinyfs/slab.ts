// Kernel memory for the lab's tiny file systems: a number of equal objects, of which an inode in
// memory takes one. An allocation that finds none enters reclaim, which evicts unused inodes, and
// sleeps until somebody gives one back, since small GFP_KERNEL allocations never fail (H2-d, H2-e).

import type { Machine } from '../machine.js';
import { add, cas, load } from '../memory/word.js';
import { lockClass } from '../sched/lockdep.js';
import { mightSleep, type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';

const FS_RECLAIM = lockClass('fs_reclaim');

/** Evicts one unused inode (a shrinker). False if there is none. */
export type Prune = (task: Task) => Op<boolean>;

/** Takes an object: kmalloc(GFP_KERNEL). @param free index of the number of free ones in State.extra */
export function* kmalloc(task: Task, m: Machine, free: number, prune: Prune): Op<void> {
  const { extra } = m.state;
  mightSleep(task);
  // Told to lockdep whether or not memory is short (might_alloc).
  m.lockdep?.acquire(task, FS_RECLAIM);
  m.lockdep?.release(task, FS_RECLAIM);
  for (;;) {
    if (lab?.point()) yield STEP;
    const objects = load(extra, free);
    if (objects > 0) {
      if (lab?.point()) yield STEP;
      if (cas(extra, free, objects, objects - 1) === objects) return;
    } else if (!(yield* reclaim(task, m, prune))) {
      yield sleepOn(task, extra, free, 0);
    }
  }
}

/** Gives an object back. One step. */
export function kfree(m: Machine, free: number): void {
  add(m.state.extra, free, 1);
  wake(m.state.extra, free);
}

/** Reclaim, as an allocation or kswapd enters it: lockdep sees it as a lock. */
export function* reclaim(task: Task, m: Machine, prune: Prune): Op<boolean> {
  m.lockdep?.acquire(task, FS_RECLAIM);
  const freed = yield* prune(task);
  m.lockdep?.release(task, FS_RECLAIM);
  return freed;
}
