// What the parts of the file system know of a mounted volume, and how they change a metadata block:
// class Volume (volume.ts) is the one implementation.

import type { Machine } from '../machine.js';
import { INODE_PRIVATE_WORDS } from '../memory/layout.js';
import { load, read, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import type { Locks } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import type { WriteBatch } from './batch.js';
import {
  bufferAt,
  bufferSegment,
  getBuffer,
  lockBuffer,
  putBuffer,
  unlockBuffer,
} from './buffer.js';
import { dirtyMetadata, type Handle } from './journal.js';
import { DIFLAG, IP, type Superblock } from './layout.js';
import type { MetadataStore } from './metadata.js';

/** A mounted volume as one thread sees it. */
export interface Vol extends MetadataStore {
  readonly sb: Superblock;
  /** The words of VOL. */
  readonly words: Int32Array;
  /** Heads (slot + 1) of the chains of inode slots, by inode number. */
  readonly hash: Int32Array;
  /** A bit per block: in use, claimed, or freed but not yet reusable. Under allocSem. */
  readonly map: Int32Array;
  /** Two sets of blocks freed by an uncommitted transaction. Under allocSem. */
  readonly pending: readonly [Int32Array, Int32Array];

  readonly allocSem: Locks;
  readonly inodeSem: Locks;
  readonly hashLock: Locks;
  readonly names: Locks;
  readonly evictSem: Locks;

  readonly journal: boolean;
  readonly inlineData: boolean;
  readonly checksums: boolean;
  readonly cow: boolean;
  /** Data is never written over data that a committed transaction refers to: checksums or cow. */
  readonly noOverwrite: boolean;
  /** Each write is read back and compared with its checksum (read-back.ts). */
  readonly readBack: boolean;
  /** Blocks that only metadata may take (as ext4's reserved clusters). */
  readonly heldBack: number;
  /** Milliseconds for mtime. */
  readonly now: () => number;
  /** Batches of this thread that nobody uses just now. */
  readonly batches: WriteBatch[];
}

/** Are the file's data in the inode (as far as the disk knows)? One step. */
export function isInline(v: Vol, inode: number): boolean {
  return (load(v.m.state.iPrivate, ip(inode, IP.flags)) & DIFLAG.inline) !== 0;
}

/** Index in State.iPrivate of a field of inode slot `inode`. */
export function ip(inode: number, field: number): number {
  return inode * INODE_PRIVATE_WORDS + field;
}

/** Reads a number of 53 bits that lies in two words covered by a lock. */
export function readPair(words: Int32Array, at: number): number {
  return (read(words, at) >>> 0) + read(words, at + 1) * 2 ** 32;
}

/** Writes a number of 53 bits to two words covered by a lock. */
export function writePair(words: Int32Array, at: number, value: number): void {
  write(words, at, value | 0);
  write(words, at + 1, Math.floor(value / 2 ** 32));
}

/**
 * Changes a metadata block in a handle: `change` gets the words and where the block starts in them.
 * @throws Errno EIO, ENOMEM
 */
export function* changeBlock(
  task: Task,
  v: Vol,
  handle: Handle,
  block: number,
  change: (words: Int32Array, at: number) => void,
): Op<void> {
  const b = yield* getBuffer(task, v, block);
  try {
    yield* changeBuffer(task, v, handle, b, change);
  } finally {
    yield* putBuffer(task, v, b);
  }
}

/** As changeBlock(), for a buffer that the caller has a reference to. */
export function* changeBuffer(
  task: Task,
  v: Vol,
  handle: Handle,
  b: number,
  change: (words: Int32Array, at: number) => void,
): Op<void> {
  yield* lockBuffer(task, v, b);
  try {
    yield* dirtyMetadata(task, v, handle, b);
    change(bufferSegment(v, b), bufferAt(v, b));
  } finally {
    if (lab?.point()) yield STEP;
    unlockBuffer(task, v, b);
  }
}

/** Reads one word of a metadata block. */
export function* readWord(task: Task, v: Vol, block: number, index: number): Op<number> {
  const b = yield* getBuffer(task, v, block);
  yield* lockBuffer(task, v, b);
  const value = read(bufferSegment(v, b), bufferAt(v, b) + index);
  if (lab?.point()) yield STEP;
  unlockBuffer(task, v, b);
  yield* putBuffer(task, v, b);
  return value;
}

/** For the message of an error: the inode number of a slot. */
export function inodeName(m: Machine, inode: number): string {
  return `inode ${String(m.state.ino[inode])}`;
}

/** The volume's metadata is not as it must be: fsck names it. */
export function damaged(what: string): Errno {
  return new Errno('EUCLEAN', `${what}: unmount and run fsck`);
}
