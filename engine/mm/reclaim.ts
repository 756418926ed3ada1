// Reclaim: taking clean pages out of the page cache when memory runs short (Linux: mm/vmscan.c,
// shrink_folio_list; order of steps: kernel.md 4.9), and the allocation that may have to do so.
//
// A clock hand goes over all frames; each reclaimer moves it on by a batch of its own, so that any
// number of them run at once and no lock covers the hand.

import type { Machine } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { add, cas, load, peek, read, store } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { spinLock, spinUnlock } from '../sched/lock.js';
import { lockClass } from '../sched/lockdep.js';
import { mightSleep, type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { PAGE_INDEX_MAX } from './address-space.js';
import { freeFrozen, putFolio, takeFrame, undoGet } from './alloc.js';
import { FREE, maybePinned, PG, tryGet, tryLockFolio, unlockFolio } from './folio.js';
import { cacheDelete, giveNodes, takeNodes } from './pagecache.js';
import { unmapFolio } from './rmap.js';

/** Frames that a reclaimer looks at before it moves the hand again, and that direct reclaim frees. */
const BATCH = 32;

/** How long an allocation that finds nothing to reclaim waits for the flusher, and how often. */
const RETRY_MS = 10;
const RETRIES_MAX = 100;

/** Tries without progress when nothing is on its way to the disk either. */
const IDLE_TRIES_MAX = 3;

/** Pages cached: what one of them holds besides its mappings is the cache's reference and the reclaimer's. */
const EXPECTED_REFERENCES = 2;

const FS_RECLAIM = lockClass('fs_reclaim');

/**
 * Free frames below which: `low` kswapd is woken, `min` an ordinary allocation has to reclaim (the
 * rest is for writeback itself); `high`: kswapd rests.
 */
export function watermarks(m: Machine): { min: number; low: number; high: number } {
  const { pages } = m.geometry;
  return { min: pages >>> 8, low: pages >>> 6, high: pages >>> 5 };
}

/** Is memory so short that copies of pages under writeback should be given back soon? For hot paths. */
export function isMemoryShort(m: Machine): boolean {
  return peek(m.state.global, GLOBAL.freeCount) <= m.geometry.pages >>> 6;
}

/**
 * A frame with one reference, not zeroed, reclaiming memory if there is none.
 * @param scope `fs` if reclaim may enter the file system (GFP_KERNEL); `nofs` under its locks
 * @throws Errno ENOMEM if nothing can be reclaimed
 */
export function* allocPageOrReclaim(task: Task, m: Machine, scope: 'fs' | 'nofs'): Op<number> {
  const min = m.geometry.pages >>> 8;
  const pfn = yield* takeFrame(task, m, min);
  if (pfn === 0) return yield* allocSlowly(task, m, scope, min);
  if (peek(m.state.global, GLOBAL.freeCount) < m.geometry.pages >>> 6) ring(m, GLOBAL.kswapdBell);
  return pfn;
}

/**
 * Tree nodes for pagecache.ts: takeNodes(), reclaiming pages if there are none, since a page that is
 * cached alone takes a node for itself.
 * @throws Errno ENOMEM
 */
export function* takeNodesOrReclaim(task: Task, m: Machine, count: number): Op<number> {
  const chain = yield* takeNodes(task, m, count);
  if (chain !== 0) return chain;
  return yield* reclaimUntil(task, m, 'fs', 'tree nodes of the page cache', () =>
    takeNodes(task, m, count),
  );
}

function* allocSlowly(task: Task, m: Machine, scope: 'fs' | 'nofs', min: number): Op<number> {
  // All but the first try may take what is kept for writeback, rather than fail.
  let leave = min;
  return yield* reclaimUntil(task, m, scope, 'page frames', function* () {
    const pfn = yield* takeFrame(task, m, leave);
    leave = 0;
    return pfn;
  });
}

/** Reclaims until `take` returns something. @throws Errno ENOMEM if nothing helps */
function* reclaimUntil(
  task: Task,
  m: Machine,
  scope: 'fs' | 'nofs',
  what: string,
  take: () => Op<number>,
): Op<number> {
  mightSleep(task);
  const pseudoLock = scope === 'fs' ? m.lockdep : null;
  if (pseudoLock !== null) pseudoLock.acquire(task, FS_RECLAIM);
  try {
    return yield* reclaimAndTake(task, m, what, take);
  } finally {
    if (pseudoLock !== null) pseudoLock.release(task, FS_RECLAIM);
  }
}

function* reclaimAndTake(task: Task, m: Machine, what: string, take: () => Op<number>): Op<number> {
  const { global } = m.state;
  let idle = 0;
  for (let tries = 0; tries < RETRIES_MAX && idle < IDLE_TRIES_MAX; tries++) {
    ring(m, GLOBAL.kswapdBell);
    const freed = yield* shrink(task, m, BATCH);
    const taken = yield* take();
    if (taken !== 0) return taken;
    if (freed !== 0) continue;
    const flying = peek(global, GLOBAL.nrDirty) + peek(global, GLOBAL.nrWriteback);
    idle = flying > 0 ? 0 : idle + 1;
    ring(m, GLOBAL.flusherBell);
    const free = peek(global, GLOBAL.freeCount);
    if (flying > 0) yield sleepOn(task, global, GLOBAL.freeCount, free, false, RETRY_MS);
  }
  throw new Errno(
    'ENOMEM',
    `no ${what} left: of ${String(m.geometry.pages)} frames ${String(peek(global, GLOBAL.nrFilePages))} hold pages of ` +
      `files, ${String(peek(global, GLOBAL.nrDirty))} of them dirty: give pins back, or configure more memory`,
  );
}

/** Wakes a kernel thread that sleeps on its bell. */
export function ring(m: Machine, bell: number): void {
  if (peek(m.state.global, bell) !== 0 || cas(m.state.global, bell, 0, 1) !== 0) return;
  wake(m.state.global, bell);
}

/**
 * Frees up to `want` frames or a few more, in one turn of the hand.
 * @param mayWrite kswapd under rules that let it write dirty pages itself (pageout); no locks held
 * @returns frames freed
 */
export function* shrink(task: Task, m: Machine, want: number, mayWrite = false): Op<number> {
  const { pages } = m.geometry;
  let freed = 0;
  for (let seen = 0; seen < pages && freed < want; seen += BATCH) {
    if (lab?.point()) yield STEP;
    const hand = add(m.state.global, GLOBAL.reclaimHand, BATCH) >>> 0;
    for (let i = 0; i < BATCH && i < pages; i++) {
      if (yield* reclaimFolio(task, m, (hand + i) % pages, mayWrite)) freed++;
    }
  }
  return freed;
}

/** Frees one page of a file if nothing keeps it: shrink_folio_list. */
export function* reclaimFolio(task: Task, m: Machine, pfn: number, mayWrite: boolean): Op<boolean> {
  const { mapping, refcount } = m.state;
  if (lab?.point()) yield STEP;
  if (load(mapping, pfn) === 0) return false;
  if (lab?.point()) yield STEP;
  if (load(refcount, pfn) <= 0) return false;
  if (lab?.point()) yield STEP;
  if (!tryGet(m, pfn, 1)) {
    yield* undoGet(task, m, pfn, 1);
    return false;
  }
  if (lab?.point()) yield STEP;
  if (!tryLockFolio(task, m, pfn)) {
    yield* putFolio(task, m, pfn);
    return false;
  }
  const fate = yield* reclaimLocked(task, m, pfn, mayWrite);
  if (lab?.point()) yield STEP;
  unlockFolio(task, m, pfn);
  if (fate === 'freed') {
    yield* freeFrozen(task, m, pfn);
    return true;
  }
  if (fate === 'pageout') yield* pageout(task, m, pfn);
  yield* putFolio(task, m, pfn);
  return false;
}

/** What becomes of a locked folio; 'freed': its count is FREE, the caller's reference included. */
function* reclaimLocked(
  task: Task,
  m: Machine,
  pfn: number,
  mayWrite: boolean,
): Op<'kept' | 'pageout' | 'freed'> {
  const { mapping, flags } = m.state;
  if (lab?.point()) yield STEP;
  const inode = load(mapping, pfn) - 1;
  if (inode < 0) return 'kept';
  if (lab?.point()) yield STEP;
  const before = load(flags, pfn);
  if ((before & PG.writeback) !== 0) return 'kept';
  const mayPageout = mayWrite && m.profile.reclaimWritesPages;
  // It would be left to the flusher below: unmapping it first would only cost its users a fault.
  if ((before & PG.dirty) !== 0 && !mayPageout) return 'kept';
  yield* unmapFolio(task, m, inode, pfn);
  if (!m.profile.reclaimStripsPinned) {
    // After the unmap, so that a fast GUP either is seen here or fails its second look at the PTE.
    if (lab?.point()) yield STEP;
    if (maybePinned(m, pfn)) return 'kept';
  }
  if (lab?.point()) yield STEP;
  const now = load(flags, pfn);
  if ((now & PG.dirty) !== 0) return mayPageout ? 'pageout' : 'kept';
  // Here a pinned page loses its buffers where the rules let it (H0-a).
  if ((now & PG.private) !== 0 && !(yield* m.fs.releaseFolio(task, inode, pfn))) return 'kept';
  return (yield* removeMapping(task, m, inode, pfn)) ? 'freed' : 'kept';
}

/** Takes a folio out of its file if nobody else has a reference to it and it is clean (__remove_mapping). */
function* removeMapping(task: Task, m: Machine, inode: number, pfn: number): Op<boolean> {
  const { mapping, flags, index, refcount, global } = m.state;
  yield* spinLock(task, m.iPages, inode);
  if (lab?.point()) yield STEP;
  let removed = cas(refcount, pfn, EXPECTED_REFERENCES, FREE) === EXPECTED_REFERENCES;
  let freed = 0;
  if (removed) {
    if (lab?.point()) yield STEP;
    if ((load(flags, pfn) & PG.dirty) !== 0) {
      // Dirtied by somebody whose reference is gone already.
      if (lab?.point()) yield STEP;
      add(refcount, pfn, EXPECTED_REFERENCES - FREE);
      removed = false;
    } else {
      freed = cacheDelete(m, inode, read(index, pfn));
      if (lab?.point()) yield STEP;
      store(mapping, pfn, 0);
    }
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  if (!removed) return false;
  Atomics.add(global, GLOBAL.nrFilePages, -1);
  yield* giveNodes(task, m, freed);
  return true;
}

/** Writes one dirty page as kswapd of old kernels did; a later turn of the hand finds it clean. */
function* pageout(task: Task, m: Machine, pfn: number): Op<void> {
  if (lab?.point()) yield STEP;
  const inode = load(m.state.mapping, pfn) - 1;
  if (inode < 0 || !(yield* m.fs.grabInode(task, inode))) return;
  const index = Math.min(read(m.state.index, pfn), PAGE_INDEX_MAX);
  try {
    yield* m.fs.writepages(task, inode, 'none', index, index);
  } catch (error) {
    if (!(error instanceof Errno)) throw error; // the error is the inode's: fsync reports it
  } finally {
    yield* m.fs.putInode(task, inode);
  }
}
