// Inodes on disk: finding one in its table, checking it, changing it in a handle.

import { crc32c } from '../../native/index.js';
import { INODE_PRIVATE_WORDS } from '../memory/layout.js';
import { loadLong, storeLong } from '../memory/long.js';
import { add, and, load, or, read, store, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import {
  bufferAt,
  bufferSegment,
  getBuffer,
  lockBuffer,
  putBuffer,
  unlockBuffer,
} from './buffer.js';
import { changeBuffer, damaged, ip, readPair, type Vol, writePair } from './core.js';
import { currentTid, type Handle } from './journal.js';
import {
  BLOCK_BYTES,
  DI,
  DIFLAG,
  FILE_BYTES_MAX,
  I,
  INLINE_BYTES_MAX,
  INODE_WORDS,
  INODES_PER_BLOCK,
  IP,
  S_IF,
} from './layout.js';

/** The block of the inode table that holds inode `ino`. */
export function inodeBlock(v: Vol, ino: number): number {
  return v.sb.inodeTableStart + Math.floor(ino / INODES_PER_BLOCK);
}

/** Where inode `ino` starts in its block, in words. */
export function inodeOffset(ino: number): number {
  return (ino % INODES_PER_BLOCK) * INODE_WORDS;
}

/** CRC of an inode's words. */
export function inodeCrc(words: Int32Array, at: number, ino: number): number {
  const start = words.byteOffset + (at + 1) * 4;
  return crc32c(new Uint8Array(words.buffer, start, (INODE_WORDS - 1) * 4), ino) | 0;
}

/** CRC of a metadata block of 1,024 words whose CRC is word 1. */
export function blockCrc(words: Int32Array, at: number): number {
  const start = words.byteOffset + at * 4;
  const head = crc32c(new Uint8Array(words.buffer, start, 4));
  return crc32c(new Uint8Array(words.buffer, start + 8, 4096 - 8), head) | 0;
}

/**
 * Changes an inode on disk, in a handle; its CRC follows.
 * @param change gets the words and where the inode starts in them
 */
export function* changeInode(
  task: Task,
  v: Vol,
  handle: Handle,
  inode: number,
  change: (words: Int32Array, at: number) => void,
): Op<void> {
  const s = v.m.state;
  const ino = read(s.ino, inode);
  const b = yield* getBuffer(task, v, inodeBlock(v, ino));
  try {
    yield* changeBuffer(task, v, handle, b, (words, base) => {
      const at = base + inodeOffset(ino);
      change(words, at);
      write(words, at + DI.crc, inodeCrc(words, at, ino));
    });
  } finally {
    yield* putBuffer(task, v, b);
  }
  yield* noteTid(v, handle, inode);
}

/** fsync of the inode has to wait for this handle's transaction. */
export function* noteTid(v: Vol, handle: Handle, inode: number): Op<void> {
  const { iPrivate } = v.m.state;
  if (lab?.point()) yield STEP;
  store(iPrivate, ip(inode, IP.tid), handle.tid);
  if (lab?.point()) yield STEP;
  store(iPrivate, ip(inode, IP.tidKnown), 1);
}

/**
 * Writes what is newer in memory to the inode on disk: mode, links, size as the disk shall know it,
 * times. The caller holds i_data_sem (or nobody else knows the inode).
 */
export function* writeInode(
  task: Task,
  v: Vol,
  handle: Handle,
  inode: number,
  blocksDelta = 0,
): Op<void> {
  const { iMode, iNlink, iPrivate, iState } = v.m.state;
  if (lab?.point()) yield STEP;
  and(iState, inode, ~I.dirtyTime);
  yield* changeInode(task, v, handle, inode, (words, at) => {
    write(words, at + DI.mode, read(iMode, inode));
    write(words, at + DI.nlink, read(iNlink, inode));
    write(words, at + DI.flags, read(iPrivate, ip(inode, IP.flags)));
    write(words, at + DI.parent, read(iPrivate, ip(inode, IP.parent)));
    writePair(words, at + DI.sizeLow, readPair(iPrivate, ip(inode, IP.diskSizeLow)));
    if (blocksDelta !== 0) write(words, at + DI.blocks, read(words, at + DI.blocks) + blocksDelta);
    writePair(words, at + DI.mtimeLow, readPair(iPrivate, ip(inode, IP.mtimeLow)));
  });
}

/**
 * Fills inode slot `inode` from the disk.
 * @throws Errno ENOENT (the inode is free), EUCLEAN, EIO
 */
export function* readInode(task: Task, v: Vol, inode: number, ino: number): Op<void> {
  const s = v.m.state;
  const b = yield* getBuffer(task, v, inodeBlock(v, ino));
  yield* lockBuffer(task, v, b);
  try {
    const words = bufferSegment(v, b);
    const at = bufferAt(v, b) + inodeOffset(ino);
    checkInode(words, at, ino);
    const size = readPair(words, at + DI.sizeLow);
    write(s.iMode, inode, read(words, at + DI.mode));
    write(s.iNlink, inode, read(words, at + DI.nlink));
    for (let i = 0; i < INODE_PRIVATE_WORDS; i++)
      if (i !== IP.hashNext) write(s.iPrivate, ip(inode, i), 0);
    write(s.iPrivate, ip(inode, IP.flags), read(words, at + DI.flags));
    write(s.iPrivate, ip(inode, IP.parent), read(words, at + DI.parent));
    write(s.iPrivate, ip(inode, IP.generation), read(words, at + DI.generation));
    writePair(s.iPrivate, ip(inode, IP.diskSizeLow), size);
    write(s.iPrivate, ip(inode, IP.tailKnown), size % BLOCK_BYTES === 0 ? 1 : 0);
    writePair(s.iPrivate, ip(inode, IP.mtimeLow), readPair(words, at + DI.mtimeLow));
    if (lab?.point()) yield STEP;
    write(s.iPrivate, ip(inode, IP.tid), currentTid(v));
    if (lab?.point()) yield STEP;
    storeLong(s.iSize, inode, size);
  } finally {
    if (lab?.point()) yield STEP;
    unlockBuffer(task, v, b);
    yield* putBuffer(task, v, b);
  }
}

function checkInode(words: Int32Array, at: number, ino: number): void {
  const mode = read(words, at + DI.mode);
  if (mode === 0) throw new Errno('ENOENT', `inode ${String(ino)} is not in use`);
  if (read(words, at + DI.crc) !== inodeCrc(words, at, ino))
    throw damaged(`inode ${String(ino)} has a wrong CRC`);
  const type = mode & S_IF.mask;
  if (type !== S_IF.file && type !== S_IF.dir && type !== S_IF.link)
    throw damaged(`inode ${String(ino)} is of unknown type 0o${mode.toString(8)}`);
  const size = readPair(words, at + DI.sizeLow);
  const inline = (read(words, at + DI.flags) & DIFLAG.inline) !== 0;
  if (size > FILE_BYTES_MAX || (inline && (size > INLINE_BYTES_MAX || type === S_IF.dir)))
    throw damaged(`inode ${String(ino)} has size ${String(size)}`);
}

/** Sets the modification time to now, in memory; the next writeInode() brings it to disk. */
export function* touch(v: Vol, inode: number): Op<void> {
  const s = v.m.state;
  writePair(s.iPrivate, ip(inode, IP.mtimeLow), v.now());
  if (lab?.point()) yield STEP;
  or(s.iState, inode, I.dirtyTime);
}

/** i_size. One step. */
export function sizeOf(v: Vol, inode: number): number {
  return loadLong(v.m.state.iSize, inode);
}

/** Changes i_nlink in memory, under the semaphore of names. Returns the new value. */
export function addLinks(v: Vol, inode: number, delta: number): number {
  return add(v.m.state.iNlink, inode, delta) + delta;
}

/** Is the inode of this type (S_IF)? */
export function isType(v: Vol, inode: number, type: number): boolean {
  return (load(v.m.state.iMode, inode) & S_IF.mask) === type;
}
