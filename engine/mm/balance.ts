// Holding back those who dirty pages faster than they are written (balance_dirty_pages; Linux:
// mm/page-writeback.c). Called outside folio locks and mmap_lock by whoever has just dirtied pages:
// write faults of CPUs, buffered writes.

import type { Machine } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { peek } from '../memory/word.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { flushRound } from './flusher.js';
import { ring } from './reclaim.js';

/** vm.dirty_background_ratio and vm.dirty_ratio, in percent of the frames. */
const BACKGROUND_PERCENT = 10;
const LIMIT_PERCENT = 20;

/** So few pages may always be dirty, however small the machine. */
const LIMIT_LEAST = 8;

/**
 * Rounds of the flusher that a writer waits for at most: pages that the rules in force skip stay
 * dirty however often it comes round.
 */
const ROUNDS_MAX = 2;

/** Longest pause between two looks at the account (MAX_PAUSE). */
const PAUSE_MS = 200;

/** Pages dirty or under writeback above which the flusher is woken, and above which writers wait. */
export function dirtyLimits(m: Machine): { background: number; limit: number } {
  const { pages } = m.geometry;
  return {
    background: Math.max(LIMIT_LEAST, Math.floor((pages * BACKGROUND_PERCENT) / 100)),
    limit: Math.max(LIMIT_LEAST, Math.floor((pages * LIMIT_PERCENT) / 100)),
  };
}

/**
 * After dirtying: wakes the flusher or waits for it. May sleep; no locks but i_rwsem may be held. Not
 * interruptible: the caller may hold pins that an error would lose.
 */
export function* balanceDirty(task: Task, m: Machine): Op<void> {
  if (!isOverBackground(m)) return;
  ring(m, GLOBAL.flusherBell);
  if (dirtyNow(m) > (LIMIT_PERCENT * m.geometry.pages) / 100) yield* throttle(task, m);
}

/** Is there anything for balanceDirty() to do? For hot paths. */
export function isOverBackground(m: Machine): boolean {
  const dirty = dirtyNow(m);
  return dirty > LIMIT_LEAST && dirty > (BACKGROUND_PERCENT * m.geometry.pages) / 100;
}

function* throttle(task: Task, m: Machine): Op<void> {
  const { global } = m.state;
  const { limit } = dirtyLimits(m);
  if (peek(global, GLOBAL.flushers) === 0) {
    // A machine without kernel threads: the writer cleans for itself, as before Linux 2.6.37.
    yield* flushRound(task, m);
    return;
  }
  const first = peek(global, GLOBAL.flushRounds);
  for (;;) {
    const round = peek(global, GLOBAL.flushRounds);
    if (((round - first) | 0) >= ROUNDS_MAX || dirtyNow(m) <= limit) return;
    ring(m, GLOBAL.flusherBell);
    yield sleepOn(task, global, GLOBAL.flushRounds, round, false, PAUSE_MS);
  }
}

function dirtyNow(m: Machine): number {
  const { global } = m.state;
  return peek(global, GLOBAL.nrDirty) + peek(global, GLOBAL.nrWriteback);
}
