// Inodes in memory: fixed slots found through a shared hash by inode number; their life from iget()
// to eviction (kernel.md 4.11; Linux: fs/inode.c).

import { loadLong } from '../memory/long.js';
import { add, and, cas, load, or, peek, read, store, write } from '../memory/word.js';
import { putFolio } from '../mm/alloc.js';
import { maybePinned } from '../mm/folio.js';
import { anyMarked, MARK } from '../mm/pagecache.js';
import { nextFolio, truncatePages } from '../mm/truncate.js';
import { Errno, InvariantError } from '../sched/errors.js';
import { mutexLock, mutexUnlock, spinLock, spinUnlock } from '../sched/lock.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { wake } from '../sched/wait.js';
import { ip, type Vol } from './core.js';
import { changeInode, readInode, writeInode } from './dinode.js';
import { freeFrom } from './free.js';
import { freeInode, setOrphan } from './inode-bitmap.js';
import { startHandle, stopHandle } from './journal.js';
import { DI, I, IP, LAST_PAGE, VOL } from './layout.js';
import { writepages } from './writepages.js';

/**
 * The slot of inode `ino`, read in if need be, with a reference. Not inside a handle: making room
 * may write another inode's pages.
 * @throws Errno ENOENT (not in use), ENFILE (all slots are referenced), EUCLEAN, EIO
 */
export function* iget(task: Task, v: Vol, ino: number): Op<number> {
  const s = v.m.state;
  if (ino <= 0 || ino >= v.sb.inodes)
    throw new Errno('ENOENT', `no inode ${String(ino)}: the volume has ${String(v.sb.inodes)}`);
  for (;;) {
    yield* spinLock(task, v.hashLock, 0);
    let slot = findSlot(v, ino);
    if (lab?.point()) yield STEP;
    const state = slot >= 0 ? load(s.iState, slot) : 0;
    let fresh = false;
    if (slot < 0) {
      slot = takeSlot(v, ino);
      fresh = slot >= 0;
      if (fresh) {
        if (lab?.point()) yield STEP;
        store(s.iState, slot, I.new);
        if (lab?.point()) yield STEP;
        store(s.iCount, slot, 1);
      }
    } else if ((state & I.freeing) === 0) {
      if (lab?.point()) yield STEP;
      add(s.iCount, slot, 1);
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, v.hashLock, 0);
    if (fresh) {
      yield* fillSlot(task, v, slot, ino);
      return slot;
    }
    if (slot < 0) yield* makeRoom(task, v);
    else if ((state & I.freeing) !== 0) yield sleepOn(task, s.iState, slot, state);
    else if (yield* isReady(task, v, slot)) return slot;
  }
}

/** A further reference to an inode that the caller has one to. One step. */
export function ihold(v: Vol, inode: number): void {
  add(v.m.state.iCount, inode, 1);
}

/** Gives a reference back; the last one of a deleted inode frees it. Not inside a handle. */
export function* iput(task: Task, v: Vol, inode: number): Op<void> {
  const s = v.m.state;
  for (;;) {
    if (lab?.point()) yield STEP;
    const count = peek(s.iCount, inode);
    if (count <= 1) break;
    if (cas(s.iCount, inode, count, count - 1) === count) return;
  }
  yield* spinLock(task, v.hashLock, 0);
  if (lab?.point()) yield STEP;
  const count = add(s.iCount, inode, -1) - 1;
  if (count < 0) throw new InvariantError(`reference count of inode slot ${String(inode)}`);
  let deleted = false;
  if (count === 0) {
    if (lab?.point()) yield STEP;
    const state = load(s.iState, inode);
    if ((state & I.bad) !== 0) freeSlot(v, inode);
    else {
      deleted = read(s.iNlink, inode) === 0;
      if (lab?.point()) yield STEP;
      or(s.iState, inode, deleted ? I.freeing : I.referenced);
    }
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, v.hashLock, 0);
  if (deleted) yield* evictDeleted(task, v, inode);
}

/** Writes what memory knows newer than the disk: times, size. Data is writepages' business. */
export function* flushInode(task: Task, v: Vol, inode: number): Op<void> {
  const s = v.m.state;
  if (lab?.point()) yield STEP;
  if ((load(s.iState, inode) & I.dirtyTime) === 0) return;
  const handle = yield* startHandle(task, v, 1);
  try {
    yield* writeInode(task, v, handle, inode);
  } finally {
    yield* stopHandle(task, v, handle);
  }
}

/** Evicts all inodes at unmount. @throws Errno EBUSY if one is still referenced */
export function* evictAll(task: Task, v: Vol): Op<void> {
  const s = v.m.state;
  for (let slot = 0; slot < v.m.geometry.inodes; slot++) {
    if (s.ino[slot] === 0) continue;
    if (!(yield* claimForEviction(task, v, slot))) {
      throw new Errno(
        'EBUSY',
        `inode ${String(s.ino[slot])} is still in use: close files and mappings first`,
      );
    }
    yield* dropPages(task, v, slot);
    yield* forgetSlot(task, v, slot);
  }
}

/** Puts all slots on the free list. Once, at mount. */
export function initSlots(v: Vol): void {
  const s = v.m.state;
  const slots = v.m.geometry.inodes;
  for (let slot = 0; slot < slots; slot++) {
    s.iPrivate[ip(slot, IP.hashNext)] = slot + 1 < slots ? slot + 2 : 0;
    s.ino[slot] = 0;
  }
  v.words[VOL.freeSlots] = slots > 0 ? 1 : 0;
}

/** Waits until a slot is read in; false (and the reference given back) if that failed. */
function* isReady(task: Task, v: Vol, slot: number): Op<boolean> {
  const s = v.m.state;
  for (;;) {
    if (lab?.point()) yield STEP;
    const state = load(s.iState, slot);
    if ((state & I.bad) !== 0) {
      yield* iput(task, v, slot);
      return false;
    }
    if ((state & I.new) === 0) return true;
    yield sleepOn(task, s.iState, slot, state);
  }
}

function* fillSlot(task: Task, v: Vol, slot: number, ino: number): Op<void> {
  const s = v.m.state;
  try {
    yield* readInode(task, v, slot, ino);
  } catch (error) {
    yield* spinLock(task, v.hashLock, 0);
    unhash(v, slot, ino);
    if (lab?.point()) yield STEP;
    store(s.iState, slot, I.bad);
    wake(s.iState, slot);
    if (lab?.point()) yield STEP;
    spinUnlock(task, v.hashLock, 0);
    yield* iput(task, v, slot);
    throw error;
  }
  if (lab?.point()) yield STEP;
  and(s.iState, slot, ~I.new);
  wake(s.iState, slot);
}

/** Slots freed at once: a walk over all slots for each would cost more than the eviction. */
const EVICT_BATCH = 64;

/** Frees slots that nobody refers to: clean ones, or else some whose pages are written first. */
function* makeRoom(task: Task, v: Vol): Op<void> {
  yield* mutexLock(task, v.evictSem, 0);
  try {
    if (read(v.words, VOL.freeSlots) !== 0) return; // somebody else made room
    const slots = v.m.geometry.inodes;
    const batch = Math.min(EVICT_BATCH, Math.ceil(slots / 4));
    let evicted = 0;
    for (let round = 0; round < 3 && evicted === 0; round++) {
      for (let i = 0; i < slots && evicted < batch; i++) {
        const slot = read(v.words, VOL.evictHand) % slots;
        write(v.words, VOL.evictHand, slot + 1);
        if (yield* tryEvict(task, v, slot, round)) evicted++;
      }
    }
    if (evicted > 0) return;
  } finally {
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.evictSem, 0);
  }
  throw new Errno(
    'ENFILE',
    `all ${String(v.m.geometry.inodes)} inode slots are in use: close files, or configure more`,
  );
}

/** @param round 0: clean inodes not used lately; 1: any clean one; 2: writes dirty ones */
function* tryEvict(task: Task, v: Vol, slot: number, round: number): Op<boolean> {
  const s = v.m.state;
  if (lab?.point()) yield STEP;
  if (load(s.iCount, slot) !== 0) return false;
  if (lab?.point()) yield STEP;
  const state = and(s.iState, slot, ~I.referenced);
  if (round === 0 && (state & I.referenced) !== 0) return false;
  if (read(s.ino, slot) === 0) return false;
  const dirty = yield* hasDirtyPages(task, v, slot);
  if (round < 2 && dirty) return false;
  if (!(yield* claimForEviction(task, v, slot))) return false;
  if (!(yield* cleanForEviction(task, v, slot, dirty))) {
    if (lab?.point()) yield STEP;
    and(s.iState, slot, ~I.freeing);
    wake(s.iState, slot);
    return false;
  }
  yield* dropPages(task, v, slot);
  yield* forgetSlot(task, v, slot);
  return true;
}

/**
 * Writes what is dirty; false if the inode has to stay: its pages could not be written, or one may
 * be pinned, whose device would store into a page that no file owns (inode_lru_isolate keeps inodes
 * with pages for the same effect).
 */
function* cleanForEviction(task: Task, v: Vol, slot: number, dirty: boolean): Op<boolean> {
  const { m } = v;
  try {
    if (dirty) yield* writepages(task, v, slot, 'all', 0, LAST_PAGE);
    yield* flushInode(task, v, slot);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    return false;
  }
  for (let index = 0; ; index++) {
    const pfn = yield* nextFolio(task, m, slot, index, LAST_PAGE);
    if (pfn === 0) return true;
    index = read(m.state.index, pfn);
    if (lab?.point()) yield STEP;
    const pinned = maybePinned(m, pfn);
    yield* putFolio(task, m, pfn);
    if (pinned) return false;
  }
}

function* hasDirtyPages(task: Task, v: Vol, slot: number): Op<boolean> {
  yield* spinLock(task, v.m.iPages, slot);
  const dirty = anyMarked(v.m, slot, MARK.dirty) || anyMarked(v.m, slot, MARK.writeback);
  if (lab?.point()) yield STEP;
  spinUnlock(task, v.m.iPages, slot);
  return dirty;
}

/** Sets I_FREEING if nobody refers to the inode. */
function* claimForEviction(task: Task, v: Vol, slot: number): Op<boolean> {
  const s = v.m.state;
  yield* spinLock(task, v.hashLock, 0);
  if (lab?.point()) yield STEP;
  const state = load(s.iState, slot);
  if (lab?.point()) yield STEP;
  const free =
    read(s.ino, slot) !== 0 &&
    (state & (I.new | I.freeing | I.bad)) === 0 &&
    load(s.iCount, slot) === 0;
  if (lab?.point()) yield STEP;
  if (free) or(s.iState, slot, I.freeing);
  if (lab?.point()) yield STEP;
  spinUnlock(task, v.hashLock, 0);
  return free;
}

/** The last reference to an inode without names is gone: frees its blocks and its number. */
function* evictDeleted(task: Task, v: Vol, inode: number): Op<void> {
  const s = v.m.state;
  const ino = read(s.ino, inode);
  yield* dropPages(task, v, inode);
  yield* freeFrom(task, v, inode, 0);
  const handle = yield* startHandle(task, v, 4);
  try {
    yield* changeInode(task, v, handle, inode, (words, at) => {
      write(words, at + DI.mode, 0);
      write(words, at + DI.flags, 0);
      write(words, at + DI.generation, read(words, at + DI.generation) + 1);
    });
    yield* setOrphan(task, v, handle, ino, false);
    yield* freeInode(task, v, handle, ino);
  } finally {
    yield* stopHandle(task, v, handle);
  }
  yield* forgetSlot(task, v, inode);
}

function* dropPages(task: Task, v: Vol, inode: number): Op<void> {
  yield* truncatePages(task, v.m, inode, 0, LAST_PAGE);
  if (read(v.m.state.nrPages, inode) !== 0) {
    throw new InvariantError(
      `inode slot ${String(inode)} (${String(loadLong(v.m.state.iSize, inode))} B) keeps pages at its eviction`,
    );
  }
}

function* forgetSlot(task: Task, v: Vol, slot: number): Op<void> {
  const s = v.m.state;
  yield* spinLock(task, v.hashLock, 0);
  unhash(v, slot, read(s.ino, slot));
  freeSlot(v, slot);
  if (lab?.point()) yield STEP;
  store(s.iState, slot, 0);
  wake(s.iState, slot);
  if (lab?.point()) yield STEP;
  spinUnlock(task, v.hashLock, 0);
}

// The hash and the free list, under hashLock.

function bucketOf(v: Vol, ino: number): number {
  return (Math.imul(ino, 0x9e3779b1) >>> 8) & (v.hash.length - 1);
}

function findSlot(v: Vol, ino: number): number {
  const s = v.m.state;
  let at = read(v.hash, bucketOf(v, ino));
  while (at !== 0 && read(s.ino, at - 1) !== ino) at = read(s.iPrivate, ip(at - 1, IP.hashNext));
  return at - 1;
}

function takeSlot(v: Vol, ino: number): number {
  const s = v.m.state;
  const slot = read(v.words, VOL.freeSlots) - 1;
  if (slot < 0) return -1;
  write(v.words, VOL.freeSlots, read(s.iPrivate, ip(slot, IP.hashNext)));
  write(s.ino, slot, ino);
  const bucket = bucketOf(v, ino);
  write(s.iPrivate, ip(slot, IP.hashNext), read(v.hash, bucket));
  write(v.hash, bucket, slot + 1);
  return slot;
}

function unhash(v: Vol, slot: number, ino: number): void {
  const s = v.m.state;
  const bucket = bucketOf(v, ino);
  const next = read(s.iPrivate, ip(slot, IP.hashNext));
  let at = read(v.hash, bucket);
  if (at === slot + 1) {
    write(v.hash, bucket, next);
    return;
  }
  while (read(s.iPrivate, ip(at - 1, IP.hashNext)) !== slot + 1) {
    at = read(s.iPrivate, ip(at - 1, IP.hashNext));
  }
  write(s.iPrivate, ip(at - 1, IP.hashNext), next);
}

function freeSlot(v: Vol, slot: number): void {
  const s = v.m.state;
  write(s.ino, slot, 0);
  write(s.iPrivate, ip(slot, IP.hashNext), read(v.words, VOL.freeSlots));
  write(v.words, VOL.freeSlots, slot + 1);
}
