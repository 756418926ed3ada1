// A tiny ext4 with inline data: what faults, mmap(2) and writeback do with a file that lies in its
// inode, under each rule on where it is converted (kernel.md 4.13, and section 1, H4). Files have one
// page at most. write(2) is in inline-write.ts, the disk in inline-disk.ts.

import type { Machine } from '../machine.js';
import { add, load, store } from '../memory/word.js';
import type { MkwriteRetry, SyncMode } from '../mm/address-space.js';
import { putFolio } from '../mm/alloc.js';
import { copyWords, loadWords, storeWords, zeroTail } from '../mm/content.js';
import { endWriteback } from '../mm/dirty.js';
import { findFolio } from '../mm/filemap.js';
import { PG, unlockFolio } from '../mm/folio.js';
import { type MapRequest, mmap } from '../mm/vma.js';
import { attachBuffers, prepareWriteback, type ReadyFolio } from '../mm/writeback.js';
import { Errno, KernelBug } from '../sched/errors.js';
import { downRead, downWrite, upRead, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { BareFs } from './bare.js';
import { InlineDisk, type InlineOptions } from './inline-disk.js';

export class InlineStore extends BareFs {
  readonly disk: InlineDisk;
  /** P29: page_mkwrite drops mmap_lock to convert. */
  override readonly mkwriteRetry: MkwriteRetry | null;

  constructor(
    private readonly m: Machine,
    options: InlineOptions,
  ) {
    super();
    this.disk = new InlineDisk(m, options);
    const rule = m.profile.inlineConversion;
    this.mkwriteRetry =
      rule === 'mkwrite-retry' || rule === 'mkwrite-retry-as-posted'
        ? new ConvertUnlocked(m, this, rule === 'mkwrite-retry')
        : null;
  }

  nameOfExtra(word: number): string | null {
    return this.disk.nameOfExtra(word);
  }

  valueOfExtra(word: number, value: number): string | null {
    return this.disk.valueOfExtra(word, value);
  }

  // Conversion: who does it, and under which locks

  override needsBeforeMkwrite(_inode: number): boolean {
    const rule = this.m.profile.inlineConversion;
    return rule === 'mkwrite' || rule === 'mkwrite-i_rwsem';
  }

  override *beforeMkwrite(task: Task, inode: number): Op<void> {
    if (this.m.profile.inlineConversion === 'mkwrite') yield* this.disk.convert(task, inode);
    else yield* this.convertUnderInodeLock(task, inode);
  }

  /** mmap(2) of a file, shared and for writing: the rules differ in whether it converts. @throws as mmap(); Errno ENOSPC */
  *mmapFile(task: Task, mm: number, request: MapRequest): Op<number> {
    const rule = this.m.profile.inlineConversion;
    if (rule === 'pre-mmap') yield* this.convertUnderInodeLock(task, request.inode);
    if (rule !== 'mmap-i_rwsem') return yield* mmap(task, this.m, mm, request);
    const fileMmap = (): Op<void> => this.convertUnderInodeLock(task, request.inode);
    return yield* mmap(task, this.m, mm, { ...request, fileMmap });
  }

  *convertUnderInodeLock(task: Task, inode: number): Op<void> {
    yield* downWrite(task, this.m.iRwsem, inode);
    try {
      yield* this.disk.convert(task, inode);
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, this.m.iRwsem, inode);
    }
  }

  // Pages

  *readFolio(task: Task, inode: number, _index: number, pfn: number): Op<void> {
    const { frames, state, geometry } = this.m;
    yield* zeroTail(this.m, pfn, 0);
    yield* downRead(task, this.disk.xattrSem, inode);
    if (lab?.point()) yield STEP;
    const data = this.disk.hasInlineData(inode) ? this.disk.loadInline(inode) : null;
    if (lab?.point()) yield STEP;
    upRead(task, this.disk.xattrSem, inode);
    const to = frames.wordSegment(pfn);
    const at = frames.wordOffset(pfn);
    if (data !== null) yield* storeWords(to, at, data);
    else {
      const words = geometry.pageBytes >>> 2;
      yield* copyWords(to, at, state.extra, this.disk.payload(inode), words);
    }
  }

  /** Delayed allocation: a block is reserved, whatever the file is. */
  *prepareWrite(task: Task, inode: number, _index: number, pfn: number): Op<void> {
    yield* this.disk.reserveBlock(task, inode);
    yield* attachBuffers(this.m, pfn);
  }

  /** ext4_writepages(): looks whether the file is inline once, at its top, without i_rwsem. */
  *writepages(task: Task, inode: number, mode: SyncMode): Op<number> {
    const { m, disk } = this;
    const rule = m.profile.inlineConversion;
    const pfn = yield* findFolio(task, m, inode, 0);
    if (pfn === 0) return 0;
    try {
      if (lab?.point()) yield STEP;
      if ((load(m.state.flags, pfn) & PG.dirty) === 0) return 0; // mapping_tagged(): nothing to do
      if (rule === 'writepages-i_rwsem') yield* this.convertUnderInodeLock(task, inode);
      if (lab?.point()) yield STEP;
      if (disk.hasInlineData(inode)) {
        if (lab?.point()) yield STEP;
        const may = disk.mayHaveInlineData(inode);
        if (may && rule === 'writepages-copy')
          return yield* this.copyToInode(task, inode, pfn, mode);
        if (may) {
          throw new KernelBug(
            `BUG: ext4_writepages: file ${String(inode)} is dirty and may have inline data ` +
              '(BUG_ON(EXT4_STATE_MAY_INLINE_DATA))',
          );
        }
        yield* disk.destroy(task, inode);
      }
      return yield* this.writeToBlock(task, inode, pfn, mode);
    } finally {
      yield* putFolio(task, m, pfn);
    }
  }

  private *writeToBlock(task: Task, inode: number, pfn: number, mode: SyncMode): Op<number> {
    const { m, disk } = this;
    if (!(yield* disk.mapBlock(task, inode))) {
      throw new Errno('ENOSPC', `no block for the dirty page of file ${String(inode)}`);
    }
    const ready: ReadyFolio = { frame: 0, pinned: false };
    if (!(yield* prepareWriteback(task, m, inode, pfn, mode, ready))) return 0;
    const from = m.frames.wordOffset(ready.frame);
    const words = m.geometry.pageBytes >>> 2;
    const segment = m.frames.wordSegment(ready.frame);
    yield* copyWords(m.state.extra, disk.payload(inode), segment, from, words);
    yield* this.finish(task, inode, pfn, ready);
    return 1;
  }

  /** P27: the page goes back into the inode, as far as it fits. */
  private *copyToInode(task: Task, inode: number, pfn: number, mode: SyncMode): Op<number> {
    const { m, disk } = this;
    const ready: ReadyFolio = { frame: 0, pinned: false };
    if (!(yield* prepareWriteback(task, m, inode, pfn, mode, ready))) return 0;
    yield* downWrite(task, disk.xattrSem, inode);
    yield* disk.expectInlineData(inode, 'ext4_writepages');
    const data = disk.loadInline(inode);
    yield* loadWords(data, m.frames.wordSegment(ready.frame), m.frames.wordOffset(ready.frame));
    disk.storeInline(inode, 0, data);
    if (lab?.point()) yield STEP;
    upWrite(task, disk.xattrSem, inode);
    yield* this.finish(task, inode, pfn, ready);
    return 1;
  }

  private *finish(task: Task, inode: number, pfn: number, ready: ReadyFolio): Op<void> {
    if (lab?.point()) yield STEP;
    unlockFolio(task, this.m, pfn);
    yield* endWriteback(task, this.m, inode, pfn);
    if (ready.frame !== pfn) yield* putFolio(task, this.m, ready.frame);
  }

  // The life of an inode

  override *grabInode(_task: Task, inode: number): Op<boolean> {
    if (lab?.point()) yield STEP;
    add(this.m.state.iCount, inode, 1);
    return true;
  }

  /** iput(): the last one frees the inode. */
  override *putInode(_task: Task, inode: number): Op<void> {
    if (lab?.point()) yield STEP;
    if (add(this.m.state.iCount, inode, -1) !== 1) return;
    if (lab?.point()) yield STEP;
    store(this.m.state.ino, inode, 0);
  }

  /** Touches the inode, as KASAN sees it. */
  *touchInode(inode: number): Op<void> {
    if (lab?.point()) yield STEP;
    if (load(this.m.state.ino, inode) !== 0) return;
    throw new KernelBug(
      `BUG: KASAN: use-after-free: inode in slot ${String(inode)} was freed`,
      'H4-i',
    );
  }
}

/** P29: convert without mmap_lock, then let the fault be taken again. */
class ConvertUnlocked implements MkwriteRetry {
  readonly heedsNowait: boolean;

  /** @param mended holds the inode, keeps the error and heeds NOWAIT; as posted it does none of them (H4-i) */
  constructor(
    private readonly m: Machine,
    private readonly fs: InlineStore,
    private readonly mended: boolean,
  ) {
    this.heedsNowait = mended;
  }

  *needed(task: Task, inode: number): Op<boolean> {
    const { disk } = this.fs;
    yield* downRead(task, disk.xattrSem, inode);
    if (lab?.point()) yield STEP;
    const isInline = disk.hasInlineData(inode);
    if (lab?.point()) yield STEP;
    upRead(task, disk.xattrSem, inode);
    return isInline;
  }

  *hold(task: Task, inode: number): Op<void> {
    if (this.mended) yield* this.fs.grabInode(task, inode);
  }

  *prepare(task: Task, inode: number): Op<void> {
    yield* this.fs.touchInode(inode);
    yield* downWrite(task, this.m.iRwsem, inode);
    try {
      yield* this.fs.disk.convert(task, inode);
    } catch (error) {
      if (this.mended || !(error instanceof Errno)) throw error;
    } finally {
      yield* this.fs.touchInode(inode);
      if (lab?.point()) yield STEP;
      upWrite(task, this.m.iRwsem, inode);
      if (this.mended) yield* this.fs.putInode(task, inode);
    }
  }
}
