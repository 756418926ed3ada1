// A volume under check: its blocks, what was found to use each of them, and the damages so far.

import { preadInto, pwriteFrom } from '../../native/index.js';
import type { Disk } from '../block/disk.js';
import { BLOCK_BYTES, BLOCK_WORDS, type Superblock } from './layout.js';

/** What can be wrong. Stable: programs look at these. */
export const DAMAGE_CODES = [
  'bad-superblock',
  'bad-journal',
  'bad-inode-crc',
  'bad-inode',
  'bad-extent-tree',
  'extent-out-of-range',
  'extent-order',
  'double-claimed-block',
  'blocks-past-end',
  'wrong-block-count',
  'checksum-mismatch',
  'unreadable-block',
  'missing-dir-block',
  'bad-dir-block',
  'bad-entry',
  'misplaced-entry',
  'duplicate-name',
  'dangling-entry',
  'wrong-entry-type',
  'wrong-parent',
  'directory-linked-twice',
  'unreachable-inode',
  'wrong-nlink',
  'deleted-not-orphan',
  'block-not-marked',
  'block-leaked',
  'inode-not-marked',
  'inode-leaked',
] as const;

export type DamageCode = (typeof DAMAGE_CODES)[number];

/** One damage. */
export interface Damage {
  readonly code: DamageCode;
  /** In words, with the numbers. */
  readonly message: string;
  /** Inode and block concerned; 0 where there is none. */
  readonly ino: number;
  readonly block: number;
  /** Was it mended? */
  repaired: boolean;
}

/** Damages listed at most; all are counted. */
export const DAMAGES_MAX = 1000;

/** Owner of blocks that the superblock gives away: superblocks, journal, tables. */
export const OWNER_SYSTEM = -1;

/** What fsck knows of an inode in use. */
export interface KnownInode {
  readonly mode: number;
  readonly nlink: number;
  readonly size: number;
  readonly parent: number;
  /** Blocks of a directory, by index; empty for others. */
  readonly dirBlocks: Map<number, number>;
  /** Names found for it. */
  links: number;
}

export class Checked {
  readonly damages: Damage[] = [];
  count = 0;
  /** Per block: the inode that owns it, OWNER_SYSTEM, or 0. */
  readonly owners: Int32Array;
  readonly inodes = new Map<number, KnownInode>();

  constructor(
    readonly disk: Disk,
    readonly sb: Superblock,
    readonly repair: boolean,
  ) {
    this.owners = new Int32Array(sb.blocks);
    this.owners.fill(OWNER_SYSTEM, 0, sb.dataStart);
    this.owners[sb.blocks - 1] = OWNER_SYSTEM;
  }

  /** Notes a damage. @returns it, or one that nobody sees if there are too many */
  report(code: DamageCode, ino: number, block: number, message: string): Damage {
    const damage: Damage = { code, ino, block, message, repaired: false };
    this.count++;
    if (this.damages.length < DAMAGES_MAX) this.damages.push(damage);
    return damage;
  }

  /** A block of the volume as words; zeroes if it can't be read. */
  read(block: number): Int32Array {
    return this.readRun(block, 1);
  }

  readRun(block: number, count: number): Int32Array {
    const words = new Int32Array(count * BLOCK_WORDS);
    try {
      preadInto(this.disk.fd, new Uint8Array(words.buffer), block * BLOCK_BYTES);
    } catch (error) {
      this.report('unreadable-block', 0, block, `block ${String(block)}: ${String(error)}`);
    }
    return words;
  }

  write(block: number, words: Int32Array): void {
    pwriteFrom(
      this.disk.fd,
      new Uint8Array(words.buffer, words.byteOffset, words.byteLength),
      block * BLOCK_BYTES,
    );
  }

  /** Do these blocks lie where files may have blocks? */
  inData(start: number, count: number): boolean {
    return count > 0 && start >= this.sb.dataStart && start + count < this.sb.blocks;
  }

  /**
   * Enters an inode as the owner of blocks.
   * @returns how many, fewer than asked from the first block that another one owns (reported)
   */
  claim(ino: number, start: number, count: number): number {
    for (let i = 0; i < count; i++) {
      const owner = this.owners[start + i];
      if (owner === 0) {
        this.owners[start + i] = ino;
        continue;
      }
      const other = owner < 0 ? 'the tables of the volume' : `inode ${String(owner)}`;
      this.report(
        'double-claimed-block',
        ino,
        start + i,
        `block ${String(start + i)} is claimed by inode ${String(ino)} and by ${other}`,
      );
      return i;
    }
    return count;
  }
}
