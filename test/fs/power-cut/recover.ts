// What a mount makes of an image: the journal is replayed, fsck must find nothing, and then there are
// names and files. All in memory, and remembered by what was looked at: many images that a power cut may
// leave differ only in blocks that nobody reads.

import { inodeOffset } from '../../../engine/fs/dinode.js';
import { listBlock } from '../../../engine/fs/dir-block.js';
import { Checked } from '../../../engine/fs/fsck-image.js';
import { checkInodes, isOrphan } from '../../../engine/fs/fsck-inodes.js';
import { checkMaps } from '../../../engine/fs/fsck-maps.js';
import { checkNames } from '../../../engine/fs/fsck-names.js';
import { type JournalIo, recoverJournal } from '../../../engine/fs/journal-replay.js';
import {
  DI,
  DIFLAG,
  EB,
  EXTENT_WORDS,
  INODE_WORDS,
  INODES_PER_BLOCK,
  ROOT_INO,
  S_IF,
  type Superblock,
} from '../../../engine/fs/layout.js';
import { decodeSuperblock } from '../../../engine/fs/superblock.js';
import { Errno, InvariantError } from '../../../engine/sched/errors.js';
import { type ReadBlocks, ReadMemo } from './read-memo.js';
import { BLOCK_BYTES, SECTORS_PER_BLOCK, type SectorImage, type SectorStore } from './sectors.js';

const BLOCK_WORDS = BLOCK_BYTES / 4;

/** An inode that a name leads to. */
export interface FoundInode {
  readonly ino: number;
  readonly kind: 'file' | 'folder' | 'link';
  readonly sizeBytes: number;
  /** Data in the inode (a file), or where a symbolic link points; else null. */
  readonly inline: Uint8Array | null;
  /** Blocks of the volume by page of the file; 0: a hole. */
  readonly blocks: readonly number[];
}

/** Every name from the root on ("a/b"), which itself is ''. */
export type FoundTree = ReadonlyMap<string, FoundInode>;

/** What a mount finds; `problem` says why there is nothing to find. */
export type Found =
  | { readonly problem: null; readonly tree: FoundTree; readonly orphans: number }
  | { readonly problem: string };

/** What a replay writes home. */
type Replay =
  | { readonly problem: null; readonly home: readonly { block: number; sectors: Int32Array }[] }
  | { readonly problem: string };

export class Recoverer {
  private readonly replays: ReadMemo<Replay>;
  private readonly finds: ReadMemo<Found>;

  /** @param sizeBytes of the disk */
  constructor(
    private readonly store: SectorStore,
    private readonly sizeBytes: number,
  ) {
    this.replays = new ReadMemo((read) => this.replay(read));
    this.finds = new ReadMemo((read) => findIn(read, sizeBytes));
  }

  /** How often a journal was replayed and a volume checked; the other times the result was known. */
  get runs(): { readonly replays: number; readonly checks: number } {
    return { replays: this.replays.runs, checks: this.finds.runs };
  }

  /**
   * Replays the journal into the image.
   * @param changed is told every sector before it changes
   * @returns what is wrong, or null
   */
  replayInto(image: SectorImage, changed: (sector: number) => void): string | null {
    const replay = this.replays.of(image);
    if (replay.problem !== null) return replay.problem;
    for (const { block, sectors } of replay.home) {
      for (let i = 0; i < SECTORS_PER_BLOCK; i++) {
        changed(block * SECTORS_PER_BLOCK + i);
        image.set(block * SECTORS_PER_BLOCK + i, sectors[i]);
      }
    }
    return null;
  }

  /** What is on an image whose journal was replayed. */
  find(image: SectorImage): Found {
    return this.finds.of(image);
  }

  private replay(read: ReadBlocks): Replay {
    const { store } = this;
    const block = new Int32Array(BLOCK_WORDS);
    const home: { block: number; sectors: Int32Array }[] = [];
    try {
      read(0, 1, block);
      const sb = decodeSuperblock(block, this.sizeBytes);
      const io: JournalIo = {
        pageWords: BLOCK_WORDS,
        *read(at, count, into) {
          read(at, count, into);
        },
        *write(at, words) {
          const bytes = new Uint8Array(words.buffer, words.byteOffset, BLOCK_BYTES);
          home.push({ block: at, sectors: store.idsOf(bytes) });
        },
        *flush() {
          // Everything is written at once here.
        },
      };
      const recovery = recoverJournal(io, sb);
      if (recovery.next().done !== true)
        throw new InvariantError('recovery in memory waits for nobody');
      return { problem: null, home };
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      return { problem: `mount: ${error.message}` };
    }
  }
}

/** A volume under check that is read through a function. */
class CheckedImage extends Checked {
  constructor(
    private readonly readBlocks: ReadBlocks,
    sb: Superblock,
    sizeBytes: number,
  ) {
    super({ fd: -1, sizeBytes, name: 'image', close: () => undefined }, sb, false);
  }

  override readRun(block: number, count: number): Int32Array {
    const words = new Int32Array(count * BLOCK_WORDS);
    this.readBlocks(block, count, words);
    return words;
  }
}

function findIn(read: ReadBlocks, sizeBytes: number): Found {
  const block = new Int32Array(BLOCK_WORDS);
  read(0, 1, block);
  let sb: Superblock;
  try {
    sb = decodeSuperblock(block, sizeBytes);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    return { problem: `after recovery: ${error.message}` };
  }
  const c = new CheckedImage(read, sb, sizeBytes);
  checkInodes(c);
  checkNames(c);
  checkMaps(c);
  if (c.count > 0) {
    const first = c.damages.slice(0, 3).map(({ code, message }) => `${code}: ${message}`);
    return { problem: `fsck: ${first.join('; ')}` };
  }
  let orphans = 0;
  for (const ino of c.inodes.keys()) if (isOrphan(c, ino)) orphans++;
  return { problem: null, tree: treeOf(c), orphans };
}

function treeOf(c: Checked): FoundTree {
  const tree = new Map<string, FoundInode>();
  const inodes = new Map<number, FoundInode>();
  const walk = (path: string, ino: number): void => {
    const found = inodes.get(ino) ?? readInode(c, ino);
    inodes.set(ino, found);
    tree.set(path, found);
    for (const block of c.inodes.get(ino)?.dirBlocks.values() ?? []) {
      for (const entry of listBlock(c.read(block), 0))
        walk(path === '' ? entry.name : `${path}/${entry.name}`, entry.ino);
    }
  };
  walk('', ROOT_INO);
  return tree;
}

function readInode(c: Checked, ino: number): FoundInode {
  const block = c.read(c.sb.inodeTableStart + Math.floor(ino / INODES_PER_BLOCK));
  const words = block.slice(inodeOffset(ino), inodeOffset(ino) + INODE_WORDS);
  const known = c.inodes.get(ino);
  if (known === undefined) throw new InvariantError(`inode ${ino} has a name, but is not in use`);
  const type = known.mode & S_IF.mask;
  const kind = type === S_IF.dir ? 'folder' : type === S_IF.link ? 'link' : 'file';
  const sizeBytes = known.size;
  if ((words[DI.flags] & DIFLAG.inline) !== 0) {
    const bytes = new Uint8Array(words.buffer, DI.root * 4, sizeBytes).slice();
    return { ino, kind, sizeBytes, inline: bytes, blocks: [] };
  }
  const blocks: number[] = [];
  addExtents(c, blocks, words, DI.root, words[DI.count], words[DI.depth]);
  for (let i = 0; i < blocks.length; i++) blocks[i] ??= 0;
  if (kind !== 'link') return { ino, kind, sizeBytes, inline: null, blocks };
  const target = new Uint8Array(c.read(blocks[0]).buffer, 0, sizeBytes);
  return { ino, kind, sizeBytes, inline: target, blocks };
}

/** Fills in blocks of a file from a sound extent tree. */
function addExtents(
  c: Checked,
  blocks: number[],
  words: Int32Array,
  base: number,
  count: number,
  depth: number,
): void {
  for (let i = 0; i < count; i++) {
    const [logical, start, length] = words.subarray(base + i * EXTENT_WORDS);
    if (depth > 0) {
      const child = c.read(start);
      addExtents(c, blocks, child, EB.entries, child[EB.count], depth - 1);
    } else {
      for (let j = 0; j < length; j++) blocks[logical + j] = start + j;
    }
  }
}
