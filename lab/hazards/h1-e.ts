// H1-e: a page that a device dirtied has no block reserved, and there is none left.

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
  unlessRefused,
} from './mapped-file.js';

/** Direct I/O reads into a mapped page, which then is synced; another process syncs, and takes the last block. */
export const H1E: Hazard = {
  id: 'H1-e',
  title: 'a page dirtied through a pin has no reservation: no space, found at writeback',
  source: 'kernel.md H1-e; Chinner in the put_user_page cover letter of 2019',
  story:
    'With delayed allocation a store through a mapping only reserves a block; it is allocated when ' +
    'the page is written. If the volume is full, page_mkwrite says so at once, and the program ' +
    'gets a SIGBUS. So every page that turns from clean to dirty has to go through page_mkwrite, ' +
    'not only the first time. A pin does not: here a page is written while a device reads into it, ' +
    'another process takes the last free block in good faith, and then the device’s data make the ' +
    'page dirty again, without a reservation. When they are to be written there is no block: the ' +
    'error comes too late for anybody who could do something about it, and the data are lost.',
  mayGoWrong: ['late-enospc', 'lost-write'],
  program: (_profile, pageBytes) => h1e(pageBytes),
};

export function h1e(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H1-e',
    geometry: geometryOf(pageBytes, 3, reserveStoreWords(2, pageBytes)),
    attach: (m) => {
      m.fs = new ReserveStore(m, FILE, 2, true);
      attachDevice(m);
    },
    setUp: function* (task, m) {
      yield* mapFile(task, m, 2);
      fsOf(m, ReserveStore).format(1, 1);
      yield* storeWord(task, m, 0, 1); // dirty: the free block is reserved for it
    },
    actors: [
      {
        name: 'direct I/O',
        run: function* (task, m) {
          yield* unlessRefused(deviceWrite(task, m, 0, 2));
          yield* m.fs.writepages(task, FILE, 'all', 0, 0);
        },
      },
      {
        name: 'other process',
        run: function* (task, m) {
          yield* m.fs.writepages(task, FILE, 'all', 0, 0);
          yield* unlessRefused(fsOf(m, ReserveStore).reserve(1));
        },
      },
    ],
    verify: (m) => [...cleanIsWritten(m, 'H1-e'), ...pinsBalance(m, 'H1-e')],
  };
}
