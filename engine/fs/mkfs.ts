// Making a volume on a disk, offline: this thread may block.

import { randomBytes } from 'node:crypto';
import { fallocate, fdatasync, pwriteFrom } from '../../native/index.js';
import type { Disk } from '../block/disk.js';
import { Errno } from '../sched/errors.js';
import { setBits } from './alloc.js';
import { inodeCrc, inodeOffset } from './dinode.js';
import {
  BITS_PER_BLOCK,
  BLOCK_BYTES,
  BLOCK_WORDS,
  BLOCKS_MAX,
  BLOCKS_MIN,
  DI,
  FEATURE,
  INODES_PER_BLOCK,
  ROOT_INO,
  S_IF,
  type Superblock,
} from './layout.js';
import { formatJournal } from './recovery.js';
import { encodeSuperblock, planVolume } from './superblock.js';

export interface MkfsOptions {
  /** Default: true. */
  readonly journal?: boolean;
  readonly inlineData?: boolean;
  readonly checksums?: boolean;
  readonly cow?: boolean;
  /** How many files there can be. Default: one per 8 KiB. */
  readonly inodes?: number;
  readonly journalBlocks?: number;
  /** Makes uuid and hash seed reproducible. */
  readonly seed?: number;
  /** Milliseconds, for the root directory. Default: now. */
  readonly nowMs?: number;
}

/** Smallest and largest journal, in blocks: the largest handle takes 60 blocks (see fs/free.ts). */
const JOURNAL_MIN = 256;
const JOURNAL_MAX = 8192;

const BYTES_PER_INODE = 8192;
const INODES_MIN = 64;

/**
 * Writes an empty volume over all of a disk.
 * @throws Errno EINVAL that names the option and its range, ENOSPC, EIO
 */
export function mkfs(disk: Disk, options: MkfsOptions = {}): Superblock {
  const sb = plan(disk.sizeBytes, options);
  const { fd } = disk;
  zero(fd, 0, 1);
  for (const [start, count] of [
    [sb.bitmapStart, sb.bitmapBlocks],
    [sb.inodeBitmapStart, 2 * sb.inodeBitmapBlocks],
    [sb.inodeTableStart, sb.inodeTableBlocks],
    [sb.checksumStart, sb.checksumBlocks],
  ]) {
    zero(fd, start, count);
  }
  writeBitmap(fd, sb);
  writeRoot(fd, sb, options.nowMs ?? Date.now());
  if (sb.journalBlocks > 0) {
    // With blocks of its own on the host, so that no commit finds the host full; and nothing that an
    // older volume with the same seed left in its journal stays.
    zero(fd, sb.journalStart, sb.journalBlocks, 'zero');
    const words = new Int32Array(BLOCK_WORDS);
    formatJournal(words, sb.journalBlocks, sb.uuid[0]);
    writeBlock(fd, sb.journalStart, words);
  }
  writeBlock(fd, sb.blocks - 1, encodeSuperblock(sb));
  fdatasync(fd);
  // The superblock last: until then there is no volume here.
  writeBlock(fd, 0, encodeSuperblock(sb));
  fdatasync(fd);
  return sb;
}

function plan(sizeBytes: number, options: MkfsOptions): Superblock {
  const blocks = Math.min(Math.floor(sizeBytes / BLOCK_BYTES), BLOCKS_MAX);
  const journal = options.journal ?? true;
  const features =
    (journal ? FEATURE.journal : 0) |
    (options.inlineData === true ? FEATURE.inlineData : 0) |
    (options.checksums === true ? FEATURE.checksums : 0) |
    (options.cow === true ? FEATURE.cow : 0);
  const journalBlocks = journal ? (options.journalBlocks ?? defaultJournal(blocks)) : 0;
  if (journal && (journalBlocks < JOURNAL_MIN || !Number.isInteger(journalBlocks))) {
    throw new Errno(
      'EINVAL',
      `journalBlocks ${String(journalBlocks)}: at least ${String(JOURNAL_MIN)}, or no journal`,
    );
  }
  const inodes = planInodes(blocks, options.inodes);
  const layout = planVolume(blocks, inodes, journalBlocks, features);
  if (blocks < BLOCKS_MIN || layout.dataStart + BLOCKS_MIN / 8 > blocks) {
    const least = (Math.max(BLOCKS_MIN, layout.dataStart) + BLOCKS_MIN / 8) * BLOCK_BYTES;
    throw new Errno(
      'EINVAL',
      `${String(sizeBytes)} B are too few for a volume with these options: give it at least ${String(least)} B`,
    );
  }
  const random = options.seed === undefined ? randomWords() : seededWords(options.seed);
  const [a, b, c, d, hashSeed] = random;
  return { ...layout, uuid: [a, b, c, d], hashSeed, clean: true };
}

function planInodes(blocks: number, asked: number | undefined): number {
  const wanted =
    asked ?? Math.max(INODES_MIN, Math.floor((blocks * BLOCK_BYTES) / BYTES_PER_INODE));
  const most = blocks * INODES_PER_BLOCK;
  if (!Number.isInteger(wanted) || wanted < INODES_PER_BLOCK || wanted > most) {
    throw new Errno(
      'EINVAL',
      `inodes ${String(wanted)}: ${String(INODES_PER_BLOCK)} to ${String(most)} for this size`,
    );
  }
  return Math.ceil(wanted / INODES_PER_BLOCK) * INODES_PER_BLOCK;
}

function defaultJournal(blocks: number): number {
  return Math.max(JOURNAL_MIN, Math.min(JOURNAL_MAX, blocks >>> 5));
}

function writeBitmap(fd: number, sb: Superblock): void {
  const words = new Int32Array(sb.bitmapBlocks * BLOCK_WORDS);
  setBits(words, 0, sb.dataStart);
  const last = sb.blocks - 1; // the backup superblock, and what lies past the end
  setBits(words, last, sb.bitmapBlocks * BITS_PER_BLOCK - last);
  pwriteFrom(fd, new Uint8Array(words.buffer), sb.bitmapStart * BLOCK_BYTES);
  const inodes = new Int32Array(sb.inodeBitmapBlocks * BLOCK_WORDS);
  setBits(inodes, 0, ROOT_INO + 1);
  setBits(inodes, sb.inodes, sb.inodeBitmapBlocks * BITS_PER_BLOCK - sb.inodes);
  pwriteFrom(fd, new Uint8Array(inodes.buffer), sb.inodeBitmapStart * BLOCK_BYTES);
}

function writeRoot(fd: number, sb: Superblock, nowMs: number): void {
  const words = new Int32Array(BLOCK_WORDS);
  const at = inodeOffset(ROOT_INO);
  words[at + DI.mode] = S_IF.dir | 0o755;
  words[at + DI.nlink] = 1;
  words[at + DI.parent] = ROOT_INO;
  words[at + DI.mtimeLow] = nowMs | 0;
  words[at + DI.mtimeHigh] = Math.floor(nowMs / 2 ** 32);
  words[at + DI.crc] = inodeCrc(words, at, ROOT_INO);
  writeBlock(fd, sb.inodeTableStart, words);
}

function writeBlock(fd: number, block: number, words: Int32Array): void {
  pwriteFrom(fd, new Uint8Array(words.buffer), block * BLOCK_BYTES);
}

/** Zeroes blocks: as a hole ('punch') or with their space kept ('zero') where the host can, else by writing. */
function zero(fd: number, start: number, count: number, mode: 'punch' | 'zero' = 'punch'): void {
  if (count === 0) return;
  try {
    fallocate(fd, mode, start * BLOCK_BYTES, count * BLOCK_BYTES);
  } catch {
    const piece = new Uint8Array(256 * BLOCK_BYTES);
    for (let done = 0; done < count; done += 256) {
      const blocks = Math.min(256, count - done);
      pwriteFrom(fd, piece.subarray(0, blocks * BLOCK_BYTES), (start + done) * BLOCK_BYTES);
    }
  }
}

function randomWords(): number[] {
  const bytes = randomBytes(20);
  return Array.from({ length: 5 }, (_, i) => bytes.readInt32LE(i * 4));
}

function seededWords(seed: number): number[] {
  let state = seed | 0;
  return Array.from({ length: 5 }, () => {
    state = (Math.imul(state, 0x19660d) + 0x3c6ef35f) | 0;
    return state ^ (state >>> 13);
  });
}
