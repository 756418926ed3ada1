// The inodes and blocks of the tiny file system with inline data: where a small file lies, and how it
// moves from its inode to a block (kernel.md 4.13; Linux: fs/ext4/inline.c).
//
//   extra:  xattr_sem of each file | free blocks | per file: flags, block, inline words, block's words
//
// The two flags are changed one after the other, as ext4 has them in different words, and are tested
// without a lock. xattr_sem covers the inline words; i_data_sem (that of file 0, since all share the
// free blocks) covers which block a file has.

import type { Machine } from '../machine.js';
import { and, load, or, read, write } from '../memory/word.js';
import { storeWords } from '../mm/content.js';
import { Errno, KernelBug } from '../sched/errors.js';
import { downWrite, type Locks, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';

export interface InlineOptions {
  readonly files: number;
  readonly freeBlocks: number;
  /** The bitmap of free blocks is corrupt: reservations succeed, allocations fail (the syzbot image of H4-a). */
  readonly corruptBitmap?: boolean;
}

/** The flag on the disk (EXT4_INODE_INLINE_DATA), and the one in memory (EXT4_STATE_MAY_INLINE_DATA). */
const INLINE_DATA = 1;
const MAY_INLINE_DATA = 2;

/** What a file has of a block. */
const BLOCK = { none: 0, reserved: 1, mapped: 2 } as const;

/** Of whose i_data_sem covers all blocks. */
const ALLOC = 0;

const HEADER = 2;

/** Words of a page that fit into an inode: half of them, so that a file can outgrow it within its first page. */
export function inlineWords(pageBytes: number): number {
  return pageBytes >>> 3;
}

function wordsPerFile(pageBytes: number): number {
  return HEADER + inlineWords(pageBytes) + (pageBytes >>> 2);
}

/** Words of `extra` that `files` files of one page take. */
export function inlineStoreWords(files: number, pageBytes: number): number {
  return files + 1 + files * wordsPerFile(pageBytes);
}

export class InlineDisk {
  readonly xattrSem: Locks;
  private readonly words: Int32Array;
  private readonly inlineWords: number;

  constructor(
    private readonly m: Machine,
    private readonly options: InlineOptions,
  ) {
    this.words = m.state.extra;
    this.inlineWords = inlineWords(m.geometry.pageBytes);
    this.xattrSem = m.locks('xattr_sem', this.words.subarray(0, options.files));
  }

  /** What a value of the flags or of the block of a file means. */
  valueOfExtra(word: number, value: number): string | null {
    const inode = this.inodeOf(word);
    if (inode < 0) return null;
    if (word === this.flags(inode)) {
      const set = [
        ...((value & INLINE_DATA) === 0 ? [] : ['INLINE_DATA']),
        ...((value & MAY_INLINE_DATA) === 0 ? [] : ['MAY_INLINE_DATA']),
      ];
      return set.join('|') || 'none';
    }
    if (word !== this.block(inode)) return null;
    return Object.entries(BLOCK).find(([, state]) => state === value)?.[0] ?? null;
  }

  /** The file that a word of `extra` belongs to; -1 if to none. */
  private inodeOf(word: number): number {
    const { files } = this.options;
    const inode = Math.floor((word - files - 1) / wordsPerFile(this.m.geometry.pageBytes));
    return inode < files ? inode : -1;
  }

  /** What a word of `extra` is, for diagrams. */
  nameOfExtra(word: number): string | null {
    const { files } = this.options;
    if (word < files) return `xattr_sem of inode ${String(word)}`;
    if (word === files) return 'free blocks';
    const inode = this.inodeOf(word);
    if (inode < 0) return null;
    const of = `of inode ${String(inode)}`;
    const at = word - this.flags(inode);
    if (at < HEADER) return at === 0 ? `flags ${of}` : `block ${of}`;
    const inline = word - this.inline(inode);
    if (inline < this.inlineWords) return `inline word ${String(inline)} ${of}`;
    return `disk block word ${String(word - this.payload(inode))} ${of}`;
  }

  /** Makes file `inode`, with `data` in it or in a block. Before the machine runs. */
  format(inode: number, data: Int32Array, isInline: boolean): void {
    this.words[this.options.files] = this.options.freeBlocks;
    this.words[this.flags(inode)] = isInline ? INLINE_DATA | MAY_INLINE_DATA : 0;
    this.words[this.block(inode)] = isInline ? BLOCK.none : BLOCK.mapped;
    this.words.set(data, isInline ? this.inline(inode) : this.payload(inode));
  }

  /** The file's word as the disk has it, in the inode or in its block. At rest. */
  wordOnDisk(inode: number, word: number): number {
    if ((read(this.words, this.flags(inode)) & INLINE_DATA) === 0) {
      return read(this.words, this.payload(inode) + word);
    }
    return word < this.inlineWords ? read(this.words, this.inline(inode) + word) : 0;
  }

  /** ext4_has_inline_data(): stable only under xattr_sem. One step. */
  hasInlineData(inode: number): boolean {
    return (load(this.words, this.flags(inode)) & INLINE_DATA) !== 0;
  }

  /** EXT4_STATE_MAY_INLINE_DATA: what write_begin and write_end go by. One step. */
  mayHaveInlineData(inode: number): boolean {
    return (load(this.words, this.flags(inode)) & MAY_INLINE_DATA) !== 0;
  }

  /** One step. */
  clearMayHaveInlineData(inode: number): void {
    and(this.words, this.flags(inode), ~MAY_INLINE_DATA);
  }

  /** Can a file with so many words stay in its inode? */
  fits(words: number): boolean {
    return words <= this.inlineWords;
  }

  /**
   * ext4_convert_inline_data(): moves an inline file to a block; on failure it is as it was, but for
   * a while it was not. (ext4 writes back first what has outgrown its inode already: no hazard gets there.)
   * @throws Errno ENOSPC
   */
  *convert(task: Task, inode: number): Op<void> {
    if (lab?.point()) yield STEP;
    if (!this.hasInlineData(inode)) return;
    yield* downWrite(task, this.xattrSem, inode);
    try {
      if (lab?.point()) yield STEP;
      if (!this.hasInlineData(inode)) return;
      const data = this.loadInline(inode);
      yield* this.clear(inode);
      if (yield* this.mapBlock(task, inode)) {
        yield* storeWords(this.words, this.payload(inode), data);
      } else {
        yield* this.restore(inode, data);
        throw new Errno('ENOSPC', `no block for the inline data of file ${String(inode)}`);
      }
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, this.xattrSem, inode);
    }
  }

  /** ext4_destroy_inline_data(): the page cache has the data by now. */
  *destroy(task: Task, inode: number): Op<void> {
    yield* downWrite(task, this.xattrSem, inode);
    if (lab?.point()) yield STEP;
    if (this.hasInlineData(inode)) yield* this.clear(inode);
    if (lab?.point()) yield STEP;
    upWrite(task, this.xattrSem, inode);
  }

  /** Zeroes the inline data and clears both flags. The caller holds xattr_sem alone. */
  *clear(inode: number): Op<void> {
    for (let i = 0; i < this.inlineWords; i++) write(this.words, this.inline(inode) + i, 0);
    if (lab?.point()) yield STEP;
    and(this.words, this.flags(inode), ~INLINE_DATA);
    if (lab?.point()) yield STEP;
    this.clearMayHaveInlineData(inode);
  }

  /** ext4_restore_inline_data(). The caller holds xattr_sem alone. */
  private *restore(inode: number, data: Int32Array): Op<void> {
    if (lab?.point()) yield STEP;
    or(this.words, this.flags(inode), INLINE_DATA);
    this.storeInline(inode, 0, data);
    if (lab?.point()) yield STEP;
    or(this.words, this.flags(inode), MAY_INLINE_DATA);
  }

  /** The inline words. The caller holds xattr_sem. */
  loadInline(inode: number): Int32Array {
    return Int32Array.from({ length: this.inlineWords }, (_, i) =>
      read(this.words, this.inline(inode) + i),
    );
  }

  /** Replaces inline words. The caller holds xattr_sem alone. */
  storeInline(inode: number, word: number, data: Int32Array): void {
    for (let i = 0; i < data.length; i++) {
      write(this.words, this.inline(inode) + word + i, data[i]);
    }
  }

  /** BUG_ON(!ext4_has_inline_data()): whoever is about to store to the inode. The caller holds xattr_sem alone. */
  *expectInlineData(inode: number, where: string): Op<void> {
    if (lab?.point()) yield STEP;
    if (this.hasInlineData(inode)) return;
    throw new KernelBug(
      `BUG: ${where}: file ${String(inode)} has no inline data any more (BUG_ON(!ext4_has_inline_data))`,
      'H4-h',
    );
  }

  /** Reserves the block of a delayed allocation (ext4_da_get_block_prep). @throws Errno ENOSPC */
  *reserveBlock(task: Task, inode: number): Op<void> {
    yield* downWrite(task, this.m.iDataSem, ALLOC);
    const done = read(this.words, this.block(inode)) !== BLOCK.none || this.takeFree();
    if (done && read(this.words, this.block(inode)) === BLOCK.none) {
      write(this.words, this.block(inode), BLOCK.reserved);
    }
    if (lab?.point()) yield STEP;
    upWrite(task, this.m.iDataSem, ALLOC);
    if (!done) throw new Errno('ENOSPC', `no block to reserve for file ${String(inode)}`);
  }

  /** Allocates the block, or uses what was reserved for it (ext4_map_blocks). False: there is none. */
  *mapBlock(task: Task, inode: number): Op<boolean> {
    yield* downWrite(task, this.m.iDataSem, ALLOC);
    const had = read(this.words, this.block(inode));
    const done =
      had === BLOCK.mapped ||
      (this.options.corruptBitmap !== true && (had === BLOCK.reserved || this.takeFree()));
    if (done && had !== BLOCK.mapped) write(this.words, this.block(inode), BLOCK.mapped);
    if (lab?.point()) yield STEP;
    upWrite(task, this.m.iDataSem, ALLOC);
    return done;
  }

  private takeFree(): boolean {
    const free = read(this.words, this.options.files);
    if (free === 0) return false;
    write(this.words, this.options.files, free - 1);
    return true;
  }

  private flags(inode: number): number {
    return this.options.files + 1 + inode * wordsPerFile(this.m.geometry.pageBytes);
  }

  private block(inode: number): number {
    return this.flags(inode) + 1;
  }

  private inline(inode: number): number {
    return this.flags(inode) + HEADER;
  }

  /** Where the words of the file's block are in `extra`. */
  payload(inode: number): number {
    return this.inline(inode) + this.inlineWords;
  }
}
