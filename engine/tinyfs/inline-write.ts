// write(2) to a file that may lie in its inode, in the order of kernel.md 4.3 and 4.13: i_rwsem, user
// buffer, write_begin, copy, write_end. Begin and end each decide by a flag that they test without a
// lock whether the file is inline; the conversion of a fault changes it in between (H4-a, H4-h).

import type { Machine } from '../machine.js';
import { loadLong, storeLong } from '../memory/long.js';
import { and, load } from '../memory/word.js';
import { faultIn } from '../mm/access.js';
import { putFolio } from '../mm/alloc.js';
import { loadWords, storeWords } from '../mm/content.js';
import { markDirty } from '../mm/dirty.js';
import { readFolio } from '../mm/filemap.js';
import { PG, unlockFolio } from '../mm/folio.js';
import { PTE, pteIndex } from '../mm/pte.js';
import { KernelBug } from '../sched/errors.js';
import { downRead, downWrite, upRead, upWrite } from '../sched/lock.js';
import { lockClass } from '../sched/lockdep.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import type { InlineStore } from './inline-store.js';

/** What write(2) is called with. */
export interface WriteRequest {
  readonly inode: number;
  /** Where in the file, in words. */
  readonly word: number;
  readonly data: Int32Array;
  /** The user's page that `data` is in, if it may have to be faulted in; null: it is present. */
  readonly buffer: { readonly mm: number; readonly vpn: number } | null;
  /** An inode whose last reference reclaim drops when this write allocates memory; -1: none. */
  readonly coldInode: number;
}

/** The journal handle of a task in no-journal mode (current->journal_info): a count. */
interface Handle {
  count: number;
}

/** Where write_begin found the file to be. */
type Where = 'inode' | 'block' | 'outgrown';

/** One write(2) on its way. Belongs to its task. */
interface Write extends WriteRequest {
  readonly handle: Handle;
  where: Where;
}

/** write(2), of up to the rest of the file's page. @throws Errno ENOSPC */
export function* writeInline(
  task: Task,
  m: Machine,
  fs: InlineStore,
  request: WriteRequest,
): Op<void> {
  const { inode, buffer } = request;
  yield* downWrite(task, m.iRwsem, inode);
  try {
    if (buffer !== null) yield* faultInReadable(task, m, buffer.mm, buffer.vpn);
    yield* allocationMayReclaim(task, m, fs, request.coldInode);
    const w: Write = { ...request, handle: { count: 0 }, where: 'block' };
    const pfn = yield* writeBegin(task, m, fs, w);
    const at = m.frames.wordOffset(pfn) + w.word;
    yield* storeWords(m.frames.wordSegment(pfn), at, w.data);
    yield* writeEnd(task, m, fs, w, pfn);
  } finally {
    if (lab?.point()) yield STEP;
    upWrite(task, m.iRwsem, inode);
  }
}

/** fault_in_readable(): touches the user's buffer, which takes mmap_lock if it is not present. */
function* faultInReadable(task: Task, m: Machine, mm: number, vpn: number): Op<void> {
  if (lab?.point()) yield STEP;
  if ((load(m.state.pte, pteIndex(m, mm, vpn)) & PTE.present) !== 0) return;
  yield* faultIn(task, m, mm, vpn, false);
}

/**
 * The folio of a write is allocated with __GFP_FS, so that reclaim may enter the file system
 * (might_alloc()): here by the last iput() of an inode that is not to be cached, which is written
 * first (kernel.md 4.11).
 */
function* allocationMayReclaim(task: Task, m: Machine, fs: InlineStore, cold: number): Op<void> {
  if (cold < 0) return;
  const reclaim = lockClass('fs_reclaim');
  m.lockdep?.acquire(task, reclaim);
  yield* fs.writepages(task, cold, 'all');
  m.lockdep?.release(task, reclaim);
}

/** ext4_da_write_begin(): the folio, locked and with a reference. */
function* writeBegin(task: Task, m: Machine, fs: InlineStore, w: Write): Op<number> {
  if (lab?.point()) yield STEP;
  if (fs.disk.mayHaveInlineData(w.inode)) {
    if (fs.disk.fits(w.word + w.data.length)) {
      const pfn = yield* inlineBegin(task, m, fs, w);
      if (pfn !== 0) return pfn;
    } else {
      yield* outgrow(task, m, fs, w);
    }
  }
  const pfn = yield* readFolio(task, m, w.inode, 0);
  try {
    yield* fs.prepareWrite(task, w.inode, 0, pfn);
  } catch (error) {
    yield* unlockAndPut(task, m, pfn);
    throw error;
  }
  return pfn;
}

/** ext4_da_write_inline_data_begin(): starts a handle, which write_end stops. 0: not inline any more. */
function* inlineBegin(task: Task, m: Machine, fs: InlineStore, w: Write): Op<number> {
  w.handle.count++;
  const pfn = yield* readFolio(task, m, w.inode, 0);
  yield* downRead(task, fs.disk.xattrSem, w.inode);
  if (lab?.point()) yield STEP;
  const isInline = fs.disk.hasInlineData(w.inode);
  if (lab?.point()) yield STEP;
  upRead(task, fs.disk.xattrSem, w.inode);
  if (isInline) {
    w.where = 'inode';
    return pfn;
  }
  yield* unlockAndPut(task, m, pfn);
  stopHandle(w);
  return 0;
}

/**
 * ext4_da_convert_inline_data_to_extent(): the file outgrows its inode. Its data are in the page
 * cache, dirty, and writeback is to take them out of the inode.
 */
function* outgrow(task: Task, m: Machine, fs: InlineStore, w: Write): Op<void> {
  const { disk } = fs;
  const pfn = yield* readFolio(task, m, w.inode, 0);
  try {
    yield* fs.prepareWrite(task, w.inode, 0, pfn);
    if (m.profile.inlineGrowth === 'at-once') {
      yield* disk.destroy(task, w.inode);
      yield* markDirty(task, m, pfn);
    } else {
      yield* downRead(task, disk.xattrSem, w.inode);
      yield* markDirty(task, m, pfn);
      if (lab?.point()) yield STEP;
      disk.clearMayHaveInlineData(w.inode);
      if (lab?.point()) yield STEP;
      upRead(task, disk.xattrSem, w.inode);
    }
    w.where = 'outgrown';
  } finally {
    yield* unlockAndPut(task, m, pfn);
  }
}

/** ext4_da_write_end(): looks at the flag again. */
function* writeEnd(task: Task, m: Machine, fs: InlineStore, w: Write, pfn: number): Op<void> {
  let isInline = false;
  if (w.where !== 'outgrown') {
    if (lab?.point()) yield STEP;
    isInline = fs.disk.mayHaveInlineData(w.inode);
    if (isInline && m.profile.inlineRechecks) {
      if (lab?.point()) yield STEP;
      isInline = fs.disk.hasInlineData(w.inode);
    }
  }
  if (isInline) yield* inlineEnd(task, m, fs, w, pfn);
  else yield* blockEnd(task, m, w, pfn);
}

/** ext4_write_inline_data_end(): copies what was written into the inode; the folio stays clean. */
function* inlineEnd(task: Task, m: Machine, fs: InlineStore, w: Write, pfn: number): Op<void> {
  const { disk } = fs;
  yield* downWrite(task, disk.xattrSem, w.inode);
  yield* disk.expectInlineData(w.inode, 'ext4_write_inline_data_end');
  const data = new Int32Array(w.data.length);
  yield* loadWords(data, m.frames.wordSegment(pfn), m.frames.wordOffset(pfn) + w.word);
  disk.storeInline(w.inode, w.word, data);
  if (lab?.point()) yield STEP;
  and(m.state.flags, pfn, ~PG.dirty);
  if (lab?.point()) yield STEP;
  upWrite(task, disk.xattrSem, w.inode);
  yield* unlockAndPut(task, m, pfn);
  stopHandle(w);
}

/** ext4_da_do_write_end(): the folio's buffers become dirty, and i_size grows. */
function* blockEnd(task: Task, m: Machine, w: Write, pfn: number): Op<void> {
  if (lab?.point()) yield STEP;
  if ((load(m.state.flags, pfn) & PG.private) === 0) {
    throw new KernelBug(
      `BUG: NULL pointer dereference in ext4_da_do_write_end: the folio of file ${String(w.inode)} ` +
        'has no buffers, since write_begin found the file inline',
      'H4-h',
    );
  }
  yield* markDirty(task, m, pfn);
  const end = (w.word + w.data.length) * 4;
  if (lab?.point()) yield STEP;
  if (end > loadLong(m.state.iSize, w.inode)) {
    if (lab?.point()) yield STEP;
    storeLong(m.state.iSize, w.inode, end);
  }
  yield* unlockAndPut(task, m, pfn);
}

/** ext4_journal_stop() without a journal: ext4_put_nojournal() counts the handle down. */
function stopHandle(w: Write): void {
  if (w.handle.count === 0) {
    throw new KernelBug(
      `BUG: ext4_put_nojournal (ext4_jbd2.c): write_end of file ${String(w.inode)} stops a handle ` +
        'that write_begin, which found the file in a block, did not start',
      'H4-a',
    );
  }
  w.handle.count--;
}

function* unlockAndPut(task: Task, m: Machine, pfn: number): Op<void> {
  if (lab?.point()) yield STEP;
  unlockFolio(task, m, pfn);
  yield* putFolio(task, m, pfn);
}
