// The superblock: encoding, decoding and every check that mount, mkfs and fsck make of it.

import { crc32c, preadInto } from '../../native/index.js';
import { Errno } from '../sched/errors.js';
import {
  BITS_PER_BLOCK,
  BLOCK_BYTES,
  BLOCK_WORDS,
  BLOCKS_MAX,
  BLOCKS_MIN,
  FEATURE,
  FEATURES_KNOWN,
  FORMAT_VERSION,
  INODES_PER_BLOCK,
  SB,
  SUPER_MAGIC,
  type Superblock,
} from './layout.js';

/** The superblock as a block. */
export function encodeSuperblock(sb: Superblock): Int32Array {
  const w = new Int32Array(BLOCK_WORDS);
  w[SB.magic] = SUPER_MAGIC;
  w[SB.version] = FORMAT_VERSION;
  w[SB.features] = sb.features;
  w[SB.blockBytes] = BLOCK_BYTES;
  w[SB.blocks] = sb.blocks;
  w[SB.inodes] = sb.inodes;
  w[SB.journalStart] = sb.journalStart;
  w[SB.journalBlocks] = sb.journalBlocks;
  w[SB.bitmapStart] = sb.bitmapStart;
  w[SB.bitmapBlocks] = sb.bitmapBlocks;
  w[SB.inodeBitmapStart] = sb.inodeBitmapStart;
  w[SB.inodeBitmapBlocks] = sb.inodeBitmapBlocks;
  w[SB.orphanStart] = sb.orphanStart;
  w[SB.inodeTableStart] = sb.inodeTableStart;
  w[SB.inodeTableBlocks] = sb.inodeTableBlocks;
  w[SB.checksumStart] = sb.checksumStart;
  w[SB.checksumBlocks] = sb.checksumBlocks;
  w[SB.dataStart] = sb.dataStart;
  w.set(sb.uuid, SB.uuid);
  w[SB.hashSeed] = sb.hashSeed;
  w[SB.clean] = sb.clean ? 1 : 0;
  w[SB.crc] = crcOf(w);
  return w;
}

/**
 * Decodes and checks a superblock.
 * @param deviceBytes size of what it lies on
 * @throws Errno EUCLEAN that says what is wrong
 */
export function decodeSuperblock(w: Int32Array, deviceBytes: number): Superblock {
  const sb: Superblock = {
    features: w[SB.features],
    blocks: w[SB.blocks],
    inodes: w[SB.inodes],
    journalStart: w[SB.journalStart],
    journalBlocks: w[SB.journalBlocks],
    bitmapStart: w[SB.bitmapStart],
    bitmapBlocks: w[SB.bitmapBlocks],
    inodeBitmapStart: w[SB.inodeBitmapStart],
    inodeBitmapBlocks: w[SB.inodeBitmapBlocks],
    orphanStart: w[SB.orphanStart],
    inodeTableStart: w[SB.inodeTableStart],
    inodeTableBlocks: w[SB.inodeTableBlocks],
    checksumStart: w[SB.checksumStart],
    checksumBlocks: w[SB.checksumBlocks],
    dataStart: w[SB.dataStart],
    uuid: [w[SB.uuid], w[SB.uuid + 1], w[SB.uuid + 2], w[SB.uuid + 3]],
    hashSeed: w[SB.hashSeed],
    clean: w[SB.clean] !== 0,
  };
  if (w[SB.magic] !== SUPER_MAGIC)
    bad('no Pinfold volume (wrong magic number): make one with mkfs, or check the path');
  if (w[SB.crc] !== crcOf(w))
    bad('the superblock is damaged (wrong CRC): run fsck, which reads the backup');
  if (w[SB.version] !== FORMAT_VERSION)
    bad(`format version ${String(w[SB.version])}, this program knows ${String(FORMAT_VERSION)}`);
  if (w[SB.blockBytes] !== BLOCK_BYTES)
    bad(`blocks of ${String(w[SB.blockBytes])} B, this program knows ${String(BLOCK_BYTES)}`);
  if ((sb.features & ~FEATURES_KNOWN) !== 0)
    bad(`unknown features 0x${sb.features.toString(16)}: use a newer program`);
  checkGeometry(sb);
  if (sb.blocks * BLOCK_BYTES > deviceBytes) {
    bad(
      `the volume has ${String(sb.blocks * BLOCK_BYTES)} B, what it lies on has ${String(deviceBytes)} B: it was cut short`,
    );
  }
  return sb;
}

/** Reads a volume's superblock offline; this thread may block. @throws Errno EUCLEAN */
export function readSuperblock(fd: number, deviceBytes: number): Superblock {
  const block = new Int32Array(BLOCK_WORDS);
  preadInto(fd, new Uint8Array(block.buffer), 0);
  return decodeSuperblock(block, deviceBytes);
}

/** Where each area of a volume lies. @throws Errno EINVAL if nothing is left for data */
export function planVolume(
  blocks: number,
  inodes: number,
  journalBlocks: number,
  features: number,
): Omit<Superblock, 'uuid' | 'hashSeed' | 'clean'> {
  let at = 1;
  const take = (count: number): number => {
    at += count;
    return at - count;
  };
  const journalStart = take(journalBlocks);
  const bitmapBlocks = Math.ceil(blocks / BITS_PER_BLOCK);
  const bitmapStart = take(bitmapBlocks);
  const inodeBitmapBlocks = Math.ceil(inodes / BITS_PER_BLOCK);
  const inodeBitmapStart = take(inodeBitmapBlocks);
  const orphanStart = take(inodeBitmapBlocks);
  const inodeTableBlocks = inodes / INODES_PER_BLOCK;
  const inodeTableStart = take(inodeTableBlocks);
  const checksumBlocks = (features & FEATURE.checksums) === 0 ? 0 : Math.ceil(blocks / BLOCK_WORDS);
  const checksumStart = take(checksumBlocks);
  return {
    features,
    blocks,
    inodes,
    journalStart,
    journalBlocks,
    bitmapStart,
    bitmapBlocks,
    inodeBitmapStart,
    inodeBitmapBlocks,
    orphanStart,
    inodeTableStart,
    inodeTableBlocks,
    checksumStart,
    checksumBlocks,
    dataStart: at,
  };
}

function checkGeometry(sb: Superblock): void {
  const sane =
    sb.blocks >= BLOCKS_MIN &&
    sb.blocks <= BLOCKS_MAX &&
    sb.inodes >= INODES_PER_BLOCK &&
    sb.inodes % INODES_PER_BLOCK === 0 &&
    sb.inodes <= sb.blocks * INODES_PER_BLOCK &&
    sb.journalBlocks >= 0 &&
    ((sb.features & FEATURE.journal) !== 0) === sb.journalBlocks > 0;
  if (!sane) bad('the superblock contradicts itself: run fsck, which reads the backup');
  const plan = planVolume(sb.blocks, sb.inodes, sb.journalBlocks, sb.features);
  const same =
    plan.bitmapStart === sb.bitmapStart &&
    plan.bitmapBlocks === sb.bitmapBlocks &&
    plan.inodeBitmapStart === sb.inodeBitmapStart &&
    plan.inodeBitmapBlocks === sb.inodeBitmapBlocks &&
    plan.orphanStart === sb.orphanStart &&
    plan.inodeTableStart === sb.inodeTableStart &&
    plan.inodeTableBlocks === sb.inodeTableBlocks &&
    plan.checksumStart === sb.checksumStart &&
    plan.checksumBlocks === sb.checksumBlocks &&
    plan.journalStart === sb.journalStart &&
    plan.dataStart === sb.dataStart &&
    sb.dataStart < sb.blocks - 1;
  if (!same) bad('the superblock contradicts itself: run fsck, which reads the backup');
}

function crcOf(w: Int32Array): number {
  const copy = w.slice(0, BLOCK_WORDS);
  copy[SB.crc] = 0;
  return crc32c(new Uint8Array(copy.buffer)) | 0;
}

function bad(message: string): never {
  throw new Errno('EUCLEAN', message);
}
