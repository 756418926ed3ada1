// H3-b: the window of H3-a, with a truncate in it.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { storeLong } from '../../engine/memory/long.js';
import { loadUser } from '../../engine/mm/access.js';
import { PAGE_INDEX_MAX } from '../../engine/mm/address-space.js';
import { PTE } from '../../engine/mm/pte.js';
import { truncatePages, unmapRange } from '../../engine/mm/truncate.js';
import { downWrite, upWrite } from '../../engine/sched/lock.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { ReserveStore, reserveStoreWords } from '../../engine/tinyfs/reserve-store.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  cachedPage,
  FILE,
  fsOf,
  geometryOf,
  MM,
  mapFile,
  storeWord,
  unlessRefused,
} from './mapped-file.js';

/** Blocks of the disk: the page's, and one for its next version. */
const BLOCKS = 2;

/** A CPU stores to a clean mapped page while the file is truncated. */
export const H3B: Hazard = {
  id: 'H3-b',
  title: 'the page is truncated between page_mkwrite and the fault that dirties it',
  source: 'kernel.md H3-b; Piggin and Zijlstra, set_page_dirty races, February 2009',
  story:
    'As in H3-a a program stores to a clean page of a mapped file, and page_mkwrite has reserved a ' +
    'block and attached the file system’s state to the page. Before the fault has made the page ' +
    'dirty the file is truncated: the page leaves it, the block and the state go. The fault then ' +
    'dirties a page that is no file’s, in the middle of its removal. With the page locked from ' +
    'page_mkwrite to the end of the fault (2.6.30) the truncate comes before or after.',
  mayGoWrong: ['warn', 'leak', 'lost-write'],
  program: (_profile, pageBytes) => h3b(pageBytes),
};

export function h3b(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H3-b',
    geometry: geometryOf(pageBytes, 2, reserveStoreWords(1, pageBytes)),
    attach: (m) => {
      m.fs = new ReserveStore(m, FILE, 1, false);
    },
    setUp: function* (task, m) {
      yield* mapFile(task, m);
      fsOf(m, ReserveStore).format(BLOCKS - 1, 1);
      yield* loadUser(task, m, MM, 0, 0, new Uint8Array(4)); // mapped, read-only
    },
    actors: [
      { name: 'cpu', run: (task, m) => unlessRefused(storeWord(task, m, 0, 2)) },
      { name: 'truncate', run: truncate },
    ],
    verify: (m) => [...nothingIsLeft(m)],
  };
}

/** ftruncate(2) to 0, in the order of kernel.md 4.9. */
function* truncate(task: Task, m: Machine): Op<void> {
  yield* downWrite(task, m.invalidateLock, FILE);
  if (lab?.point()) yield STEP;
  storeLong(m.state.iSize, FILE, 0);
  yield* unmapRange(task, m, FILE, 0, PAGE_INDEX_MAX);
  yield* truncatePages(task, m, FILE, 0, PAGE_INDEX_MAX);
  yield* unmapRange(task, m, FILE, 0, PAGE_INDEX_MAX);
  yield* fsOf(m, ReserveStore).freeBlock(0);
  if (lab?.point()) yield STEP;
  upWrite(task, m.invalidateLock, FILE);
}

/** An empty file has no page, no block, and no mapping of a page that once was its. */
function* nothingIsLeft(m: Machine): Generator<Finding> {
  const free = fsOf(m, ReserveStore).freeBlocks();
  if (cachedPage(m) !== 0 || free !== BLOCKS) {
    const message = `the file is empty, but ${String(free)} of ${String(BLOCKS)} blocks are free`;
    yield { kind: 'leak', hazard: 'H3-b', task: 'all', message };
  }
  if ((m.state.pte[0] & PTE.present) !== 0) {
    const message = 'the process has a page mapped that is not in the file: its stores go nowhere';
    yield { kind: 'lost-write', hazard: 'H3-b', task: 'all', message };
  }
}
