// The shared words of a volume's buffer cache and journal, as one thread sees them.
//
//   +------+-----------+-----------------+------------+---------------+------------------------+
//   | head | hash      | buffers         | mutexes    | frames for    | frames for a           |
//   |      | (block)   | BUFFER_WORDS ea | one each   | writes home   | transaction on its way |
//   +------+-----------+-----------------+------------+---------------+------------------------+
//    <------------- bufferCacheWords(config) ------------------------> <- journalWords(config) ->
//
// One spinlock (class `buffer_state`) covers all of it but the contents of blocks, which the mutex
// of their buffer covers. It is held for tens of nanoseconds, and its holder never pauses.

import type { BlockQueue } from '../block/queue.js';
import type { Machine } from '../machine.js';
import { InvariantError } from '../sched/errors.js';
import type { Locks } from '../sched/lock.js';
import { lockClass } from '../sched/lockdep.js';
import { tagsPerBlock } from './journal-format.js';

/** Fewer buffers than this make no cache. */
const BUFFERS_MIN = 16;

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

/** Buffers written home in one round, at most: as many frames are kept for their copies. */
const BOUNCE_FRAMES_MAX = 64;

/** Words at the head. */
export const META = {
  lock: 0,
  /** Where the search for a buffer to evict goes on. */
  hand: 1,
  /** Mutexes: one commits, one makes room in the journal, one writes buffers home. */
  commitMutex: 2,
  checkpointMutex: 3,
  writeMutex: 4,
  /** Number of BLOCK_ERRORS that stopped the journal, or 0. */
  aborted: 5,
  /** Tid of the running transaction, or if there is none of the next one. Read without the lock. */
  currentTid: 6,
  /** RUNNING: is there a running transaction, may handles join it? Its open handles. */
  running: 7,
  handles: 8,
  /** Blocks promised to the running transaction: those in it, and those its handles may still add. */
  credits: 9,
  /** First buffer (number + 1) of the running transaction, and how many it has. */
  transactionHead: 10,
  transactionCount: 11,
  /** The transaction being written, or 0. */
  committingTid: 12,
  /** The last durable transaction. Read without the lock. */
  committedTid: 13,
  /** Where in the journal the next transaction starts, and the oldest one that is still needed; its tid. */
  logHead: 14,
  logTail: 15,
  tailTid: 16,
  /** Tells this journal from others that were on the disk before. */
  generation: 17,
  /** Counters that sleepers watch: handles may start again; the last handle was stopped. */
  runningBell: 18,
  handlesBell: 19,
  /** Statistics: commits, moves of the tail, buffers read, buffers written home. */
  commits: 20,
  checkpoints: 21,
  reads: 22,
  writes: 23,
  words: 32,
} as const;

/** META.running. */
export const RUNNING = { none: 0, open: 1, locked: 2 } as const;

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
  /** Where in the journal that transaction starts. */
  logStart: 9,
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

/** Words of head, hash and buffers. */
export function bufferCacheWords(config: MetadataConfig): number {
  const bounce = Math.min(BOUNCE_FRAMES_MAX, config.buffers);
  return META.words + hashSize(config) + config.buffers * (BUFFER.words + 1) + bounce;
}

/** Words that the journal adds; 0 without one. */
export function journalWords(config: MetadataConfig): number {
  if (config.journalBlocks === 0) return 0;
  return config.journalBlocks;
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
  /** Frames for the copies of buffers on their way home. Under writeMutex. */
  readonly bounce: Int32Array;
  /** Frames for a transaction on its way to the journal (under commitMutex); the last is the journal superblock's. */
  readonly logFrames: Int32Array;

  readonly lock: Locks;
  readonly mutex: Locks;
  readonly commitMutex: Locks;
  readonly checkpointMutex: Locks;
  readonly writeMutex: Locks;
  /** Class of the pseudo lock that an open handle is (Linux: jbd2_handle). */
  readonly handleClass: number = lockClass('journal');

  /** What the one who writes buffers home works with (under writeMutex), and the one who commits. */
  readonly chosen: Int32Array;
  readonly entries: Int32Array;

  readonly buffers: number;
  readonly journal: boolean;
  /** Blocks that one transaction may hold, so that it takes at most a quarter of journal and buffers. */
  readonly transactionBlocks: number;
  /** Blocks of the journal that one transaction takes at most. */
  readonly logBlocksMax: number;
  /** Blocks of the journal that hold transactions: all but its superblock. */
  readonly logBlocks: number;

  /** @param words metadataWords(config) words, zero when the volume is mounted */
  constructor(
    m: Machine,
    words: Int32Array,
    readonly config: MetadataConfig,
  ) {
    if (words.length < metadataWords(config) || config.buffers < BUFFERS_MIN) {
      const needed = `${String(metadataWords(config))} words, at least ${String(BUFFERS_MIN)} buffers`;
      throw new InvariantError(
        `${String(words.length)} words for ${String(config.buffers)} buffers: needed are ${needed}`,
      );
    }
    let at = 0;
    const take = (count: number): Int32Array => {
      at += count;
      return words.subarray(at - count, at);
    };
    const pageWords = m.geometry.pageBytes >>> 2;
    this.buffers = config.buffers;
    this.journal = config.journalBlocks > 0;
    this.logBlocks = Math.max(0, config.journalBlocks - 1);
    this.transactionBlocks = transactionBlocks(pageWords, config);
    this.logBlocksMax = this.logBlocks >>> 2;
    this.head = take(META.words);
    this.hash = take(hashSize(config));
    this.buffer = take(config.buffers * BUFFER.words);
    this.mutex = m.locks('buffer', take(config.buffers));
    this.bounce = take(Math.min(BOUNCE_FRAMES_MAX, config.buffers));
    this.logFrames = take(this.journal ? this.logBlocksMax + 1 : 0);
    this.chosen = new Int32Array(this.bounce.length * 3);
    this.entries = new Int32Array(this.transactionBlocks * 2);
    const single = (index: number): Int32Array => this.head.subarray(index, index + 1);
    this.lock = m.locks('buffer_state', single(META.lock));
    this.commitMutex = m.locks('journal_commit', single(META.commitMutex));
    this.checkpointMutex = m.locks('journal_checkpoint', single(META.checkpointMutex));
    this.writeMutex = m.locks('buffer_write', single(META.writeMutex));
  }

  /** The index in `buffer` of a field of buffer `b`. */
  at(b: number, field: number): number {
    return b * BUFFER.words + field;
  }
}

/** Blocks of a transaction, and of the journal one that holds them: a descriptor per `tags`, one block of revokes, one commit block. */
function transactionBlocks(pageWords: number, config: MetadataConfig): number {
  if (config.journalBlocks === 0) return 0;
  const quarter = (config.journalBlocks - 1) >>> 2;
  const tags = tagsPerBlock(pageWords);
  const blocks = Math.floor(((quarter - 2) * tags) / (tags + 1));
  return Math.max(0, Math.min(blocks, config.buffers >>> 2));
}
