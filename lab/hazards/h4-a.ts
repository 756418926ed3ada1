// H4-a: a fault converts a file out of its inode and back, while write(2) is between its begin and end.

import type { Machine } from '../../engine/machine.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachInline,
  expecting,
  inlineGeometry,
  lostWords,
  makeFile,
  makeMm,
  mapFile,
  storeMapped,
  withoutInlineData,
  writeWord,
} from './h4-files.js';

export const H4A: Hazard = {
  id: 'H4-a',
  title:
    'write_begin and write_end disagree on whether the file is inline; the journal stops a handle that nobody started',
  source: 'kernel.md H4-a; syzbot a158d886ca08a3fecca4; Baokun Li, May 2023',
  story:
    'A very small file lies inside its inode. One program writes to it with write(2), another maps ' +
    'it and stores to it. For the store the file has to move to a block of its own: the fault takes ' +
    'the data out of the inode and looks for a block. There is none (the bitmap on the disk is ' +
    'corrupt), so it puts the data back. In that short while write(2) has looked whether the file is ' +
    'inline, has found that it is not, and has prepared for a block, which needs no journal handle. ' +
    'When it is done it looks again, finds the file inline, and stops a handle that it never started. ' +
    'The kernel dies. The fault cannot take the lock of write(2): that would be H4-c. Rules under which the fault ' +
    'leaves the file where it is have no such bug, but lose the store: write(2), which copies its ' +
    'own bytes into the inode, calls the page clean after that, whatever a mapping still stores to it.',
  mayGoWrong: ['bug', 'lost-write'],
  notApplicable: withoutInlineData,
  program: (_profile, pageBytes) => h4a(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h4a(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H4-a',
    geometry: inlineGeometry(pageBytes),
    attach: (m) => {
      attachInline(m, { corruptBitmap: true });
    },
    setUp: function* (task, m) {
      makeMm(m);
      yield* makeFile(task, m);
    },
    actors: [
      { name: 'store', run: mapAndStore },
      { name: 'write', run: (task, m) => writeWord(task, m, 0, true) },
    ],
    verify: (m) => lostWords(m, 'H4-a'),
  };
}

/** Without a block mmap(2) may fail, or the store end in SIGBUS. */
function* mapAndStore(task: Task, m: Machine): Op<void> {
  yield* expecting(['ENOSPC', 'EIO'], mapThenStore(task, m));
}

function* mapThenStore(task: Task, m: Machine): Op<void> {
  yield* mapFile(task, m);
  yield* storeMapped(task, m);
}
