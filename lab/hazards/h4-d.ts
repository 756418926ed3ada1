// H4-d: writeback finds a dirty page of a file that lies in its inode.

import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachInline,
  FILE,
  fsOf,
  inlineGeometry,
  lostWords,
  makeFile,
  makeMm,
  mapFile,
  storeMapped,
  withoutInlineData,
} from './h4-files.js';

export const H4D: Hazard = {
  id: 'H4-d',
  title: 'a store through a mapping dirties an inline file, and writeback does not expect it',
  source: 'kernel.md H4-d; commit 7b4cc9787fe3 (4.12)',
  story:
    'A file of one byte lies inside its inode. A program maps it, stores to it, and calls fsync(2). ' +
    'write(2) copies its bytes into the inode and leaves the page clean, so that writeback never ' +
    'meets a dirty page of such a file, and says BUG if it does. A store through a mapping knows ' +
    'nothing of that. Five lines of shell kill the kernel; to cure it, faults convert the file since ' +
    '4.12, which brought H4-a.',
  mayGoWrong: ['bug'],
  notApplicable: withoutInlineData,
  program: (_profile, pageBytes) => h4d(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h4d(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H4-d',
    geometry: inlineGeometry(pageBytes),
    attach: (m) => {
      attachInline(m);
    },
    setUp: function* (task, m) {
      makeMm(m);
      yield* makeFile(task, m);
      yield* mapFile(task, m);
    },
    actors: [
      { name: 'store', run: (task, m) => storeMapped(task, m) },
      {
        name: 'fsync',
        run: function* (task, m) {
          yield* fsOf(m).writepages(task, FILE, 'all');
        },
      },
    ],
    verify: (m) => lostWords(m, 'H4-d'),
  };
}
