// H3-c: whoever got a page for writing dirties it late, when it may have been cleaned in between.

import { ReserveStore, reserveStoreWords } from '../../engine/tinyfs/reserve-store.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachDevice,
  cleanIsWritten,
  deviceWrite,
  FILE,
  fsOf,
  geometryOf,
  mapFile,
  pinsBalance,
  storeWord,
} from './mapped-file.js';

/** A device writes to a page that was got for it, and the driver dirties and syncs it; the flusher makes its round. */
export const H3C: Hazard = {
  id: 'H3-c',
  title: 'a page that was got for writing is cleaned before set_page_dirty is called',
  source: 'kernel.md H3-c; Piggin and Zijlstra, set_page_dirty races, February 2009',
  story:
    'A driver gets a page of a mapped file for writing. Like any store, that tells the file system ' +
    'first, which attaches what it needs to write the page. But the driver keeps no lock, only a ' +
    'reference; it lets its device store, and marks the page dirty when all is done. In between ' +
    'the flusher may clean and write the page, and the file system takes its state off a page ' +
    'that is clean. The dirty page that comes out of set_page_dirty is unknown to it: old kernels ' +
    'hit a BUG when they write it, newer ones warn and drop what the device has stored. ' +
    'Zijlstra’s way out was to keep the page locked from get_user_pages until the page is put.',
  mayGoWrong: ['warn', 'bug', 'lost-write'],
  program: (_profile, pageBytes) => h3c(pageBytes),
};

export function h3c(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H3-c',
    geometry: geometryOf(pageBytes, 3, reserveStoreWords(1, pageBytes)),
    attach: (m) => {
      m.fs = new ReserveStore(m, FILE, 1, false);
      attachDevice(m);
    },
    setUp: function* (task, m) {
      yield* mapFile(task, m);
      fsOf(m, ReserveStore).format(3, 1);
      yield* storeWord(task, m, 0, 1); // dirty, and writable
    },
    actors: [
      {
        name: 'driver',
        run: function* (task, m) {
          yield* deviceWrite(task, m, 0, 2);
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
    verify: (m) => [...cleanIsWritten(m, 'H3-c'), ...pinsBalance(m, 'H3-c')],
  };
}
