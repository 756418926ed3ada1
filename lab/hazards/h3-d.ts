// H3-d: the corruption of December 2006: dirty was noted before the data came, and not again after.

import { OrderedStore, orderedStoreWords } from '../../engine/tinyfs/ordered-store.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import { cleanIsWritten, FILE, fsOf, geometryOf, mapFile, storeWord } from './mapped-file.js';

/** A process makes the journal commit, and stores to a mapped page; the flusher cleans that page. */
export const H3D: Hazard = {
  id: 'H3-d',
  title: 'a store through a mapping is forgotten, since only its page fault was noted (2.6.19)',
  source: 'kernel.md H3-d; the shared-mmap corruption of 2.6.19, December 2006',
  story:
    'A program has a page of a file mapped, and has stored to it before: the fault marked the page ' +
    'and its block dirty, and made the mapping writable. A journal in ordered mode then writes the ' +
    'block on its own account, and notes that the block is clean; the page stays marked. The ' +
    'program stores again, without a fault. When the flusher comes, 2.6.19 clears the page’s ' +
    'mark, write-protects the mapping and asks for the page to be written: but its block is clean, ' +
    'nothing is written, and the store is gone as soon as memory is. Downloads and package ' +
    'databases were corrupted for weeks until it was found. Since then the mappings are ' +
    'write-protected first, and what was stored through them marks page and block once more.',
  mayGoWrong: ['lost-write'],
  program: (_profile, pageBytes) => h3d(pageBytes),
};

export function h3d(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H3-d',
    geometry: geometryOf(pageBytes, 2, orderedStoreWords(pageBytes)),
    attach: (m) => {
      m.fs = new OrderedStore(m, FILE);
    },
    setUp: function* (task, m) {
      yield* mapFile(task, m);
      yield* storeWord(task, m, 0, 1); // dirty, and writable
    },
    actors: [
      {
        name: 'cpu',
        run: function* (task, m) {
          yield* fsOf(m, OrderedStore).commit(task); // fsync(2) of another file
          yield* storeWord(task, m, 0, 2);
        },
      },
      {
        name: 'flusher',
        run: function* (task, m) {
          yield* m.fs.writepages(task, FILE, 'none', 0, 0);
        },
      },
    ],
    verify: (m) => [...cleanIsWritten(m, 'H3-d')],
  };
}
