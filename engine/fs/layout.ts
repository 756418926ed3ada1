// The on-disk format of a volume, and the shared words of a mounted one: every number that two
// files of engine/fs must agree on.
//
// On disk (blocks of 4096 B, 32-bit little-endian words, 64-bit numbers as two words, low first):
//
//   +-------+---------+--------+--------+--------+-------+-----------+------ - - ------+--------+
//   | super | journal | block  | inode  | orphan | inode | checksum  | data, extent    | super  |
//   | block |         | bitmap | bitmap | bitmap | table | table     | and dir. blocks | backup |
//   +-------+---------+--------+--------+--------+-------+-----------+------ - - ------+--------+
//   0       journalStart       |        orphanStart      checksumStart dataStart       blocks - 1
//           (0 blocks without) inodeBitmapStart          (0 blocks without)
//
// Inode of 256 B, number n at byte n * 256 of the table (number 0 is unused, 1 is the root):
//
//   +-----+------+-------+-------+---------+----------+--------+- - -+-----------------------------+
//   | crc | mode | nlink | flags | size    | mtime ms | blocks | ... | 16 extents, or index of the |
//   |     |      |       |       | lo, hi  | lo, hi   |        |     | tree, or 192 B inline data  |
//   +-----+------+-------+-------+---------+----------+--------+- - -+-----------------------------+
//
// Extent: 3 words: first block of the file, first block of the volume, length (index: child, 0).

import { FIRST_OF_FS } from '../mm/inode-state.js';

export const BLOCK_BYTES = 4096;
export const BLOCK_WORDS = BLOCK_BYTES / 4;
export const BITS_PER_BLOCK = BLOCK_BYTES * 8;

export const SUPER_MAGIC = 0x444c4650; // "PFLD"
export const FORMAT_VERSION = 1;

/** Smallest and largest volume, in blocks. */
export const BLOCKS_MIN = 256;
export const BLOCKS_MAX = 2 ** 31 - 1;

/** Words of the superblock. */
export const SB = {
  magic: 0,
  /** CRC-32C of the block with this word 0. */
  crc: 1,
  version: 2,
  features: 3,
  blockBytes: 4,
  blocks: 5,
  inodes: 6,
  journalStart: 7,
  journalBlocks: 8,
  bitmapStart: 9,
  bitmapBlocks: 10,
  inodeBitmapStart: 11,
  inodeBitmapBlocks: 12,
  orphanStart: 13,
  inodeTableStart: 14,
  inodeTableBlocks: 15,
  checksumStart: 16,
  checksumBlocks: 17,
  dataStart: 18,
  /** Four words. */
  uuid: 19,
  /** Seed of the hash of directory entries. */
  hashSeed: 23,
  /** 1 after a clean unmount, 0 while mounted. */
  clean: 24,
} as const;

/** Feature bits: mkfs options. */
export const FEATURE = { journal: 1, inlineData: 2, checksums: 4, cow: 8 } as const;
export const FEATURES_KNOWN = 15;

/** A superblock as plain data. */
export interface Superblock {
  readonly features: number;
  readonly blocks: number;
  readonly inodes: number;
  readonly journalStart: number;
  readonly journalBlocks: number;
  readonly bitmapStart: number;
  readonly bitmapBlocks: number;
  readonly inodeBitmapStart: number;
  readonly inodeBitmapBlocks: number;
  readonly orphanStart: number;
  readonly inodeTableStart: number;
  readonly inodeTableBlocks: number;
  readonly checksumStart: number;
  readonly checksumBlocks: number;
  readonly dataStart: number;
  readonly uuid: readonly [number, number, number, number];
  readonly hashSeed: number;
  readonly clean: boolean;
}

export const INODE_BYTES = 256;
export const INODE_WORDS = INODE_BYTES / 4;
export const INODES_PER_BLOCK = BLOCK_BYTES / INODE_BYTES;
export const ROOT_INO = 1;

/** Words of an inode on disk. */
export const DI = {
  /** CRC-32C of the other words, seeded with the inode number. */
  crc: 0,
  /** Type and permission bits as in stat(2); 0: the inode is free. */
  mode: 1,
  nlink: 2,
  flags: 3,
  sizeLow: 4,
  sizeHigh: 5,
  mtimeLow: 6,
  mtimeHigh: 7,
  /** Blocks of the volume that the inode owns: data, extent and directory blocks. */
  blocks: 8,
  generation: 9,
  /** Directories: the one above. */
  parent: 10,
  /** Levels of extent blocks below the root in the inode. */
  depth: 11,
  /** Entries in use in the root. */
  count: 12,
  /** Extents or index entries, or inline bytes. */
  root: 16,
} as const;

/** Flags of an inode on disk. */
export const DIFLAG = { inline: 1 } as const;

export const INLINE_BYTES_MAX = (INODE_WORDS - DI.root) * 4;

export const EXTENT_WORDS = 3;
export const ROOT_EXTENTS = (INODE_WORDS - DI.root) / EXTENT_WORDS;
/** Levels of extent blocks: 16 * 338^3 extents are more than any volume has blocks. */
export const DEPTH_MAX = 3;
/** Longest extent, so that it lies in at most two blocks of the bitmap. */
export const EXTENT_BLOCKS_MAX = BITS_PER_BLOCK - 1;

/** Words of an extent block; entries follow. */
export const EB = { magic: 0, crc: 1, owner: 2, depth: 3, count: 4, entries: 8 } as const;
export const EXTENT_MAGIC = 0x54584550; // "PEXT"
export const BLOCK_EXTENTS = Math.floor((BLOCK_WORDS - EB.entries) / EXTENT_WORDS);

/**
 * Words of a directory block. Entries follow: inode, hash, name length | type << 16, name (padded
 * to words).
 */
export const DB = { magic: 0, crc: 1, owner: 2, usedWords: 3, entries: 4 } as const;
export const DIR_MAGIC = 0x52494450; // "PDIR"
export const DIRENT_WORDS = 3;
export const NAME_BYTES_MAX = 255;

/** The last page of any file. */
export const LAST_PAGE = 2 ** 30 - 1;

/** Type bits of an inode's mode. */
export const S_IF = { mask: 0o170000, file: 0o100000, dir: 0o040000, link: 0o120000 } as const;

export const FILE_BYTES_MAX = 2 ** 30 * BLOCK_BYTES;
export const SYMLINK_BYTES_MAX = BLOCK_BYTES - 1;
export const LINKS_MAX = 65000;

/** What decides how many shared words a mounted volume takes. */
export interface VolumeConfig {
  /** Blocks of the volume, and of its journal, from the superblock. */
  readonly blocks: number;
  readonly journalStart: number;
  readonly journalBlocks: number;
  /** Inode slots of the machine. */
  readonly inodeSlots: number;
  /** Buffers of the buffer cache. */
  readonly buffers: number;
  /** Requests that the block queue holds. */
  readonly queueDepth: number;
}

/** Words of a mounted volume that all threads share. */
export const VOL = {
  /** VOL_STATE. */
  state: 0,
  /** Free blocks that nobody has reserved. */
  available: 1,
  /** Mutex of the block map and of the pending frees; where the search for free blocks goes on. */
  allocSem: 2,
  allocHint: 3,
  /** Runs of blocks claimed and not yet all used or given back; sleepers watch runsDone. */
  runs: 4,
  runsDone: 5,
  /** Two sets of blocks freed by a transaction that has not committed: tid of each, how many. */
  pendingTid: 6,
  pendingCount: 8,
  /** Mutex of the inode and orphan bitmaps; where the search goes on; free inodes. */
  inodeSem: 10,
  inodeHint: 11,
  freeInodes: 12,
  /** Spinlock of the hash and the free list of inode slots; head of that list (slot + 1). */
  hashLock: 13,
  freeSlots: 14,
  evictHand: 15,
  /** Semaphore of all names: lookups share it, changes have it alone. */
  names: 16,
  /** Mutex of the one who makes room among the inode slots. */
  evictSem: 17,
  words: 32,
} as const;

export const VOL_STATE = { none: 0, mounted: 1, shutdown: 2 } as const;

/** Words of the hash of inode slots: a power of two. */
export function hashWords(config: VolumeConfig): number {
  return 2 ** Math.ceil(Math.log2(Math.max(16, config.inodeSlots)));
}

/** Words of a bit map of all blocks. */
export function mapWords(config: VolumeConfig): number {
  return Math.ceil(config.blocks / 32);
}

/** Words of an inode slot that are the file system's (State.iPrivate). */
export const IP = {
  /** DIFLAG bits. */
  flags: 0,
  /** The last transaction that changed the inode on disk, or may have done so before it was read. */
  tid: 1,
  /** Failed writeback, for fsync to report: errseq.ts. */
  error: 2,
  /** Counts removals of extents: a mapping looked up before one may be stale. */
  mapSeq: 3,
  /** Size that the disk knows (i_disksize). Under i_data_sem. */
  diskSizeLow: 4,
  diskSizeHigh: 5,
  mtimeLow: 6,
  mtimeHigh: 7,
  /** Next slot (+ 1) of the hash chain, or of the free list. Under hashLock. */
  hashNext: 8,
  parent: 9,
  generation: 10,
  /** Where the next block of the file should go. */
  goal: 11,
  /** 1: `tid` is of a change made since the inode was read, not a guess. */
  tidKnown: 12,
  /** 1: what the disk holds behind the end of the file, in its last block, is zero (tail.ts). Under i_rwsem. */
  tailKnown: 13,
} as const;

/** Bits of an inode slot's state (State.iState) that are the file system's; the others are mm's. */
export const I = {
  /** Being read in: sleep on the state. */
  new: 1 << FIRST_OF_FS,
  /** Being evicted: sleep on the state. */
  freeing: 1 << (FIRST_OF_FS + 1),
  /** Could not be read. */
  bad: 1 << (FIRST_OF_FS + 2),
  /** Times or size in memory are newer than on disk (I_DIRTY_TIME). */
  dirtyTime: 1 << (FIRST_OF_FS + 3),
  /** Used since the evictor's hand passed. */
  referenced: 1 << (FIRST_OF_FS + 4),
} as const;

/** Bits of a folio's private word, under the folio lock. */
export const BUFFER_STATE = {
  /** A block is reserved for the next writing of the page. */
  reserved: 1,
  /** The page has a block, or writeback has claimed one. */
  mapped: 2,
} as const;

/** Words that the volume itself takes: without metadata and queue. */
export function ownWords(config: VolumeConfig): number {
  return VOL.words + hashWords(config) + 3 * mapWords(config);
}
