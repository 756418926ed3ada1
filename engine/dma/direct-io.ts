// Direct I/O of a file into and from mapped buffers: the block device transfers straight to and from
// user pages, which may themselves be pages of a mapped file (kernel.md 4.8; Linux: block/bio.c,
// fs/iomap/direct-io.c). Two inodes are at work, perhaps of two volumes: the target and the buffer's.

import type { Machine } from '../machine.js';
import { load } from '../memory/word.js';
import { putFolio } from '../mm/alloc.js';
import { copyFrame } from '../mm/content.js';
import { PG } from '../mm/folio.js';
import { dirtyPinned, FOLL } from '../mm/gup.js';
import { allocPageOrReclaim } from '../mm/reclaim.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { dropPages, holdPages } from './hold.js';
import { TRANSFER_PAGES_MAX } from './limits.js';

/** Moves `count` pages between a file or device and frames; page 0 is the one at `page` of the whole. */
export type Transfer = (page: number, pfns: Int32Array, count: number) => Op<void>;

/**
 * Direct read: the device stores into the buffer's pages.
 * @param transfer the target's side, e.g. the file system's directRead()
 * @param scratch at least TRANSFER_PAGES_MAX words (or `pages`), the caller's own
 * @returns pages read; fewer than asked for if the buffer ends before
 * @throws Errno EFAULT if no page of the buffer can be had; what the transfer throws
 */
export function* directReadInto(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  pages: number,
  transfer: Transfer,
  scratch: Int32Array,
): Op<number> {
  for (let done = 0; done < pages; ) {
    const want = Math.min(TRANSFER_PAGES_MAX, scratch.length, pages - done);
    const held = yield* holdBatch(task, m, mm, vpn + done, want, FOLL.write, scratch, done);
    if (held === 0) return done;
    let dirtied = 0;
    try {
      // bio_set_pages_dirty: up front, under the folio lock, before the device stores.
      for (; dirtied < held; dirtied++) {
        yield* dirtyPinned(task, m, scratch[dirtied], FOLL.write);
      }
      if (bounces(m)) yield* readThroughBounce(task, m, done, scratch, held, transfer);
      else yield* transfer(done, scratch, held);
    } finally {
      yield* completeRead(task, m, scratch, held, dirtied === held);
    }
    done += held;
    if (held < want) return done;
  }
  return pages;
}

/**
 * bio_check_pages_dirty: pages that are all still dirty are only let go; if one was cleaned
 * meanwhile, a work item locks and dirties them again, since the device has stored since.
 */
function* completeRead(
  task: Task,
  m: Machine,
  pfns: Int32Array,
  count: number,
  stored: boolean,
): Op<void> {
  let allDirty = true;
  for (let i = 0; stored && allDirty && i < count; i++) {
    if (lab?.point()) yield STEP;
    allDirty = (load(m.state.flags, pfns[i]) & PG.dirty) !== 0;
  }
  for (let i = 0; stored && !allDirty && i < count; i++) {
    yield* dirtyPinned(task, m, pfns[i], FOLL.write);
  }
  yield* dropPages(task, m, pfns, count, m.profile.directIoReference, false, FOLL.write);
}

/**
 * Direct write: the device loads from the buffer's pages, pinned without FOLL_WRITE.
 * @param transfer the target's side, e.g. the file system's directWrite()
 * @returns pages written; fewer than asked for if the buffer ends before
 * @throws as directReadInto()
 */
export function* directWriteFrom(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  pages: number,
  transfer: Transfer,
  scratch: Int32Array,
): Op<number> {
  for (let done = 0; done < pages; ) {
    const want = Math.min(TRANSFER_PAGES_MAX, scratch.length, pages - done);
    const held = yield* holdBatch(task, m, mm, vpn + done, want, 0, scratch, done);
    if (held === 0) return done;
    try {
      if (bounces(m)) yield* writeThroughBounce(task, m, done, scratch, held, transfer);
      else yield* transfer(done, scratch, held);
    } finally {
      yield* dropPages(task, m, scratch, held, m.profile.directIoReference, false);
    }
    done += held;
    if (held < want) return done;
  }
  return pages;
}

/** Holds a batch; 0 if its first page can't be had and something was transferred before. */
function* holdBatch(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  count: number,
  flags: number,
  pfns: Int32Array,
  done: number,
): Op<number> {
  try {
    return yield* holdPages(task, m, mm, vpn, count, flags, m.profile.directIoReference, pfns);
  } catch (error) {
    if (done > 0 && error instanceof Errno) return 0;
    throw error;
  }
}

/** From 7.0 on a target that needs stable pages gets pages that nobody else can write to. */
function bounces(m: Machine): boolean {
  return m.profile.directIoBounces && m.fs.stableWrites;
}

/** The device stores into bounce frames, and at completion the CPU copies them to the user's pages. */
function* readThroughBounce(
  task: Task,
  m: Machine,
  page: number,
  pfns: Int32Array,
  count: number,
  transfer: Transfer,
): Op<void> {
  const bounce = yield* allocFrames(task, m, count);
  try {
    yield* transfer(page, bounce, count);
    for (let i = 0; i < count; i++) yield* copyFrame(m, pfns[i], bounce[i]);
  } finally {
    for (let i = 0; i < count; i++) yield* putFolio(task, m, bounce[i]);
  }
}

/** The CPU copies the user's pages to bounce frames, and the device loads from those. */
function* writeThroughBounce(
  task: Task,
  m: Machine,
  page: number,
  pfns: Int32Array,
  count: number,
  transfer: Transfer,
): Op<void> {
  const bounce = yield* allocFrames(task, m, count);
  try {
    for (let i = 0; i < count; i++) yield* copyFrame(m, bounce[i], pfns[i]);
    yield* transfer(page, bounce, count);
  } finally {
    for (let i = 0; i < count; i++) yield* putFolio(task, m, bounce[i]);
  }
}

/** @throws Errno ENOMEM; nothing is kept then */
function* allocFrames(task: Task, m: Machine, count: number): Op<Int32Array> {
  const frames = new Int32Array(count);
  let have = 0;
  try {
    for (; have < count; have++) frames[have] = yield* allocPageOrReclaim(task, m, 'fs');
  } catch (error) {
    while (have > 0) yield* putFolio(task, m, frames[--have]);
    throw error;
  }
  return frames;
}
