// The smallest file system that several threads can share: file pages live in one block of shared
// memory, and nothing ever fails. For tests of mm, dma and syscall.

import type { Machine } from '../../engine/machine.js';
import { loadLong } from '../../engine/memory/long.js';
import type { FileSystem, SyncMode } from '../../engine/mm/address-space.js';
import { putFolio } from '../../engine/mm/alloc.js';
import { zeroTail } from '../../engine/mm/content.js';
import { endWriteback } from '../../engine/mm/dirty.js';
import { unlockFolio, waitOnWriteback } from '../../engine/mm/folio.js';
import { cacheLookup, MARK, type Mark, nextMarked, setMark } from '../../engine/mm/pagecache.js';
import {
  attachBuffers,
  detachBuffers,
  prepareWriteback,
  type ReadyFolio,
} from '../../engine/mm/writeback.js';
import { spinLock, spinUnlock } from '../../engine/sched/lock.js';
import type { Op, Task } from '../../engine/sched/op.js';

export interface MemoryStore {
  readonly bytes: SharedArrayBuffer;
  readonly pagesPerFile: number;
}

export function memoryStore(files: number, pagesPerFile: number, pageBytes: number): MemoryStore {
  return { bytes: new SharedArrayBuffer(files * pagesPerFile * pageBytes), pagesPerFile };
}

export class MemoryFs implements FileSystem {
  readonly dax = null;
  readonly stableWrites = true;
  readonly bytes: Uint8Array;

  constructor(
    private readonly m: Machine,
    private readonly store: MemoryStore,
  ) {
    this.bytes = new Uint8Array(store.bytes);
  }

  /** The page of the file as the store has it. */
  block(inode: number, index: number): Uint8Array {
    const { pageBytes } = this.m.geometry;
    const at = (inode * this.store.pagesPerFile + index) * pageBytes;
    return this.bytes.subarray(at, at + pageBytes);
  }

  needsBeforeMkwrite(): boolean {
    return false;
  }

  *beforeMkwrite(): Op<void> {
    // No inline data.
  }

  *readFolio(_task: Task, inode: number, index: number, pfn: number): Op<void> {
    const { frames, state, geometry } = this.m;
    frames.segment(pfn).set(this.block(inode, index), frames.offset(pfn));
    const within = loadLong(state.iSize, inode) - index * geometry.pageBytes;
    if (within < geometry.pageBytes) yield* zeroTail(this.m, pfn, Math.max(0, within));
  }

  *prepareWrite(_task: Task, _inode: number, _index: number, pfn: number): Op<void> {
    yield* attachBuffers(this.m, pfn);
  }

  *dirtyPages(): Op<void> {
    // The flusher sees the inode's state bit.
  }

  *grabInode(_task: Task, inode: number): Op<boolean> {
    const { iCount } = this.m.state;
    for (;;) {
      const count = Atomics.load(iCount, inode);
      if (count === 0) return false;
      if (Atomics.compareExchange(iCount, inode, count, count + 1) === count) return true;
    }
  }

  *putInode(_task: Task, inode: number): Op<void> {
    Atomics.sub(this.m.state.iCount, inode, 1);
  }

  *background(): Op<void> {
    // No metadata.
  }

  *releaseFolio(task: Task, _inode: number, pfn: number): Op<boolean> {
    yield* detachBuffers(task, this.m, pfn);
    return true;
  }

  *invalidateFolio(task: Task, _inode: number, pfn: number): Op<void> {
    yield* detachBuffers(task, this.m, pfn);
  }

  *writepages(task: Task, inode: number, mode: SyncMode, from: number, to: number): Op<number> {
    const { m } = this;
    if (mode === 'all') yield* this.tag(task, inode, from, to);
    const ready: ReadyFolio = { frame: 0, pinned: false };
    let written = 0;
    for (let index = from; ; index++) {
      const mark = mode === 'all' ? MARK.towrite : MARK.dirty;
      const pfn = yield* this.next(task, inode, index, to, mark);
      if (pfn === 0) break;
      index = m.state.index[pfn];
      if (yield* prepareWriteback(task, m, inode, pfn, mode, ready)) {
        const { frame } = ready;
        const at = m.frames.offset(frame);
        this.block(inode, index).set(
          m.frames.segment(frame).subarray(at, at + m.geometry.pageBytes),
        );
        unlockFolio(task, m, pfn);
        yield* endWriteback(task, m, inode, pfn);
        if (frame !== pfn) yield* putFolio(task, m, frame);
        written++;
      }
      yield* putFolio(task, m, pfn);
    }
    if (mode === 'all') yield* this.waitAll(task, inode, from, to);
    return written;
  }

  private *tag(task: Task, inode: number, from: number, to: number): Op<void> {
    const { m } = this;
    yield* spinLock(task, m.iPages, inode);
    for (;;) {
      const index = nextMarked(m, inode, from, to, MARK.dirty);
      if (index < 0) break;
      setMark(m, inode, index, MARK.towrite);
      from = index + 1;
    }
    spinUnlock(task, m.iPages, inode);
  }

  private *waitAll(task: Task, inode: number, from: number, to: number): Op<void> {
    for (;;) {
      const pfn = yield* this.next(task, inode, from, to, MARK.writeback);
      if (pfn === 0) return;
      from = this.m.state.index[pfn] + 1;
      yield* waitOnWriteback(task, this.m, pfn);
      yield* putFolio(task, this.m, pfn);
    }
  }

  private *next(task: Task, inode: number, from: number, to: number, mark: Mark): Op<number> {
    const { m } = this;
    yield* spinLock(task, m.iPages, inode);
    const index = nextMarked(m, inode, from, to, mark);
    const pfn = index < 0 ? 0 : cacheLookup(m, inode, index);
    if (pfn !== 0) Atomics.add(m.state.refcount, pfn, 1);
    spinUnlock(task, m.iPages, inode);
    return pfn;
  }
}
