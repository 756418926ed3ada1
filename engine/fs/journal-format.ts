// The journal on disk: what a block of it looks like, and how a mount, a commit and fsck agree on it.
//
//   +-------+------------+--------+-- - --+------------+-- - --+--------+--------+------------
//   | super | descriptor | copy 1 |  ...  | descriptor |  ...  | revoke | commit | descriptor
//   | block | tags       |        |       | tags       |       | blocks | crc    | of the next
//   +-------+------------+--------+-- - --+------------+-- - --+--------+--------+------------
//   0       1 (then round, from 1 to journalBlocks - 1, block 0 being the superblock)
//
// Tag: home block, flags. A copy whose first word is the magic number has it replaced by 0 (flag
// `escaped`), so that nothing that users can write is ever taken for a block of the journal. The
// commit block holds the CRC-32C of all blocks of its transaction before it. Every block names its
// transaction and the generation of the journal; tids only grow, so what an earlier round left is
// never taken for the next transaction.

import { crc32c } from '../../native/index.js';

export const LOG_MAGIC = 0x4a444650; // "PFDJ"

export const LOG_TYPE = { superblock: 1, descriptor: 2, revoke: 3, commit: 4 } as const;

/** Words of every block of the journal that is not a copy. */
export const LOG = {
  magic: 0,
  type: 1,
  tid: 2,
  generation: 3,
  /** Descriptor: tags. Revoke: blocks. Commit: blocks before it. Superblock: blocks of the journal. */
  count: 4,
  /** Commit: CRC-32C of the blocks before it. Superblock: of its words before this one. */
  crc: 5,
  /** Tags or revoked blocks. */
  entries: 6,
  /** Superblock: where the oldest needed transaction starts (LOG.tid: its tid, or that of the next one). */
  tail: 6,
} as const;

/** Flags of a tag. */
export const TAG = { escaped: 1 } as const;

/** Tags (two words each) in a descriptor block. */
export function tagsPerBlock(pageWords: number): number {
  return (pageWords - LOG.entries) >>> 1;
}

/** Blocks in a revoke block. */
export function revokesPerBlock(pageWords: number): number {
  return pageWords - LOG.entries;
}

/** Is transaction `a` the same as or later than `b`? Tids wrap around. */
export function tidAtLeast(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}

/** The tid `step` after `tid`; 0 stands for none and is left out. */
export function tidAfter(tid: number, step = 1): number {
  const next = (tid + step) | 0;
  return next === 0 ? 1 : next;
}

/** The block of the journal `count` blocks after `at`, going round. */
export function logAfter(at: number, count: number, logBlocks: number): number {
  return ((at - 1 + count) % logBlocks) + 1;
}

/** Fills a superblock of a journal whose oldest needed transaction starts at `tail`. */
export function fillJournalSuperblock(
  words: Int32Array,
  journalBlocks: number,
  generation: number,
  tail: number,
  tailTid: number,
): void {
  words.fill(0);
  words[LOG.magic] = LOG_MAGIC;
  words[LOG.type] = LOG_TYPE.superblock;
  words[LOG.tid] = tailTid;
  words[LOG.generation] = generation;
  words[LOG.count] = journalBlocks;
  words[LOG.tail] = tail;
  words[LOG.crc] = checksum(words, 0);
}

/** CRC-32C of words that nobody changes, going on from `seed`. */
export function checksum(words: Int32Array, seed: number): number {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  return crc32c(bytes, seed >>> 0) | 0;
}
