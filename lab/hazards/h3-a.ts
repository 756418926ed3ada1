// H3-a: page_mkwrite returns, the page is cleaned, and only then the fault makes it dirty.

import { loadUser } from '../../engine/mm/access.js';
import { ReserveStore, reserveStoreWords } from '../../engine/tinyfs/reserve-store.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import { cleanIsWritten, FILE, fsOf, geometryOf, MM, mapFile, storeWord } from './mapped-file.js';

/** A CPU stores to a clean mapped page, and syncs it, while the flusher makes its round. */
export const H3A: Hazard = {
  id: 'H3-a',
  title: 'the flusher cleans a page between page_mkwrite and the fault that dirties it',
  source: 'kernel.md H3-a; Piggin and Zijlstra, set_page_dirty races, February 2009',
  story:
    'A program stores to a page of a mapped file. The page is clean, so that the store faults, and ' +
    'the kernel tells the file system: page_mkwrite. A file system like Piggin’s fsblock attaches ' +
    'what it needs to write the page, and has it attached for as long as the page is dirty. But ' +
    'page_mkwrite gives the page lock back before the fault has made the page table entry dirty. ' +
    'In that window the flusher may clean the page, write it, and take the attached state off. The ' +
    'fault then goes on to dirty a page of which the file system knows nothing any more. Since ' +
    '2.6.30 page_mkwrite may return with the page locked, and the window is closed.',
  mayGoWrong: ['warn', 'bug', 'lost-write'],
  program: (_profile, pageBytes) => h3a(pageBytes),
};

export function h3a(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H3-a',
    geometry: geometryOf(pageBytes, 2, reserveStoreWords(1, pageBytes)),
    attach: (m) => {
      m.fs = new ReserveStore(m, FILE, 1, false);
    },
    setUp: function* (task, m) {
      yield* mapFile(task, m);
      fsOf(m, ReserveStore).format(2, 1);
      yield* loadUser(task, m, MM, 0, 0, new Uint8Array(4)); // mapped, read-only
    },
    actors: [
      {
        name: 'cpu',
        run: function* (task, m) {
          yield* storeWord(task, m, 0, 2);
          yield* m.fs.writepages(task, FILE, 'all', 0, 0);
        },
      },
      {
        name: 'flusher',
        run: function* (task, m) {
          yield* m.fs.writepages(task, FILE, 'none', 0, 0);
        },
      },
    ],
    verify: (m) => [...cleanIsWritten(m, 'H3-a')],
  };
}
