// The kernel threads of memory management as operations: the flusher, which writes dirty pages in
// the background (Linux: fs/fs-writeback.c, wb_workfn), and kswapd, which keeps frames free
// (mm/vmscan.c). kernel-threads.ts runs them in threads of their own.

import type { Machine } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { exchange, load, peek } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { spinLock, spinUnlock } from '../sched/lock.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { PAGE_INDEX_MAX } from './address-space.js';
import { I_STATE } from './inode-state.js';
import { anyMarked, MARK } from './pagecache.js';
import { ring, shrink, watermarks } from './reclaim.js';

/** The flusher also comes round unasked (vm.dirty_writeback_centisecs; 5 s in Linux). */
const PERIOD_MS = 250;

/** Rest of a kernel thread that could do nothing although it was called. */
const REST_MS = 5;

/** Frames that kswapd frees between two looks at the watermark. */
const KSWAPD_BATCH = 128;

/**
 * Runs the flusher until words[0] of `stop` is not 0 (raise it, then ring GLOBAL.flusherBell).
 * @throws KernelBug if the rules in force trip over a page
 */
export function* flusherLoop(task: Task, m: Machine, stop: Int32Array): Op<void> {
  const { global } = m.state;
  Atomics.add(global, GLOBAL.flushers, 1);
  try {
    while (Atomics.load(stop, 0) === 0) {
      if (lab?.point()) yield STEP;
      exchange(global, GLOBAL.flusherBell, 0);
      const written = yield* flushRound(task, m);
      if (Atomics.load(stop, 0) !== 0) return;
      if (written > 0) continue;
      if (peek(global, GLOBAL.flusherBell) !== 0) {
        // Called, but what is dirty may not be written now.
        yield sleepOn(task, stop, 0, 0, false, REST_MS);
      }
      yield sleepOn(task, global, GLOBAL.flusherBell, 0, false, PERIOD_MS);
    }
  } finally {
    Atomics.sub(global, GLOBAL.flushers, 1);
    Atomics.add(global, GLOBAL.flushRounds, 1);
    wake(global, GLOBAL.flushRounds);
  }
}

/**
 * Starts writing all that is dirty, once (WB_SYNC_NONE).
 * @returns pages written
 */
export function* flushRound(task: Task, m: Machine): Op<number> {
  const { iState, global } = m.state;
  let written = 0;
  for (let inode = 0; inode < m.geometry.inodes; inode++) {
    if ((peek(iState, inode) & I_STATE.dirtyPages) !== 0) {
      written += yield* flushInode(task, m, inode);
    }
  }
  try {
    yield* m.fs.background(task);
  } catch (error) {
    // The disk failed or the host is full: the file system remembers, and tells whoever syncs.
    if (!(error instanceof Errno)) throw error;
  }
  Atomics.add(global, GLOBAL.flushRounds, 1);
  wake(global, GLOBAL.flushRounds);
  return written;
}

function* flushInode(task: Task, m: Machine, inode: number): Op<number> {
  if (!(yield* m.fs.grabInode(task, inode))) return 0;
  let written = 0;
  try {
    // Before the scan: whoever dirties a page behind it raises the bit again.
    Atomics.and(m.state.iState, inode, ~I_STATE.dirtyPages);
    written = yield* m.fs.writepages(task, inode, 'none', 0, PAGE_INDEX_MAX);
  } catch (error) {
    // EIO, ENOSPC: the file system keeps the error for fsync, and the pages as it sees fit.
    if (!(error instanceof Errno)) throw error;
  } finally {
    if (yield* hasDirtyPages(task, m, inode)) {
      Atomics.or(m.state.iState, inode, I_STATE.dirtyPages);
    }
    yield* m.fs.putInode(task, inode);
  }
  return written;
}

function* hasDirtyPages(task: Task, m: Machine, inode: number): Op<boolean> {
  yield* spinLock(task, m.iPages, inode);
  const dirty = anyMarked(m, inode, MARK.dirty);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.iPages, inode);
  return dirty;
}

/** Runs kswapd until words[0] of `stop` is not 0 (raise it, then ring GLOBAL.kswapdBell). */
export function* kswapdLoop(task: Task, m: Machine, stop: Int32Array): Op<void> {
  const { global } = m.state;
  const { high } = watermarks(m);
  while (Atomics.load(stop, 0) === 0) {
    if (lab?.point()) yield STEP;
    exchange(global, GLOBAL.kswapdBell, 0);
    while (Atomics.load(stop, 0) === 0) {
      if (lab?.point()) yield STEP;
      if (load(global, GLOBAL.freeCount) >= high) break;
      if ((yield* shrink(task, m, KSWAPD_BATCH, true)) > 0) continue;
      if (peek(global, GLOBAL.nrDirty) > 0) ring(m, GLOBAL.flusherBell);
      yield sleepOn(task, stop, 0, 0, false, REST_MS);
      break;
    }
    yield sleepOn(task, global, GLOBAL.kswapdBell, 0);
  }
}
