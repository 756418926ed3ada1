// H4-h: a fault converts a file while write(2) is between a look at the flag and what it did it for.

import type { Machine } from '../../engine/machine.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachInline,
  inlineGeometry,
  lostWords,
  makeFile,
  makeMm,
  mapFile,
  storeMapped,
  withoutInlineData,
  writeWord,
} from './h4-files.js';

export const H4H: Hazard = {
  id: 'H4-h',
  title:
    'the file leaves its inode after write_begin, or after write_end has looked: no buffers, or no inline data',
  source: 'kernel.md H4-h; lkml.iu.edu 2606.1/03928 (2026)',
  story:
    'As in H4-a one program writes to a very small file with write(2) while another stores to it ' +
    'through a mapping; but here the file finds a block, and leaves its inode for good. If that ' +
    'happens while write(2) is copying, its end finds a file in a block, whose page lacks what a ' +
    'page of such a file has: a null pointer. If it happens just after the end has looked, and before ' +
    'it has the lock of the inline data, there are no inline data to store to, which the kernel takes ' +
    'for a bug of its own. To look twice, as 6.12 does, makes the second window smaller.',
  mayGoWrong: ['bug', 'lost-write'],
  notApplicable: withoutInlineData,
  program: (_profile, pageBytes) => h4h(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h4h(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H4-h',
    geometry: inlineGeometry(pageBytes),
    attach: (m) => {
      attachInline(m);
    },
    setUp: function* (task, m) {
      makeMm(m);
      yield* makeFile(task, m);
    },
    actors: [
      { name: 'store', run: mapAndStore },
      { name: 'write', run: (task, m) => writeWord(task, m, 0, true) },
    ],
    verify: (m) => lostWords(m, 'H4-h'),
  };
}

function* mapAndStore(task: Task, m: Machine): Op<void> {
  yield* mapFile(task, m);
  yield* storeMapped(task, m);
}
