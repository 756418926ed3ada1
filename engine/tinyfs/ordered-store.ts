// A page store with a journal in ordered mode: before it commits, it writes the data blocks of the
// transaction by itself, without the folio lock, and notes that they are clean (ext3's
// journal_submit_data_buffers). Writeback then writes only blocks that are dirty still.
//
//   extra after the pages:  | lock of the buffer |

import type { Machine } from '../machine.js';
import { and } from '../memory/word.js';
import { putFolio } from '../mm/alloc.js';
import { endWriteback } from '../mm/dirty.js';
import { findFolio } from '../mm/filemap.js';
import { PG, unlockFolio } from '../mm/folio.js';
import { type Locks, mutexLock, mutexUnlock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { PageStore, pageStoreWords } from './page-store.js';

/** Words of `extra` that a file of one page takes. */
export function orderedStoreWords(pageBytes: number): number {
  return pageStoreWords(1, pageBytes) + 1;
}

export class OrderedStore extends PageStore {
  private readonly buffer: Locks;

  constructor(m: Machine, inode: number) {
    super(m, inode, 1, null);
    const at = pageStoreWords(1, m.geometry.pageBytes);
    this.buffer = m.locks('buffer', m.state.extra.subarray(at, at + 1));
  }

  override nameOfExtra(word: number): string | null {
    if (word === pageStoreWords(1, this.m.geometry.pageBytes)) return 'lock of the buffer';
    return super.nameOfExtra(word);
  }

  /** The journal commits: writes the data block, if it is dirty. */
  *commit(task: Task): Op<void> {
    const pfn = yield* findFolio(task, this.m, this.inode, 0);
    if (pfn === 0) return;
    yield* this.writeBuffer(task, 0, pfn, pfn);
    yield* putFolio(task, this.m, pfn);
  }

  protected override *writeOne(task: Task, index: number, pfn: number, frame: number): Op<void> {
    if (lab?.point()) yield STEP;
    unlockFolio(task, this.m, pfn);
    yield* this.writeBuffer(task, index, pfn, frame);
    yield* endWriteback(task, this.m, this.inode, pfn);
  }

  /** lock_buffer, test_clear_buffer_dirty, submit and wait. */
  private *writeBuffer(task: Task, index: number, pfn: number, frame: number): Op<void> {
    yield* mutexLock(task, this.buffer, 0);
    if (lab?.point()) yield STEP;
    const before = and(this.m.state.flags, pfn, ~PG.blockDirty);
    if ((before & PG.blockDirty) !== 0) yield* this.transfer(index, frame);
    if (lab?.point()) yield STEP;
    mutexUnlock(task, this.buffer, 0);
  }
}
