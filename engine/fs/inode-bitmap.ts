// Inode numbers: the bitmap of those in use, and the bitmap of orphans: inodes that a mount must
// finish after a crash (deleted while open, or in the middle of a truncate).

import { add, load, read, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { mutexLock, mutexUnlock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { bufferAt, bufferSegment, getBuffer, putBuffer } from './buffer.js';
import { changeBlock, damaged, type Vol } from './core.js';
import type { Handle } from './journal.js';
import { BITS_PER_BLOCK, BLOCK_WORDS, VOL } from './layout.js';

/**
 * Takes a free inode number, in a handle.
 * @throws Errno ENOSPC
 */
export function* allocInode(task: Task, v: Vol, handle: Handle): Op<number> {
  yield* mutexLock(task, v.inodeSem, 0);
  try {
    const hint = read(v.words, VOL.inodeHint);
    let ino = yield* findFree(task, v, hint, v.sb.inodes);
    if (ino < 0) ino = yield* findFree(task, v, 1, hint);
    if (ino < 0) {
      throw new Errno(
        'ENOSPC',
        `all ${String(v.sb.inodes)} inodes are in use: delete files, or make the volume with more inodes`,
      );
    }
    yield* changeBit(task, v, handle, v.sb.inodeBitmapStart, ino, true);
    write(v.words, VOL.inodeHint, ino + 1 < v.sb.inodes ? ino + 1 : 1);
    if (lab?.point()) yield STEP;
    add(v.words, VOL.freeInodes, -1);
    return ino;
  } finally {
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.inodeSem, 0);
  }
}

/** Gives an inode number back, in a handle. */
export function* freeInode(task: Task, v: Vol, handle: Handle, ino: number): Op<void> {
  yield* mutexLock(task, v.inodeSem, 0);
  try {
    yield* changeBit(task, v, handle, v.sb.inodeBitmapStart, ino, false);
    if (lab?.point()) yield STEP;
    add(v.words, VOL.freeInodes, 1);
  } finally {
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.inodeSem, 0);
  }
}

/** Enters an inode among the orphans, or takes it off. */
export function* setOrphan(
  task: Task,
  v: Vol,
  handle: Handle,
  ino: number,
  orphan: boolean,
): Op<void> {
  yield* mutexLock(task, v.inodeSem, 0);
  try {
    yield* changeBit(task, v, handle, v.sb.orphanStart, ino, orphan);
  } finally {
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.inodeSem, 0);
  }
}

/** Takes an inode whose truncate has ended off the orphans, unless it was deleted meanwhile. */
export function* endTruncate(task: Task, v: Vol, handle: Handle, inode: number): Op<void> {
  const { ino, iNlink } = v.m.state;
  yield* mutexLock(task, v.inodeSem, 0);
  try {
    // Whoever deletes it changes the count first, and then enters it under this lock.
    if (lab?.point()) yield STEP;
    if (load(iNlink, inode) === 0) return;
    yield* changeBit(task, v, handle, v.sb.orphanStart, read(ino, inode), false);
  } finally {
    if (lab?.point()) yield STEP;
    mutexUnlock(task, v.inodeSem, 0);
  }
}

/** All orphans. At mount only. */
export function* listOrphans(task: Task, v: Vol): Op<number[]> {
  const found: number[] = [];
  for (let i = 0; i < v.sb.inodeBitmapBlocks; i++) {
    const b = yield* getBuffer(task, v, v.sb.orphanStart + i);
    const words = bufferSegment(v, b);
    const at = bufferAt(v, b);
    for (let word = 0; word < BLOCK_WORDS; word++) {
      for (let bits = read(words, at + word); bits !== 0; bits &= bits - 1) {
        const ino = i * BITS_PER_BLOCK + word * 32 + (31 - Math.clz32(bits & -bits));
        if (ino < v.sb.inodes) found.push(ino);
      }
    }
    yield* putBuffer(task, v, b);
  }
  return found;
}

function* findFree(task: Task, v: Vol, from: number, to: number): Op<number> {
  for (let at = from; at < to; ) {
    const group = Math.floor(at / BITS_PER_BLOCK);
    const end = Math.min(to, (group + 1) * BITS_PER_BLOCK);
    const b = yield* getBuffer(task, v, v.sb.inodeBitmapStart + group);
    const words = bufferSegment(v, b);
    const base = bufferAt(v, b);
    const first = group * BITS_PER_BLOCK;
    while (at < end) {
      const word = read(words, base + ((at - first) >>> 5));
      if (word === -1) at = first + ((((at - first) >>> 5) + 1) << 5);
      else if ((word & (1 << (at & 31))) !== 0) at++;
      else break;
    }
    yield* putBuffer(task, v, b);
    if (at < end) return at;
  }
  return -1;
}

function* changeBit(
  task: Task,
  v: Vol,
  handle: Handle,
  start: number,
  ino: number,
  value: boolean,
): Op<void> {
  const block = start + Math.floor(ino / BITS_PER_BLOCK);
  yield* changeBlock(task, v, handle, block, (words, at) => {
    const word = at + ((ino % BITS_PER_BLOCK) >>> 5);
    const bit = 1 << (ino & 31);
    if (start === v.sb.inodeBitmapStart && ((read(words, word) & bit) !== 0) === value) {
      throw damaged(`inode bitmap: inode ${String(ino)} is ${value ? 'in use' : 'free'} already`);
    }
    write(words, word, value ? read(words, word) | bit : read(words, word) & ~bit);
  });
}
