// The shared words of a volume's buffer cache and journal, as one thread sees them.
//
//   +------+-----------+-----------------+------------+--------------+-------------+------------+
//   | head | hash      | buffers         | mutexes    | txn starts   | frozen      | bounce     |
//   |      | (block)   | BUFFER_WORDS ea | one each   | by tid       | frames      | frames     |
//   +------+-----------+-----------------+------------+--------------+-------------+------------+
//    <---------- bufferCacheWords(config) ----------->|<-------- journalWords(config) -> (in both)
//
// One spinlock (class `buffer_state`) covers all of it but the contents of blocks, which the mutex
// of their buffer covers. It is held for tens of nanoseconds and never across a pause of its holder.

import type { BlockQueue } from '../block/queue.js';
import type { Machine } from '../machine.js';
import { InvariantError } from '../sched/errors.js';
import type { Locks } from '../sched/lock.js';

/** What of a volume decides how large its cache and journal are. */
export interface MetadataConfig {
  /** Buffers of the cache, one page each when used. At least 16; with a journal, 8 per credit of the largest handle. */
  readonly buffers: number;
  /** First block of the journal on disk, and its length; a length of 0: no journal. */
  readonly journalStart: number;
  readonly journalBlocks: number;
}

/** What the operations of buffer.ts and journal.ts need of a volume. */
export interface MetadataStore {
  readonly m: Machine;
  readonly queue: BlockQueue;
  readonly meta: Metadata;
}

/** Buffers written home in one round: as many frames are kept for their copies. */
export const BOUNCE_FRAMES = 64;

/** Words at the head. */
export const META = {
  lock: 0,
  /** Where the search for a buffer to evict goes on. */
  hand: 1,
  /** Mutexes: one commits, one makes room in the journal, one writes buffers home. */
  commitMutex: 2,
  checkpointMutex: 3,
  writeMutex: 4,
  /** Errno number that stopped the journal (BLOCK_ERRORS), or 0. */
  aborted: 5,
  /** The running transaction: its tid (0: none), is it closed to new handles, its open handles. */
  runningTid: 6,
  runningLocked: 7,
  runningHandles: 8,
  /** Blocks promised to the running transaction: those in it and those its handles may still add. */
  runningCredits: 9,
  /** First buffer (number + 1) of the running transaction, and how many it has. */
  runningHead: 10,
  runningCount: 11,
  /** The transaction being written (0: none), the last one that is durable, the next to start. */
  committingTid: 12,
  committedTid: 13,
  nextTid: 14,
  /** Where the next transaction starts in the journal, where the oldest needed one does, and its tid. */
  logHead: 15,
  logTail: 16,
  tailTid: 17,
  /** Told apart from journals that were on this disk before. */
  generation: 18,
  /** Counters that sleepers watch: the running transaction changed; a handle was stopped. */
  runningBell: 19,
  handlesBell: 20,
  /** Statistics. */
  commits: 21,
  checkpoints: 22,
  reads: 23,
  writes: 24,
  /** Dirty buffers of a volume without a journal. */
  words: 32,
} as const;

/** Words of a buffer. */
export const BUFFER = {
  /** Block + 1; 0: unused. */
  block: 0,
  /** Its page frame; 0: none yet. Kept while the volume is mounted. */
  pfn: 1,
  refs: 2,
  flags: 3,
  /** Next buffer (number + 1) of its hash chain. */
  hashNext: 4,
  /** The running transaction it belongs to, or 0; next buffer (number + 1) of that transaction. */
  tid: 5,
  transactionNext: 6,
  /** The transaction that is being written with its frozen copy, or 0. */
  frozenTid: 7,
  /** The last durable transaction whose copy has not reached its home block, or 0. */
  logTid: 8,
  words: 12,
} as const;

/** Bits of a buffer's flags. */
export const BH = {
  uptodate: 1 << 0,
  /** Being read: sleep on the flags. */
  reading: 1 << 1,
  /** A copy of it is on its way home: sleep on the flags. */
  writing: 1 << 2,
  /** Differs from its home block (volumes without a journal). */
  dirty: 1 << 3,
  /** Used since the clock hand passed. */
  referenced: 1 << 4,
  /** Freed in its transaction: revoked, not written. */
  forgotten: 1 << 5,
} as const;

/** Words of the hash, head and buffers. */
export function bufferCacheWords(config: MetadataConfig): number {
  return META.words + hashSize(config) + config.buffers * (BUFFER.words + 1) + BOUNCE_FRAMES;
}

/** Words that the journal adds; 0 without one. */
export function journalWords(config: MetadataConfig): number {
  if (config.journalBlocks === 0) return 0;
  return config.journalBlocks + config.journalBlocks;
}

/** All shared words of a volume's metadata. */
export function metadataWords(config: MetadataConfig): number {
  return bufferCacheWords(config) + journalWords(config);
}

function hashSize(config: MetadataConfig): number {
  return 2 ** Math.ceil(Math.log2(config.buffers));
}

/** The words of one volume, attached by each thread over the same memory. */
export class Metadata {
  readonly head: Int32Array;
  readonly hash: Int32Array;
  readonly buffer: Int32Array;
  readonly bounce: Int32Array;
  /** By tid modulo its length: the journal block where that transaction starts. */
  readonly transactionStart: Int32Array;
  /** Frames for a transaction on its way to the journal. */
  readonly logFrames: Int32Array;

  readonly lock: Locks;
  readonly mutex: Locks;
  readonly commitMutex: Locks;
  readonly checkpointMutex: Locks;
  readonly writeMutex: Locks;

  readonly buffers: number;
  readonly journal: boolean;
  /** Blocks that one transaction may hold: a quarter of the journal, and of the buffers. */
  readonly transactionBlocks: number;

  /** @param words metadataWords(config) words, zero when the volume is mounted */
  constructor(
    m: Machine,
    words: Int32Array,
    readonly config: MetadataConfig,
  ) {
    if (words.length < metadataWords(config) || config.buffers < 16) {
      throw new InvariantError(
        `${words.length} words for ${config.buffers} buffers: ${metadataWords(config)} and at least 16 buffers are needed`,
      );
    }
    let at = 0;
    const take = (count: number): Int32Array => {
      at += count;
      return words.subarray(at - count, at);
    };
    this.buffers = config.buffers;
    this.journal = config.journalBlocks > 0;
    this.head = take(META.words);
    this.hash = take(hashSize(config));
    this.buffer = take(config.buffers * BUFFER.words);
    this.mutex = m.locks('buffer', take(config.buffers));
    this.bounce = take(BOUNCE_FRAMES);
    this.transactionStart = take(config.journalBlocks);
    this.logFrames = take(config.journalBlocks);
    const single = (index: number): Int32Array => this.head.subarray(index, index + 1);
    this.lock = m.locks('buffer_state', single(META.lock));
    this.commitMutex = m.locks('journal_commit', single(META.commitMutex));
    this.checkpointMutex = m.locks('journal_checkpoint', single(META.checkpointMutex));
    this.writeMutex = m.locks('buffer_write', single(META.writeMutex));
    this.transactionBlocks = transactionBlocks(m.geometry.pageBytes >>> 2, config);
  }

  /** The index in `buffer` of a field of buffer `b`. */
  at(b: number, field: number): number {
    return b * BUFFER.words + field;
  }
}

/** How many blocks a transaction may hold so that it takes at most a quarter of the journal. */
function transactionBlocks(pageWords: number, config: MetadataConfig): number {
  if (config.journalBlocks === 0) return 0;
  const quarter = (config.journalBlocks - 1) >>> 2;
  const tags = tagsPerBlock(pageWords);
  // Per `tags` blocks one descriptor; one more for revokes, one for the commit block.
  const blocks = Math.floor(((quarter - 2) * tags) / (tags + 1));
  return Math.max(0, Math.min(blocks, config.buffers >>> 2));
}

/** Words of a journal block before its tags or revoked blocks. */
export const LOG_HEADER_WORDS = 6;

/** Tags (two words each) in a descriptor block. */
export function tagsPerBlock(pageWords: number): number {
  return (pageWords - LOG_HEADER_WORDS) >>> 1;
}
