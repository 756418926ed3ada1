// The smallest file system that writeback and faults can stand on: one file, whose page i lives in
// block i of a memory disk, with a checksum per block sampled apart from the payload. Others extend
// it by what their hazard is about.
//
//   extra:  per page  | checksum sampled | payload words ... |
//
// All of it is covered by the folio's writeback, which one task at a time has.

import type { Machine } from '../machine.js';
import { load, read, write } from '../memory/word.js';
import type { SyncMode } from '../mm/address-space.js';
import { putFolio } from '../mm/alloc.js';
import { checksumWords, copyWords } from '../mm/content.js';
import { endWriteback } from '../mm/dirty.js';
import { findFolio } from '../mm/filemap.js';
import { PG, unlockFolio, waitOnWriteback } from '../mm/folio.js';
import { copyBack } from '../mm/private-copy.js';
import {
  attachBuffers,
  detachBuffers,
  prepareWriteback,
  type ReadyFolio,
} from '../mm/writeback.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { BareFs } from './bare.js';

const HEADER = 1;

/** Words of `extra` that a file of `pages` pages takes. */
export function pageStoreWords(pages: number, pageBytes: number): number {
  return pages * (HEADER + (pageBytes >>> 2));
}

export class PageStore extends BareFs {
  override readonly stableWrites: boolean;

  /**
   * @param inode the slot of the file
   * @param pages its length
   * @param onTorn told when the payload that reached the disk is not what the checksum was sampled
   *   of; null: there are no checksums, and pages may change while they are written
   */
  constructor(
    protected readonly m: Machine,
    protected readonly inode: number,
    protected readonly pages: number,
    private readonly onTorn: ((task: Task, index: number) => void) | null,
  ) {
    super();
    this.stableWrites = onTorn !== null;
  }

  *readFolio(_task: Task, _inode: number, index: number, pfn: number): Op<void> {
    const { frames, state } = this.m;
    const words = this.m.geometry.pageBytes >>> 2;
    yield* copyWords(
      frames.wordSegment(pfn),
      frames.wordOffset(pfn),
      state.extra,
      this.payload(index),
      words,
    );
  }

  *prepareWrite(_task: Task, _inode: number, _index: number, pfn: number): Op<void> {
    yield* attachBuffers(this.m, pfn);
  }

  /** try_to_free_buffers: not while the folio is dirty, or under writeback. */
  override *releaseFolio(task: Task, _inode: number, pfn: number): Op<boolean> {
    if (lab?.point()) yield STEP;
    if ((load(this.m.state.flags, pfn) & (PG.dirty | PG.writeback)) !== 0) return false;
    yield* detachBuffers(task, this.m, pfn);
    return true;
  }

  *writepages(task: Task, inode: number, mode: SyncMode, from: number, to: number): Op<number> {
    if (mode === 'all' && this.m.profile.longtermFilePin === 'private-copy') {
      yield* copyBack(task, this.m, inode, from, Math.min(to, this.pages - 1));
    }
    const ready: ReadyFolio = { frame: 0, pinned: false };
    let written = 0;
    for (let index = from; index <= Math.min(to, this.pages - 1); index++) {
      const pfn = yield* findFolio(task, this.m, inode, index);
      if (pfn === 0) continue;
      if (yield* prepareWriteback(task, this.m, inode, pfn, mode, ready)) {
        yield* this.writeOne(task, index, pfn, ready.frame);
        if (ready.frame !== pfn) yield* putFolio(task, this.m, ready.frame);
        written++;
      } else if (mode === 'all') {
        yield* waitOnWriteback(task, this.m, pfn); // somebody else is writing it: filemap_fdatawait
      }
      yield* putFolio(task, this.m, pfn);
    }
    return written;
  }

  nameOfExtra(word: number): string | null {
    const perPage = pageStoreWords(1, this.m.geometry.pageBytes);
    if (word >= this.pages * perPage) return null;
    const block = String(Math.floor(word / perPage));
    const at = word % perPage;
    return at < HEADER
      ? `checksum of disk block ${block}`
      : `disk block ${block} word ${String(at - HEADER)}`;
  }

  /** A word of the payload on the disk. */
  payloadWord(index: number, word: number): number {
    return read(this.m.state.extra, this.payload(index) + word);
  }

  /** Writes `frame` for a folio that is locked and under writeback, and unlocks it. */
  protected *writeOne(task: Task, index: number, pfn: number, frame: number): Op<void> {
    const { m, onTorn } = this;
    const { frames, state } = m;
    const count = m.geometry.pageBytes >>> 2;
    const at = this.payload(index) - HEADER;
    if (onTorn !== null) {
      write(
        state.extra,
        at,
        yield* checksumWords(frames.wordSegment(frame), frames.wordOffset(frame), count),
      );
    }
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn); // step 8: submitted; the transfer goes on without the lock
    const onDisk = yield* this.transfer(index, frame);
    if (onTorn !== null && onDisk !== read(state.extra, at)) onTorn(task, index);
    yield* endWriteback(task, m, this.inode, pfn);
  }

  /** The disk takes a frame as it is by now. Returns the checksum of what it got. */
  protected *transfer(index: number, frame: number): Op<number> {
    const { frames, state } = this.m;
    const count = this.m.geometry.pageBytes >>> 2;
    const source = frames.wordSegment(frame);
    const from = frames.wordOffset(frame);
    const to = this.payload(index);
    let onDisk = 1;
    for (let i = 0; i < count; i++) {
      if (lab?.point()) yield STEP;
      const value = load(source, from + i);
      write(state.extra, to + i, value);
      onDisk = (Math.imul(onDisk, 31) + value) | 0;
    }
    return onDisk;
  }

  private payload(index: number): number {
    return index * (HEADER + (this.m.geometry.pageBytes >>> 2)) + HEADER;
  }
}
