// A page store with delayed allocation that never writes over a block: each writing of a page takes
// a new block and frees the old one afterwards, so that each page that is dirtied has to reserve a
// block first. Of those there are few.
//
//   extra after the pages:  | blocks that are free and not reserved | per page: RESERVED, HAS_BLOCK |
//
// The first word belongs to nobody; those of a page are covered by its folio lock.

import type { Machine } from '../machine.js';
import { add, cas, load, peek, read, write } from '../memory/word.js';
import { endWriteback } from '../mm/dirty.js';
import { PG, unlockFolio } from '../mm/folio.js';
import { attachBuffers, detachBuffers } from '../mm/writeback.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { PageStore, pageStoreWords } from './page-store.js';

const RESERVED = 0;
const HAS_BLOCK = 1;
const WORDS_PER_PAGE = 2;

/** Words of `extra` that a file of `pages` pages takes. */
export function reserveStoreWords(pages: number, pageBytes: number): number {
  return pageStoreWords(pages, pageBytes) + 1 + pages * WORDS_PER_PAGE;
}

export class ReserveStore extends PageStore {
  private readonly free: number;

  /**
   * @param keepsBuffers does a page keep its buffers when it is clean (ext4), or has it the file
   *   system's state only while it is dirty (fsblock)?
   */
  constructor(
    m: Machine,
    inode: number,
    pages: number,
    private readonly keepsBuffers: boolean,
  ) {
    super(m, inode, pages, null);
    this.free = pageStoreWords(pages, m.geometry.pageBytes);
  }

  /** Makes the disk: `free` blocks, and the first `allocated` pages of the file on it. Before the run. */
  format(free: number, allocated: number): void {
    const { extra } = this.m.state;
    extra[this.free] = free;
    for (let index = 0; index < allocated; index++) extra[this.at(index, HAS_BLOCK)] = 1;
  }

  override nameOfExtra(word: number): string | null {
    const at = word - this.free - 1;
    if (at < 0) return at === -1 ? 'free blocks' : super.nameOfExtra(word);
    if (at >= this.pages * WORDS_PER_PAGE) return null;
    const page = String(Math.floor(at / WORDS_PER_PAGE));
    return at % WORDS_PER_PAGE === RESERVED
      ? `reserved for page ${page}`
      : `page ${page} has a block`;
  }

  /** Blocks that are free and not reserved. */
  freeBlocks(): number {
    return read(this.m.state.extra, this.free);
  }

  /** @throws Errno ENOSPC */
  override *prepareWrite(_task: Task, _inode: number, index: number, pfn: number): Op<void> {
    yield* this.reserve(index);
    yield* attachBuffers(this.m, pfn);
  }

  /**
   * Reserves a block for a page that is locked, or that nobody else touches (a stand-in for write(2)
   * to a page that is not cached).
   * @throws Errno ENOSPC
   */
  *reserve(index: number): Op<void> {
    const { extra } = this.m.state;
    const at = this.at(index, RESERVED);
    if (read(extra, at) !== 0) return;
    if (!(yield* this.takeFree())) {
      throw new Errno('ENOSPC', `no block is left for page ${String(index)}`);
    }
    write(extra, at, 1);
  }

  /** The page leaves the file: its reservation is given back. */
  override *invalidateFolio(task: Task, _inode: number, pfn: number): Op<void> {
    yield* this.giveBack(this.at(read(this.m.state.index, pfn), RESERVED));
    yield* detachBuffers(task, this.m, pfn);
  }

  /** Frees the block of a page that has left the file. */
  *freeBlock(index: number): Op<void> {
    yield* this.giveBack(this.at(index, HAS_BLOCK));
  }

  /** Adds what a word counts to the free blocks. */
  private *giveBack(at: number): Op<void> {
    const { extra } = this.m.state;
    const blocks = read(extra, at);
    write(extra, at, 0);
    if (lab?.point()) yield STEP;
    add(extra, this.free, blocks);
  }

  protected override *writeOne(task: Task, index: number, pfn: number, frame: number): Op<void> {
    const { m } = this;
    const { extra, flags } = m.state;
    const reserved = this.at(index, RESERVED);
    const hasBlock = this.at(index, HAS_BLOCK);
    if (read(extra, reserved) === 0 && !(yield* this.takeFree())) {
      yield* this.lose(task, index, pfn);
      return;
    }
    // A pinned page may be dirty again. If it is to keep a reservation, it gets the block that this
    // write frees.
    if (lab?.point()) yield STEP;
    const again = (load(flags, pfn) & PG.dirty) !== 0;
    const old = read(extra, hasBlock);
    const keeps = again && m.profile.pinnedKeepsReservation ? old : 0;
    write(extra, reserved, keeps);
    write(extra, hasBlock, 1);
    if (!again && !this.keepsBuffers) yield* detachBuffers(task, m, pfn);
    yield* super.writeOne(task, index, pfn, frame);
    if (lab?.point()) yield STEP;
    add(extra, this.free, old - keeps);
  }

  /** Nobody reserved a block for a dirty page, and none is left: what can't be written is lost. */
  private *lose(task: Task, index: number, pfn: number): Op<void> {
    this.m.report({
      kind: 'late-enospc',
      hazard: 'H1-e',
      task: task.name,
      message: `no block is left for dirty page ${String(index)}, which had no reservation: its data are lost`,
    });
    if (lab?.point()) yield STEP;
    unlockFolio(task, this.m, pfn);
    yield* endWriteback(task, this.m, this.inode, pfn);
  }

  /** Takes one of the blocks that are free, if there is one. */
  private *takeFree(): Op<boolean> {
    const { extra } = this.m.state;
    for (;;) {
      if (lab?.point()) yield STEP;
      const free = peek(extra, this.free);
      if (cas(extra, this.free, free, Math.max(0, free - 1)) === free) return free > 0;
    }
  }

  private at(index: number, word: number): number {
    return this.free + 1 + index * WORDS_PER_PAGE + word;
  }
}
