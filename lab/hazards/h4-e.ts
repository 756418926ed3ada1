// H4-e: writeback looks whether a file is inline while write(2) makes it grow out of its inode.

import type { Machine } from '../../engine/machine.js';
import { munmap } from '../../engine/mm/vma.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { inlineWords } from '../../engine/tinyfs/inline-disk.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachInline,
  FILE,
  FILE_VPN,
  fsOf,
  inlineGeometry,
  lostWords,
  MM,
  makeFile,
  makeMm,
  sharedMapping,
  storeMapped,
  withoutInlineData,
  writeWord,
} from './h4-files.js';

/** Another small file, dirtied through a mapping, that nobody uses any more: reclaim drops it. */
const COLD = 1;

export const H4E: Hazard = {
  id: 'H4-e',
  title:
    'whether a file is inline is not stable in writeback, and the lock that would make it so is not safe under reclaim',
  source:
    'kernel.md H4-e; Kara, June 2023; the window in mainline: ext4_da_convert_inline_data_to_extent, ' +
    'and perhaps syzbot d1da16f03614058fdc48',
  story:
    'Writeback has to know whether a file lies in its inode, but it does not hold the lock under which ' +
    'write(2) makes files grow. Here a file grows out of its inode while it is written back. Linux ' +
    'dirties its page before it takes back the flag that says "inline", and writeback that looks in ' +
    'between stops the kernel. If writeback copied the page into the inode instead, it would cut off ' +
    'what has just been appended, and call the page clean. If it took the lock, memory reclaim could ' +
    'not run writeback any more: the write(2) that holds the lock allocates memory, reclaim drops ' +
    'another file that has to be written first, and that takes a lock of the same class.',
  mayGoWrong: ['bug', 'lost-write', 'lockdep'],
  notApplicable: withoutInlineData,
  program: (_profile, pageBytes) => h4e(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h4e(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H4-e',
    geometry: inlineGeometry(pageBytes, { files: 2, pages: 4 }),
    attach: (m) => {
      attachInline(m, { files: 2, freeBlocks: 2 });
    },
    setUp,
    actors: [
      {
        name: 'fsync',
        run: function* (task, m) {
          yield* fsOf(m).writepages(task, FILE, 'all');
        },
      },
      {
        name: 'write',
        run: (task, m) => writeWord(task, m, inlineWords(pageBytes), true, COLD),
      },
    ],
    verify: (m) => lostWords(m, 'H4-e'),
  };
}

function* setUp(task: Task, m: Machine): Op<void> {
  makeMm(m);
  yield* makeFile(task, m, FILE);
  yield* makeFile(task, m, COLD);
  yield* fsOf(m).mmapFile(task, MM, sharedMapping(COLD));
  yield* storeMapped(task, m);
  yield* munmap(task, m, MM, FILE_VPN);
}
