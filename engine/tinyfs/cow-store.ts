// A page store of a file system with snapshots: once a page's version is on the disk, write(2)
// begins a new version in a new page (mm/replace.ts).

import type { Machine } from '../machine.js';
import { store } from '../memory/word.js';
import { putFolio } from '../mm/alloc.js';
import { markDirty } from '../mm/dirty.js';
import { readFolio } from '../mm/filemap.js';
import { unlockFolio, waitStable } from '../mm/folio.js';
import { replacePage } from '../mm/replace.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { PageStore } from './page-store.js';

export class CowStore extends PageStore {
  constructor(m: Machine, inode: number, pages: number) {
    super(m, inode, pages, null);
  }

  /** write(2) of one word. The caller is the only writer. */
  *writeWord(task: Task, index: number, word: number, value: number): Op<void> {
    const { m, inode } = this;
    yield* replacePage(task, m, inode, index);
    const pfn = yield* readFolio(task, m, inode, index);
    yield* waitStable(task, m, pfn);
    yield* this.prepareWrite(task, inode, index, pfn);
    if (lab?.point()) yield STEP;
    store(m.frames.wordSegment(pfn), m.frames.wordOffset(pfn) + word, value);
    yield* markDirty(task, m, pfn);
    if (lab?.point()) yield STEP;
    unlockFolio(task, m, pfn);
    yield* putFolio(task, m, pfn);
  }
}
