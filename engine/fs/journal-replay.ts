// Reading a journal after a crash: finds the committed transactions and writes them home. Used by
// mount (through the block queue) and offline by fsck (on a descriptor). Format: journal-format.ts.
//
// Doing it twice, or again after a crash in the middle, gives the same volume: blocks are written
// home in the order of their last copies, then flushed, and only then the tail moves.

import { Errno } from '../sched/errors.js';
import type { Op } from '../sched/op.js';
import {
  checksum,
  fillJournalSuperblock,
  LOG,
  LOG_MAGIC,
  LOG_TYPE,
  logAfter,
  revokesPerBlock,
  TAG,
  tagsPerBlock,
  tidAfter,
  tidAtLeast,
} from './journal-format.js';

/** Reads and writes whole blocks of a volume that nobody else uses. */
export interface JournalIo {
  readonly pageWords: number;
  read(block: number, count: number, into: Int32Array): Op<void>;
  write(block: number, words: Int32Array): Op<void>;
  flush(): Op<void>;
}

/** Where a journal is. */
export interface JournalPlace {
  readonly journalStart: number;
  readonly journalBlocks: number;
}

/** What a recovery did. */
export interface Recovery {
  /** Transactions found; 0 after a clean unmount. */
  readonly transactions: number;
  /** Blocks written home. */
  readonly blocks: number;
  /** Copies left out because their block was freed later. */
  readonly revoked: number;
}

/** The journal after its recovery: empty. */
export interface RecoveredJournal extends Recovery {
  readonly generation: number;
  /** Where the next transaction starts, and its tid. */
  readonly head: number;
  readonly nextTid: number;
}

/** Tids left out after a mount: an unfinished transaction of before may have used the first of them. */
const TIDS_SKIPPED = 1024;

interface Superblock {
  readonly generation: number;
  readonly tail: number;
  readonly tailTid: number;
}

/** A copy of a home block in the journal. */
interface Copy {
  readonly home: number;
  readonly at: number;
  readonly escaped: boolean;
}

interface Transaction {
  readonly tid: number;
  readonly copies: Copy[];
  readonly revokes: number[];
  /** Blocks that it takes in the journal. */
  blocks: number;
}

/**
 * Replays the journal and empties it.
 * @throws Errno EUCLEAN (its superblock is damaged, or of another volume), EIO
 */
export function* recoverJournal(io: JournalIo, place: JournalPlace): Op<RecoveredJournal> {
  const block = new Int32Array(io.pageWords);
  yield* io.read(place.journalStart, 1, block);
  const superblock = parseSuperblock(block, place);
  const { generation } = superblock;

  const transactions: Transaction[] = [];
  let head = superblock.tail;
  let expected = superblock.tailTid;
  let left = place.journalBlocks - 1;
  for (;;) {
    const found = yield* readTransaction(io, place, generation, head, expected, left);
    if (found === null) break;
    transactions.push(found);
    head = logAfter(head, found.blocks, place.journalBlocks - 1);
    left -= found.blocks;
    expected = tidAfter(found.tid);
  }

  const nextTid = tidAfter(expected, TIDS_SKIPPED);
  if (transactions.length === 0) {
    return { transactions: 0, blocks: 0, revoked: 0, generation, head, nextTid };
  }
  const written = yield* writeHome(io, place, transactions);
  yield* io.flush();
  fillJournalSuperblock(block, place.journalBlocks, generation, head, nextTid);
  yield* io.write(place.journalStart, block);
  yield* io.flush();
  return { transactions: transactions.length, ...written, generation, head, nextTid };
}

function parseSuperblock(words: Int32Array, place: JournalPlace): Superblock {
  const crc = words[LOG.crc];
  words[LOG.crc] = 0;
  const tail = words[LOG.tail];
  const sound =
    words[LOG.magic] === LOG_MAGIC &&
    words[LOG.type] === LOG_TYPE.superblock &&
    crc === checksum(words, 0) &&
    words[LOG.count] === place.journalBlocks &&
    tail >= 1 &&
    tail < place.journalBlocks;
  if (!sound) {
    throw new Errno(
      'EUCLEAN',
      `block ${String(place.journalStart)} is not the superblock of a journal of ${String(place.journalBlocks)} blocks: run fsck`,
    );
  }
  return { generation: words[LOG.generation], tail, tailTid: words[LOG.tid] };
}

/** The transaction at journal block `start` if it is whole and not older than `expected`, else null. */
function* readTransaction(
  io: JournalIo,
  place: JournalPlace,
  generation: number,
  start: number,
  expected: number,
  left: number,
): Op<Transaction | null> {
  const logBlocks = place.journalBlocks - 1;
  const words = new Int32Array(io.pageWords);
  let found: Transaction | null = null;
  let crc = 0;
  for (let done = 0; done < left; done++) {
    const at = logAfter(start, done, logBlocks);
    yield* io.read(place.journalStart + at, 1, words);
    if (words[LOG.magic] !== LOG_MAGIC || words[LOG.generation] !== generation) return null;
    const tid = words[LOG.tid];
    found ??= { tid, copies: [], revokes: [], blocks: 0 };
    if (tid !== found.tid || !tidAtLeast(tid, expected)) return null;
    const count = words[LOG.count];
    switch (words[LOG.type]) {
      case LOG_TYPE.commit:
        if (count !== done || words[LOG.crc] !== (crc | 0)) return null;
        found.blocks = done + 1;
        return found;
      case LOG_TYPE.revoke:
        if (count < 0 || count > revokesPerBlock(io.pageWords)) return null;
        crc = checksum(words, crc);
        for (let i = 0; i < count; i++) found.revokes.push(words[LOG.entries + i]);
        break;
      case LOG_TYPE.descriptor: {
        if (count < 0 || count > tagsPerBlock(io.pageWords) || done + count >= left) return null;
        crc = checksum(words, crc);
        readTags(words, count, found, (tag) => logAfter(start, done + 1 + tag, logBlocks));
        crc = yield* checksumCopies(io, place, logAfter(start, done + 1, logBlocks), count, crc);
        done += count;
        break;
      }
      default:
        return null;
    }
  }
  return null;
}

function readTags(
  words: Int32Array,
  count: number,
  into: Transaction,
  place: (tag: number) => number,
): void {
  for (let tag = 0; tag < count; tag++) {
    const at = LOG.entries + tag * 2;
    const escaped = (words[at + 1] & TAG.escaped) !== 0;
    into.copies.push({ home: words[at], at: place(tag), escaped });
  }
}

/** Blocks read at once. */
const READ_BLOCKS = 32;

function* checksumCopies(
  io: JournalIo,
  place: JournalPlace,
  first: number,
  count: number,
  crc: number,
): Op<number> {
  const logBlocks = place.journalBlocks - 1;
  const words = new Int32Array(io.pageWords * READ_BLOCKS);
  for (let done = 0; done < count; ) {
    const at = logAfter(first, done, logBlocks);
    const some = Math.min(count - done, READ_BLOCKS, logBlocks - at + 1);
    yield* io.read(place.journalStart + at, some, words);
    crc = checksum(words.subarray(0, some * io.pageWords), crc);
    done += some;
  }
  return crc;
}

/** Writes the last copy of each block home, unless the block was freed in that transaction or later. */
function* writeHome(
  io: JournalIo,
  place: JournalPlace,
  transactions: readonly Transaction[],
): Op<{ blocks: number; revoked: number }> {
  const revokedIn = new Map<number, number>();
  for (const { tid, revokes } of transactions) {
    for (const home of revokes) revokedIn.set(home, tid);
  }
  const last = new Map<number, Copy>();
  let revoked = 0;
  for (const { tid, copies } of transactions) {
    for (const copy of copies) {
      const until = revokedIn.get(copy.home);
      if (until !== undefined && tidAtLeast(until, tid)) revoked++;
      else last.set(copy.home, copy);
    }
  }
  const words = new Int32Array(io.pageWords);
  for (const copy of [...last.values()].sort((a, b) => a.home - b.home)) {
    yield* io.read(place.journalStart + copy.at, 1, words);
    if (copy.escaped) words[0] = LOG_MAGIC;
    yield* io.write(copy.home, words);
  }
  return { blocks: last.size, revoked };
}
