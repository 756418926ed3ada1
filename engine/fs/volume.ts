// A mounted volume: the file system that mm calls, and the one object that each thread has of it.
//
// All that threads share is VolumeShared: plain data and one array of shared words, carved as
//
//   VOL words | hash of inode slots | block map | two maps of pending frees | metadata | block queue
//
// One thread makes a Volume of fresh words and runs mount(); others make one of the same shared part
// and are attached at once. A machine has one volume; its inode slots are the volume's.

import { BlockQueue, blockQueueWords } from '../block/queue.js';
import type { BlockDevice } from '../block/request.js';
import type { Machine } from '../machine.js';
import { and, load, or, read, store } from '../memory/word.js';
import type { FileSystem, SyncMode } from '../mm/address-space.js';
import { I_STATE } from '../mm/inode-state.js';
import { Errno, InvariantError } from '../sched/errors.js';
import { type Locks, spinLock, spinUnlock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { countBits, makeSpace, releasePending } from './alloc.js';
import type { WriteBatch } from './batch.js';
import { bufferAt, bufferSegment, getBuffer, putBuffer } from './buffer.js';
import { changeBlock, type Vol } from './core.js';
import { commitUpTo } from './file.js';
import { dropBuffers, fillFolio, prepareWrite } from './folio-state.js';
import { convertInline } from './inline.js';
import { evictAll, flushInode, iget, initSlots, iput } from './inode.js';
import { listOrphans } from './inode-bitmap.js';
import { currentTid, startHandle, stopHandle } from './journal.js';
import {
  BITS_PER_BLOCK,
  BLOCK_BYTES,
  BLOCK_WORDS,
  FEATURE,
  hashWords,
  I,
  mapWords,
  ownWords,
  SB,
  type Superblock,
  VOL,
  VOL_STATE,
  type VolumeConfig,
} from './layout.js';
import { Metadata, metadataWords } from './metadata.js';
import { closeMetadata, openMetadata, type Recovery } from './recovery.js';
import { encodeSuperblock } from './superblock.js';
import { finishTruncate } from './truncate.js';
import { writeAllPages, writepages } from './writepages.js';

/** What threads share to use one mounted volume; structured-clone passes it to a worker. */
export interface VolumeShared {
  readonly sb: Superblock;
  readonly config: VolumeConfig;
  /** volumeWords(config) words, from State.extra. */
  readonly words: Int32Array;
  /** Read each write back and compare it with its checksum (read-back.ts). Default: false. */
  readonly readBack?: boolean;
}

/** Least time between two commits in the background. */
const COMMIT_MS = 1000;

/** Sizes for a volume. @param buffers blocks of metadata kept in memory */
export function volumeConfig(
  sb: Superblock,
  inodeSlots: number,
  buffers = 1024,
  queueDepth = 64,
): VolumeConfig {
  const { blocks, journalStart, journalBlocks } = sb;
  return { blocks, journalStart, journalBlocks, inodeSlots, buffers, queueDepth };
}

/** Shared words that a mounted volume takes: add them to Geometry.extraWords. */
export function volumeWords(config: VolumeConfig): number {
  return ownWords(config) + metadataWords(config) + blockQueueWords(config.queueDepth);
}

/** How full a volume is. */
export interface VolumeStatus {
  readonly blockBytes: number;
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly inodes: number;
  readonly freeInodes: number;
}

export class Volume implements FileSystem, Vol {
  readonly sb: Superblock;
  readonly words: Int32Array;
  readonly hash: Int32Array;
  readonly map: Int32Array;
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
  readonly noOverwrite: boolean;
  readonly readBack: boolean;
  readonly stableWrites: boolean;
  readonly heldBack: number;
  readonly meta: Metadata;
  readonly queue: BlockQueue;
  readonly batches: WriteBatch[] = [];
  /** The clock of mtime, in ms. Tests set one of their own. */
  now: () => number = Date.now;
  private lastCommitMs = 0;

  /**
   * A thread's view of a volume. Its machine uses it from now on.
   * @param device what serves the queue where no kblockd does (a ramdisk)
   */
  constructor(
    readonly m: Machine,
    readonly shared: VolumeShared,
    device: BlockDevice | null = null,
  ) {
    const { sb, config, words } = shared;
    if (m.geometry.pageBytes !== BLOCK_BYTES || words.length < volumeWords(config)) {
      throw new InvariantError(
        `a volume needs pages of ${String(BLOCK_BYTES)} B and ${String(volumeWords(config))} words`,
      );
    }
    let at = 0;
    const take = (count: number): Int32Array => {
      at += count;
      return words.subarray(at - count, at);
    };
    this.sb = sb;
    this.words = take(VOL.words);
    this.hash = take(hashWords(config));
    this.map = take(mapWords(config));
    this.pending = [take(mapWords(config)), take(mapWords(config))];
    this.meta = new Metadata(m, take(metadataWords(config)), config);
    this.queue = new BlockQueue(m, take(blockQueueWords(config.queueDepth)), device);
    const one = (index: number): Int32Array => this.words.subarray(index, index + 1);
    this.allocSem = m.locks('alloc_sem', one(VOL.allocSem));
    this.inodeSem = m.locks('inode_bitmap', one(VOL.inodeSem));
    this.hashLock = m.locks('inode_hash', one(VOL.hashLock));
    this.names = m.locks('i_rwsem(dir)', one(VOL.names));
    this.evictSem = m.locks('inode_evict', one(VOL.evictSem));
    this.journal = (sb.features & FEATURE.journal) !== 0;
    this.inlineData = (sb.features & FEATURE.inlineData) !== 0;
    this.checksums = (sb.features & FEATURE.checksums) !== 0;
    this.cow = (sb.features & FEATURE.cow) !== 0;
    this.noOverwrite = this.checksums || this.cow;
    this.readBack = shared.readBack === true;
    this.stableWrites = this.checksums;
    this.heldBack = Math.min(4096, Math.ceil((sb.blocks - sb.dataStart) / 50));
    m.fs = this;
  }

  /** Readies the words of the block queue, before kblockd starts. Once, on the thread that mounts. */
  init(): void {
    this.words.fill(0);
    this.hash.fill(0);
    this.queue.init(this.shared.config.queueDepth);
  }

  /**
   * Recovers the journal, reads the maps and finishes what a crash left undone. After init(), on one
   * thread; others attach afterwards.
   * @throws Errno EUCLEAN (damaged: run fsck), EIO, ENOMEM
   */
  *mount(task: Task): Op<Recovery> {
    const recovery = yield* openMetadata(task, this);
    yield* this.loadMaps(task);
    initSlots(this);
    yield* this.markClean(task, false);
    for (const ino of yield* listOrphans(task, this)) yield* this.adopt(task, ino);
    if (lab?.point()) yield STEP;
    store(this.words, VOL.state, VOL_STATE.mounted);
    return recovery;
  }

  /** Makes everything durable and lets go of it. No references may be left. @throws Errno EBUSY, EIO */
  *unmount(task: Task): Op<void> {
    yield* this.sync(task);
    yield* evictAll(task, this);
    yield* this.markClean(task, true);
    yield* closeMetadata(task, this);
    if (lab?.point()) yield STEP;
    store(this.words, VOL.state, VOL_STATE.none);
  }

  /** Makes everything durable (syncfs). @throws Errno EIO, ENOSPC: the first failure, after trying all */
  *sync(task: Task): Op<void> {
    let failure: Errno | null = null;
    for (let inode = 0; inode < this.m.geometry.inodes; inode++) {
      if (!(yield* this.grabInode(task, inode))) continue;
      try {
        yield* writeAllPages(task, this, inode);
        yield* flushInode(task, this, inode);
      } catch (error) {
        if (!(error instanceof Errno)) throw error;
        failure ??= error;
      } finally {
        yield* iput(task, this, inode);
      }
    }
    if (lab?.point()) yield STEP;
    yield* commitUpTo(task, this, currentTid(this), false);
    if (failure !== null) throw failure;
  }

  /** How full the volume is (statfs). */
  *status(task: Task): Op<VolumeStatus> {
    yield* releasePending(task, this);
    if (lab?.point()) yield STEP;
    const freeBlocks = load(this.words, VOL.available);
    if (lab?.point()) yield STEP;
    const freeInodes = load(this.words, VOL.freeInodes);
    const { blocks, inodes } = this.sb;
    return { blockBytes: BLOCK_BYTES, blocks, freeBlocks, inodes, freeInodes };
  }

  needsBeforeMkwrite(): boolean {
    return this.inlineData || load(this.words, VOL.available) < 1 + this.heldBack;
  }

  *beforeMkwrite(task: Task, inode: number): Op<void> {
    yield* makeSpace(task, this, 1);
    yield* convertInline(task, this, inode);
  }

  *readFolio(task: Task, inode: number, index: number, pfn: number): Op<void> {
    yield* fillFolio(task, this, inode, index, pfn);
  }

  *prepareWrite(task: Task, inode: number, index: number, pfn: number): Op<void> {
    yield* prepareWrite(task, this, inode, index, pfn);
  }

  *dirtyPages(_task: Task, inode: number): Op<void> {
    if (lab?.point()) yield STEP;
    or(this.m.state.iState, inode, I_STATE.dirtyPages | I.dirtyTime);
  }

  *releaseFolio(task: Task, _inode: number, pfn: number): Op<boolean> {
    yield* dropBuffers(task, this, pfn);
    return true;
  }

  *invalidateFolio(task: Task, _inode: number, pfn: number): Op<void> {
    yield* dropBuffers(task, this, pfn);
  }

  *writepages(
    task: Task,
    inode: number,
    mode: SyncMode,
    fromIndex: number,
    toIndex: number,
  ): Op<number> {
    return yield* writepages(task, this, inode, mode, fromIndex, toIndex);
  }

  *grabInode(task: Task, inode: number): Op<boolean> {
    const s = this.m.state;
    yield* spinLock(task, this.hashLock, 0);
    if (lab?.point()) yield STEP;
    const state = load(s.iState, inode);
    const alive = read(s.ino, inode) !== 0 && (state & (I.new | I.freeing | I.bad)) === 0;
    if (lab?.point()) yield STEP;
    if (alive) Atomics.add(s.iCount, inode, 1);
    if (lab?.point()) yield STEP;
    spinUnlock(task, this.hashLock, 0);
    return alive;
  }

  *putInode(task: Task, inode: number): Op<void> {
    yield* iput(task, this, inode);
  }

  *background(task: Task): Op<void> {
    const now = performance.now();
    if (now - this.lastCommitMs < COMMIT_MS) return;
    this.lastCommitMs = now;
    if (lab?.point()) yield STEP;
    yield* commitUpTo(task, this, currentTid(this), false);
    yield* releasePending(task, this);
  }

  /** Fills the block map from the bitmap on disk and counts what is free. */
  private *loadMaps(task: Task): Op<void> {
    const { sb, map } = this;
    for (let i = 0; i < sb.bitmapBlocks; i++) {
      const b = yield* getBuffer(task, this, sb.bitmapStart + i);
      const at = bufferAt(this, b);
      const count = Math.min(BLOCK_WORDS, map.length - i * BLOCK_WORDS);
      map.set(bufferSegment(this, b).subarray(at, at + count), i * BLOCK_WORDS);
      yield* putBuffer(task, this, b);
    }
    for (const bits of this.pending) bits.fill(0);
    this.words[VOL.available] = sb.blocks - countBits(map, 0, sb.blocks);
    this.words[VOL.allocHint] = sb.dataStart;
    this.words[VOL.inodeHint] = 1;
    let used = 0;
    for (let i = 0; i < sb.inodeBitmapBlocks; i++) {
      const b = yield* getBuffer(task, this, sb.inodeBitmapStart + i);
      const bits = Math.min(BITS_PER_BLOCK, sb.inodes - i * BITS_PER_BLOCK);
      used += countBits(bufferSegment(this, b), bufferAt(this, b) * 32, bits);
      yield* putBuffer(task, this, b);
    }
    this.words[VOL.freeInodes] = sb.inodes - used;
  }

  /** An inode that a crash left deleted but not freed, or with blocks past its size. */
  private *adopt(task: Task, ino: number): Op<void> {
    const inode = yield* iget(task, this, ino);
    if (read(this.m.state.iNlink, inode) !== 0) yield* finishTruncate(task, this, inode);
    yield* iput(task, this, inode);
  }

  private *markClean(task: Task, clean: boolean): Op<void> {
    const encoded = encodeSuperblock({ ...this.sb, clean });
    const handle = yield* startHandle(task, this, 1);
    try {
      yield* changeBlock(task, this, handle, 0, (words, at) => {
        words[at + SB.clean] = encoded[SB.clean];
        words[at + SB.crc] = encoded[SB.crc];
      });
    } finally {
      yield* stopHandle(task, this, handle);
    }
    if (lab?.point()) yield STEP;
    and(this.words, VOL.state, VOL_STATE.mounted | VOL_STATE.shutdown);
  }
}

/** statfs, as the other operations of the file system are called. */
export function* statfs(task: Task, v: Volume): Op<VolumeStatus> {
  return yield* v.status(task);
}
