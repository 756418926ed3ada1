// fsck, first pass: every inode, its extent tree and the checksums of its data.

import { crc32c } from '../../native/index.js';
import { readPair } from './core.js';
import { blockCrc, inodeCrc } from './dinode.js';
import type { Checked, KnownInode } from './fsck-image.js';
import {
  BLOCK_BYTES,
  BLOCK_EXTENTS,
  BLOCK_WORDS,
  DEPTH_MAX,
  DI,
  DIFLAG,
  EB,
  EXTENT_MAGIC,
  EXTENT_WORDS,
  FILE_BYTES_MAX,
  INLINE_BYTES_MAX,
  INODE_WORDS,
  INODES_PER_BLOCK,
  ROOT_EXTENTS,
  S_IF,
} from './layout.js';

/** Blocks of the inode table, or of data, read at once. */
const CHUNK = 64;

/** The walk of one inode's tree. */
interface Walk {
  readonly c: Checked;
  readonly ino: number;
  readonly known: KnownInode;
  /** The next block of the file that an extent may start at. */
  next: number;
  /** Blocks of the volume counted so far; the tree is sound so far. */
  blocks: number;
  sound: boolean;
}

/** Reads the whole inode table. */
export function checkInodes(c: Checked): void {
  const { sb } = c;
  for (let block = 0; block < sb.inodeTableBlocks; block += CHUNK) {
    const count = Math.min(CHUNK, sb.inodeTableBlocks - block);
    const words = c.readRun(sb.inodeTableStart + block, count);
    for (let i = 0; i < count * INODES_PER_BLOCK; i++) {
      const ino = block * INODES_PER_BLOCK + i;
      if (ino === 0 || words[i * INODE_WORDS + DI.mode] === 0) continue;
      checkInode(c, words, i * INODE_WORDS, ino);
    }
  }
}

function checkInode(c: Checked, words: Int32Array, at: number, ino: number): void {
  const block = c.sb.inodeTableStart + Math.floor(ino / INODES_PER_BLOCK);
  if (words[at + DI.crc] !== inodeCrc(words, at, ino)) {
    c.report(
      'bad-inode-crc',
      ino,
      block,
      `inode ${String(ino)} has a wrong CRC: its contents are not used`,
    );
    return;
  }
  const known: KnownInode = {
    mode: words[at + DI.mode],
    nlink: words[at + DI.nlink],
    size: readPair(words, at + DI.sizeLow),
    parent: words[at + DI.parent],
    dirBlocks: new Map(),
    links: 0,
  };
  const type = known.mode & S_IF.mask;
  const inline = (words[at + DI.flags] & DIFLAG.inline) !== 0;
  const problem = inodeProblem(known, type, inline);
  if (problem !== null) {
    c.report('bad-inode', ino, block, `inode ${String(ino)}: ${problem}`);
    return;
  }
  c.inodes.set(ino, known);
  if (inline) return;
  const walk: Walk = { c, ino, known, next: 0, blocks: 0, sound: true };
  const count = words[at + DI.count];
  const depth = words[at + DI.depth];
  if (count < 0 || count > ROOT_EXTENTS || depth < 0 || depth > DEPTH_MAX) {
    c.report(
      'bad-extent-tree',
      ino,
      block,
      `inode ${String(ino)}: root of the extent tree has depth ${String(depth)} and ${String(count)} entries`,
    );
    return;
  }
  checkEntries(walk, words, at + DI.root, count, depth);
  if (!walk.sound) return;
  const recorded = words[at + DI.blocks];
  if (recorded !== walk.blocks) {
    c.report(
      'wrong-block-count',
      ino,
      block,
      `inode ${String(ino)} says that it has ${String(recorded)} blocks, it has ${String(walk.blocks)}`,
    );
  }
}

function inodeProblem(known: KnownInode, type: number, inline: boolean): string | null {
  if (type !== S_IF.file && type !== S_IF.dir && type !== S_IF.link)
    return `unknown type 0o${known.mode.toString(8)}`;
  if (known.size > FILE_BYTES_MAX || known.size < 0) return `size ${String(known.size)}`;
  if (inline && known.size > INLINE_BYTES_MAX)
    return `inline data, but size ${String(known.size)} > ${String(INLINE_BYTES_MAX)}`;
  if (type === S_IF.dir && (inline || known.size % BLOCK_BYTES !== 0))
    return `a directory of size ${String(known.size)}`;
  if (known.nlink < 0) return `${String(known.nlink)} links`;
  return null;
}

function checkEntries(
  walk: Walk,
  words: Int32Array,
  base: number,
  count: number,
  depth: number,
): void {
  for (let i = 0; i < count; i++) {
    const at = base + i * EXTENT_WORDS;
    if (depth > 0) checkChild(walk, words[at + 1], depth - 1);
    else checkExtent(walk, words[at], words[at + 1], words[at + 2]);
  }
}

function checkChild(walk: Walk, block: number, depth: number): void {
  const { c, ino } = walk;
  if (!c.inData(block, 1)) {
    walk.sound = false;
    c.report(
      'extent-out-of-range',
      ino,
      block,
      `inode ${String(ino)}: extent block ${String(block)} lies outside of the data`,
    );
    return;
  }
  if (c.claim(ino, block, 1) === 0) {
    walk.sound = false;
    return;
  }
  walk.blocks++;
  const words = c.read(block);
  const count = words[EB.count];
  const sane =
    words[EB.magic] === EXTENT_MAGIC &&
    words[EB.owner] === ino &&
    words[EB.depth] === depth &&
    count > 0 &&
    count <= BLOCK_EXTENTS &&
    words[EB.crc] === blockCrc(words, 0);
  if (sane) checkEntries(walk, words, EB.entries, count, depth);
  else {
    walk.sound = false;
    c.report(
      'bad-extent-tree',
      ino,
      block,
      `inode ${String(ino)}: extent block ${String(block)} is damaged`,
    );
  }
}

function checkExtent(walk: Walk, logical: number, phys: number, length: number): void {
  const { c, ino, known } = walk;
  const what = `inode ${String(ino)}: extent of ${String(length)} blocks at block ${String(logical)} of the file`;
  if (!c.inData(phys, length)) {
    walk.sound = false;
    c.report(
      'extent-out-of-range',
      ino,
      phys,
      `${what} lies outside of the data (block ${String(phys)})`,
    );
    return;
  }
  if (logical < walk.next) {
    walk.sound = false;
    c.report(
      'extent-order',
      ino,
      phys,
      `${what} starts before block ${String(walk.next)}, where the last one ended`,
    );
    return;
  }
  walk.next = logical + length;
  const claimed = c.claim(ino, phys, length);
  walk.blocks += claimed;
  if (claimed < length) walk.sound = false;
  const end = Math.ceil(known.size / BLOCK_BYTES);
  if (walk.next > end && known.nlink > 0 && !isOrphan(c, ino)) {
    c.report('blocks-past-end', ino, phys, `${what} goes past the size of ${String(known.size)} B`);
  }
  const type = known.mode & S_IF.mask;
  if (type === S_IF.dir) {
    for (let i = 0; i < claimed; i++) known.dirBlocks.set(logical + i, phys + i);
  } else if (type === S_IF.file && c.sb.checksumBlocks > 0) {
    checkSums(c, ino, logical, phys, claimed);
  }
}

function checkSums(c: Checked, ino: number, logical: number, phys: number, length: number): void {
  for (let done = 0; done < length; done += CHUNK) {
    const count = Math.min(CHUNK, length - done);
    const data = c.readRun(phys + done, count);
    for (let i = 0; i < count; i++) {
      const block = phys + done + i;
      const expected = sumOf(c, block);
      const bytes = new Uint8Array(data.buffer, i * BLOCK_BYTES, BLOCK_BYTES);
      const found = crc32c(bytes) | 0;
      if (found === expected) continue;
      const sums = `checksum 0x${(found >>> 0).toString(16)}, expected 0x${(expected >>> 0).toString(16)}`;
      c.report(
        'checksum-mismatch',
        ino,
        block,
        `inode ${String(ino)}, page ${String(logical + done + i)} (block ${String(block)}): ${sums}`,
      );
    }
  }
}

/** The table block looked at last, per volume under check. */
const tables = new WeakMap<Checked, { block: number; words: Int32Array }>();

function sumOf(c: Checked, block: number): number {
  const table = c.sb.checksumStart + Math.floor(block / BLOCK_WORDS);
  let kept = tables.get(c);
  if (kept?.block !== table) {
    kept = { block: table, words: c.read(table) };
    tables.set(c, kept);
  }
  return kept.words[block % BLOCK_WORDS];
}

/** Is the inode's bit in the orphan bitmap set? */
export function isOrphan(c: Checked, ino: number): boolean {
  const block = c.sb.orphanStart + Math.floor(ino / (BLOCK_BYTES * 8));
  const words = c.read(block);
  return (words[(ino % (BLOCK_BYTES * 8)) >>> 5] & (1 << (ino & 31))) !== 0;
}
