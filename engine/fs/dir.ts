// Directories: files of hashed blocks that grow by one block at a time (linear hashing), so that a
// name is found with one block however many there are. All under Vol.names: shared to look, alone to
// change.
//
// With n blocks and 2^L <= n < 2^(L+1), a name is in block (hash mod 2^(L+1)) if there is such a
// block, else in (hash mod 2^L). Growing by block n moves to it what belongs there from block n - 2^L.
// Entries are told in the order of their bit-reversed hash: a split never moves one across a cursor.

import { storeLong } from '../memory/long.js';
import { read } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { downWrite, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { allocMetadataBlock } from './alloc.js';
import {
  bufferAt,
  bufferSegment,
  getBuffer,
  getFreshBuffer,
  lockBuffer,
  putBuffer,
  unlockBuffer,
} from './buffer.js';
import { changeBlock, changeBuffer, damaged, ip, type Vol, writePair } from './core.js';
import { sizeOf, writeInode } from './dinode.js';
import {
  appendEntry,
  checkDirBlock,
  type Dirent,
  ENTRY_WORDS_MAX,
  encodeName,
  entryWords,
  findInBlock,
  hashName,
  initDirBlock,
  listBlock,
  removeEntry,
  sealDirBlock,
} from './dir-block.js';
import { INSERT_CREDITS, insertExtent } from './extents.js';
import { mapBlock } from './folio-state.js';
import { type Handle, startHandle, stopHandle } from './journal.js';
import { BLOCK_BYTES, DB, IP } from './layout.js';

/** How often a directory may double while room is made for one name: more is a flood of equal hashes. */
const DOUBLINGS_MAX = 4;

/** Blocks of a directory at most. */
const BLOCKS_MAX = 2 ** 20;

/** Where a name was found. */
export interface Place {
  readonly ino: number;
  readonly type: number;
  /** Block of the volume. */
  readonly block: number;
  readonly hash: number;
}

/** The entry of `name`, or null. @throws Errno EUCLEAN, EIO, EINVAL */
export function* findName(task: Task, v: Vol, dir: number, name: string): Op<Place | null> {
  const bytes = encodeName(name);
  const hash = hashName(bytes, v.sb.hashSeed);
  const blocks = yield* blockCount(v, dir);
  if (blocks === 0) return null;
  const block = yield* dirBlock(task, v, dir, bucketOf(hash, blocks));
  const ino = read(v.m.state.ino, dir);
  return yield* withBlock(task, v, block, (words, at) => {
    checkDirBlock(words, at, ino, block);
    const entry = findInBlock(words, at, hash, bytes);
    if (entry < 0) return null;
    return { ino: words[entry], type: words[entry + 2] >>> 16, block, hash };
  });
}

/**
 * Grows the directory until an entry of this name fits into its block. Handles of its own.
 * @throws Errno ENOSPC
 */
export function* makeRoomFor(task: Task, v: Vol, dir: number, name: string): Op<void> {
  const bytes = encodeName(name);
  const hash = hashName(bytes, v.sb.hashSeed);
  const need = entryWords(bytes.length);
  const first = yield* blockCount(v, dir);
  for (let blocks = first; ; blocks++) {
    if (blocks > 0) {
      const block = yield* dirBlock(task, v, dir, bucketOf(hash, blocks));
      const used = yield* withBlock(task, v, block, (words, at) => words[at + DB.usedWords]);
      if (used + need <= ENTRY_WORDS_MAX) return;
    }
    if (blocks >= BLOCKS_MAX || blocks > Math.max(8, first) * 2 ** DOUBLINGS_MAX) {
      throw new Errno('ENOSPC', 'too many names of this directory have the same hash: use others');
    }
    yield* grow(task, v, dir, blocks);
  }
}

/** Enters a name for which makeRoomFor() was called, in a handle (one block). */
export function* addName(
  task: Task,
  v: Vol,
  handle: Handle,
  dir: number,
  name: string,
  ino: number,
  type: number,
): Op<void> {
  const bytes = encodeName(name);
  const hash = hashName(bytes, v.sb.hashSeed);
  const block = yield* dirBlock(task, v, dir, bucketOf(hash, yield* blockCount(v, dir)));
  yield* changeBlock(task, v, handle, block, (words, at) => {
    appendEntry(words, at, ino, hash, type, bytes);
    sealDirBlock(words, at);
  });
}

/** Takes a name out, in a handle (one block). */
export function* removeName(
  task: Task,
  v: Vol,
  handle: Handle,
  place: Place,
  name: string,
): Op<void> {
  const bytes = encodeName(name);
  yield* changeBlock(task, v, handle, place.block, (words, at) => {
    const entry = findInBlock(words, at, place.hash, bytes);
    if (entry < 0) throw damaged(`name "${name}" vanished from block ${String(place.block)}`);
    removeEntry(words, at, entry);
    sealDirBlock(words, at);
  });
}

/** A part of a directory, and where to go on: -1 at its end. */
export interface Listing {
  readonly entries: Dirent[];
  readonly next: number;
}

/** Entries from `cursor` on (0: the beginning), those of one block. @throws Errno EUCLEAN, EIO */
export function* listFrom(task: Task, v: Vol, dir: number, cursor: number): Op<Listing> {
  const blocks = yield* blockCount(v, dir);
  if (blocks === 0 || cursor < 0 || cursor >= 2 ** 32) return { entries: [], next: -1 };
  const bucket = bucketOf(reverse(cursor), blocks);
  const block = yield* dirBlock(task, v, dir, bucket);
  const ino = read(v.m.state.ino, dir);
  const all = yield* withBlock(task, v, block, (words, at) => {
    checkDirBlock(words, at, ino, block);
    return listBlock(words, at);
  });
  const entries = all
    .filter((entry) => reverse(entry.hash) >= cursor)
    .sort((a, b) => reverse(a.hash) - reverse(b.hash));
  const next = reverse(bucket) + 2 ** (32 - bitsOf(bucket, blocks));
  return { entries, next: next >= 2 ** 32 ? -1 : next };
}

/** Has the directory no entries? */
export function* isEmpty(task: Task, v: Vol, dir: number): Op<boolean> {
  const blocks = yield* blockCount(v, dir);
  for (let index = 0; index < blocks; index++) {
    const block = yield* dirBlock(task, v, dir, index);
    if ((yield* withBlock(task, v, block, (words, at) => words[at + DB.usedWords])) !== 0) {
      return false;
    }
  }
  return true;
}

/** The block of a directory of `blocks` blocks in which names of this hash are. */
export function bucketOf(hash: number, blocks: number): number {
  const mask = 2 ** (32 - Math.clz32(blocks)) - 1;
  const bucket = (hash & mask) >>> 0;
  return bucket < blocks ? bucket : bucket & (mask >>> 1);
}

/** How many low bits of a hash say that it is in `bucket`. */
function bitsOf(bucket: number, blocks: number): number {
  const level = 31 - Math.clz32(blocks); // 2^level <= blocks
  const split = bucket < blocks - 2 ** level || bucket >= 2 ** level;
  return split ? level + 1 : level;
}

function reverse(value: number): number {
  let x = value >>> 0;
  x = ((x >>> 1) & 0x55555555) | ((x & 0x55555555) << 1);
  x = ((x >>> 2) & 0x33333333) | ((x & 0x33333333) << 2);
  x = ((x >>> 4) & 0x0f0f0f0f) | ((x & 0x0f0f0f0f) << 4);
  x = ((x >>> 8) & 0x00ff00ff) | ((x & 0x00ff00ff) << 8);
  return ((x >>> 16) | (x << 16)) >>> 0;
}

/** Adds block `blocks` and moves to it what belongs there. */
function* grow(task: Task, v: Vol, dir: number, blocks: number): Op<void> {
  const ino = read(v.m.state.ino, dir);
  const handle = yield* startHandle(task, v, INSERT_CREDITS + 6);
  try {
    const block = yield* allocMetadataBlock(task, v, handle, 0);
    const moved: Dirent[] = [];
    if (blocks > 0) {
      const from = blocks - 2 ** (31 - Math.clz32(blocks));
      const source = yield* dirBlock(task, v, dir, from);
      yield* changeBlock(task, v, handle, source, (words, at) => {
        checkDirBlock(words, at, ino, source);
        const all = listBlock(words, at);
        words.fill(0, at + DB.usedWords, at + BLOCK_BYTES / 4);
        for (const entry of all) {
          if (bucketOf(entry.hash, blocks + 1) === blocks) moved.push(entry);
          else append(words, at, entry);
        }
        sealDirBlock(words, at);
      });
    }
    const b = yield* getFreshBuffer(task, v, block);
    yield* changeBuffer(task, v, handle, b, (words, at) => {
      initDirBlock(words, at, ino);
      for (const entry of moved) append(words, at, entry);
      sealDirBlock(words, at);
    });
    yield* putBuffer(task, v, b);
    yield* downWrite(task, v.m.iDataSem, dir);
    try {
      yield* insertExtent(task, v, handle, dir, blocks, block, 1);
      const size = (blocks + 1) * BLOCK_BYTES;
      writePair(v.m.state.iPrivate, ip(dir, IP.diskSizeLow), size);
      if (lab?.point()) yield STEP;
      storeLong(v.m.state.iSize, dir, size);
      yield* writeInode(task, v, handle, dir, 1);
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, v.m.iDataSem, dir);
    }
  } finally {
    yield* stopHandle(task, v, handle);
  }
}

function append(words: Int32Array, at: number, entry: Dirent): void {
  appendEntry(words, at, entry.ino, entry.hash, entry.type, entry.bytes);
}

function* blockCount(v: Vol, dir: number): Op<number> {
  if (lab?.point()) yield STEP;
  const blocks = sizeOf(v, dir) / BLOCK_BYTES;
  if (!Number.isInteger(blocks) || blocks > BLOCKS_MAX)
    throw damaged(
      `directory inode ${String(read(v.m.state.ino, dir))}: its size is not whole blocks`,
    );
  return blocks;
}

function* dirBlock(task: Task, v: Vol, dir: number, index: number): Op<number> {
  const { phys } = yield* mapBlock(task, v, dir, index);
  if (phys === 0)
    throw damaged(`directory inode ${String(read(v.m.state.ino, dir))}: no block ${String(index)}`);
  return phys;
}

/** Looks at a block under its buffer's mutex. */
function* withBlock<T>(
  task: Task,
  v: Vol,
  block: number,
  look: (words: Int32Array, at: number) => T,
): Op<T> {
  const b = yield* getBuffer(task, v, block);
  yield* lockBuffer(task, v, b);
  try {
    return look(bufferSegment(v, b), bufferAt(v, b));
  } finally {
    if (lab?.point()) yield STEP;
    unlockBuffer(task, v, b);
    yield* putBuffer(task, v, b);
  }
}
