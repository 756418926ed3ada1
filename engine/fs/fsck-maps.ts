// fsck, third pass: the bitmaps against what the inodes use; repairs that need no judgement.

import { inodeCrc, inodeOffset } from './dinode.js';
import type { Checked, DamageCode } from './fsck-image.js';
import { BITS_PER_BLOCK, BLOCK_WORDS, DI, INODE_WORDS, INODES_PER_BLOCK } from './layout.js';

/** Compares the bitmaps of blocks and inodes. */
export function checkMaps(c: Checked): void {
  const { sb } = c;
  compare(c, sb.bitmapStart, sb.bitmapBlocks, sb.blocks, 'block', (n) => c.owners[n] !== 0);
  const table = new InodeTable(c);
  compare(
    c,
    sb.inodeBitmapStart,
    sb.inodeBitmapBlocks,
    sb.inodes,
    'inode',
    (n) => n === 0 || table.inUse(n),
  );
}

/** Sets link and block counts right where the inodes are sound otherwise. */
export function repairCounts(c: Checked): void {
  for (const damage of c.damages) {
    if (damage.code !== 'wrong-nlink' && damage.code !== 'wrong-block-count') continue;
    const known = c.inodes.get(damage.ino);
    if (known === undefined) continue;
    const block = c.sb.inodeTableStart + Math.floor(damage.ino / INODES_PER_BLOCK);
    const words = c.read(block);
    const at = inodeOffset(damage.ino);
    if (damage.code === 'wrong-nlink') words[at + DI.nlink] = known.links;
    else
      words[at + DI.blocks] = c.owners.reduce(
        (sum, owner) => sum + (owner === damage.ino ? 1 : 0),
        0,
      );
    words[at + DI.crc] = inodeCrc(words, at, damage.ino);
    c.write(block, words);
    damage.repaired = true;
  }
}

/** Inodes in use, damaged ones too, read along with the bitmap. */
class InodeTable {
  private block = -1;
  private words: Int32Array = new Int32Array(0);

  constructor(private readonly c: Checked) {}

  inUse(ino: number): boolean {
    const block = Math.floor(ino / INODES_PER_BLOCK);
    const first = block - (block % 64);
    if (first !== this.block) {
      const { inodeTableStart, inodeTableBlocks } = this.c.sb;
      this.block = first;
      this.words = this.c.readRun(inodeTableStart + first, Math.min(64, inodeTableBlocks - first));
    }
    return this.words[(ino - first * INODES_PER_BLOCK) * INODE_WORDS + DI.mode] !== 0;
  }
}

/** Reports runs of numbers of which the bitmap says otherwise than `used`, and mends them. */
function compare(
  c: Checked,
  start: number,
  blocks: number,
  total: number,
  what: 'block' | 'inode',
  used: (n: number) => boolean,
): void {
  // A block that two inodes claim, or an extent tree that can't be read, makes the truth unknown.
  const mend = c.repair && (what === 'inode' || !c.damages.some((d) => UNKNOWN.has(d.code)));
  for (let i = 0; i < blocks; i++) {
    const words = c.read(start + i);
    const first = i * BITS_PER_BLOCK;
    let runStart = -1;
    let runUsed = false;
    let changed = false;
    for (let bit = 0; bit <= BITS_PER_BLOCK; bit++) {
      const n = first + bit;
      const inside = bit < BITS_PER_BLOCK && n < total;
      const marked = inside && (words[bit >>> 5] & (1 << (bit & 31))) !== 0;
      const is = inside && used(n);
      const wrong = inside && marked !== is;
      if (runStart >= 0 && (!wrong || is !== runUsed)) {
        report(c, what, runStart, n - 1, runUsed, start + i, mend);
        runStart = -1;
      }
      if (wrong && runStart < 0) {
        runStart = n;
        runUsed = is;
      }
      if (wrong && mend) {
        words[bit >>> 5] ^= 1 << (bit & 31);
        changed = true;
      }
      if (!inside) break;
    }
    if (changed) c.write(start + i, words.subarray(0, BLOCK_WORDS));
  }
}

const UNKNOWN: ReadonlySet<DamageCode> = new Set<DamageCode>([
  'double-claimed-block',
  'bad-extent-tree',
  'bad-inode-crc',
  'bad-inode',
  'extent-out-of-range',
  'extent-order',
]);

function report(
  c: Checked,
  what: 'block' | 'inode',
  from: number,
  to: number,
  used: boolean,
  bitmapBlock: number,
  mended: boolean,
): void {
  const range =
    from === to ? `${what} ${String(from)} is` : `${what}s ${String(from)} to ${String(to)} are`;
  const message = used
    ? `${range} in use, but free in the bitmap (block ${String(bitmapBlock)})`
    : `${range} marked in the bitmap (block ${String(bitmapBlock)}), but nothing uses them`;
  const code: DamageCode =
    what === 'block'
      ? used
        ? 'block-not-marked'
        : 'block-leaked'
      : used
        ? 'inode-not-marked'
        : 'inode-leaked';
  const ino = what === 'inode' ? from : 0;
  c.report(code, ino, what === 'block' ? from : bitmapBlock, message).repaired = mended;
}
