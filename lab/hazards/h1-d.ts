// H1-d: a file system that begins a new page for each new version leaves a pin with the old one.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { CowStore } from '../../engine/tinyfs/cow-store.js';
import { pageStoreWords } from '../../engine/tinyfs/page-store.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachDevice,
  cachedPage,
  deviceWrite,
  FILE,
  frameWord,
  fsOf,
  geometryOf,
  mapFile,
  pinsBalance,
  storeWord,
} from './mapped-file.js';

const DEVICE_WORD = 0;
const WRITER_WORD = 1;

/** Direct I/O reads into a mapped page, while the file is snapshotted and then written. */
export const H1D: Hazard = {
  id: 'H1-d',
  title: 'copy-on-write puts a new page in the place of a pinned one',
  source: 'kernel.md H1-d; the put_user_page cover letter of 2019',
  story:
    'A file system with snapshots never changes what a snapshot refers to: once a page is on the ' +
    'disk, the next write(2) begins a new page. Meanwhile a direct read is in flight into that ' +
    'page through a mapping of the file, and its pin keeps the old page, which is in no file any ' +
    'more. The device stores there, the read reports success, the page is marked dirty, and freed ' +
    'with its last reference. What was read is nowhere, and nobody hears of an error.',
  mayGoWrong: ['lost-write'],
  program: (_profile, pageBytes) => h1d(pageBytes),
};

export function h1d(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H1-d',
    geometry: geometryOf(pageBytes, 3, pageStoreWords(1, pageBytes)),
    attach: (m) => {
      m.fs = new CowStore(m, FILE, 1);
      attachDevice(m);
    },
    setUp: function* (task, m) {
      yield* mapFile(task, m);
      yield* storeWord(task, m, DEVICE_WORD, 1); // dirty, and writable
    },
    actors: [
      {
        name: 'direct I/O',
        run: (task, m) => deviceWrite(task, m, DEVICE_WORD, 2),
      },
      {
        name: 'snapshot, then write(2)',
        run: function* (task, m) {
          yield* m.fs.writepages(task, FILE, 'all', 0, 0);
          yield* fsOf(m, CowStore).writeWord(task, 0, WRITER_WORD, 3);
        },
      },
    ],
    verify: (m) => [
      ...holds(m, DEVICE_WORD, 2, 'the device'),
      ...holds(m, WRITER_WORD, 3, 'write(2)'),
      ...pinsBalance(m, 'H1-d'),
    ],
  };
}

/** What was written without an error is in the file. */
function* holds(m: Machine, word: number, value: number, who: string): Generator<Finding> {
  const found = frameWord(m, cachedPage(m), word);
  if (found === value) return;
  yield {
    kind: 'lost-write',
    hazard: 'H1-d',
    task: who,
    message: `${who} wrote ${String(value)} to word ${String(word)} of the page, but the file has ${String(found)}`,
  };
}
