// H4-c: the fault takes i_rwsem; write(2), which has it, takes a fault.

import { mmap, munmap } from '../../engine/mm/vma.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachInline,
  FILE,
  inlineGeometry,
  lostWords,
  MM,
  makeFile,
  makeMm,
  mapAnonymous,
  sharedMapping,
  storeMapped,
  withoutInlineData,
  writeWord,
} from './h4-files.js';

/** Memory that somebody unmaps: the writer whom readers of mmap_lock queue behind. */
const OTHER_VPN = 2;

export const H4C: Hazard = {
  id: 'H4-c',
  title: 'a fault waits for the lock of a write(2) whose buffer takes a fault',
  source: 'kernel.md H4-c; Kara, 20230530074225.ly6vnolykqu5teos@quack3',
  story:
    'The obvious cure for H4-a: the fault takes the lock of write(2) while it looks whether it has to ' +
    'convert the file. But a fault runs under the lock of the address space, and write(2) takes ' +
    'faults of its own while it holds its lock. Both hold the address space only as readers, so two ' +
    'of them alone do not block each other; but as soon as a third thread wants to unmap something, ' +
    'later readers queue behind it: the fault holds the address space and waits for write(2), ' +
    'write(2) waits behind the third, and the third waits for the fault. Every file pays the lock and ' +
    'can hang, also one that has left its inode long ago, as the one here has.',
  mayGoWrong: ['lockdep', 'hang'],
  notApplicable: withoutInlineData,
  program: (_profile, pageBytes) => h4c(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h4c(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H4-c',
    geometry: inlineGeometry(pageBytes, { mmPages: 3, vmas: 3 }),
    attach: (m) => {
      attachInline(m);
    },
    setUp: function* (task, m) {
      makeMm(m);
      yield* makeFile(task, m, FILE, 'block');
      yield* mmap(task, m, MM, sharedMapping()); // without the locks of mmap(2), which are H4-b
      yield* mapAnonymous(task, m);
      yield* mapAnonymous(task, m, OTHER_VPN);
    },
    actors: [
      { name: 'store', run: (task, m) => storeMapped(task, m) },
      { name: 'write', run: (task, m) => writeWord(task, m, 0, false) },
      {
        name: 'munmap',
        run: function* (task, m) {
          yield* munmap(task, m, MM, OTHER_VPN);
        },
      },
    ],
    verify: (m) => lostWords(m, 'H4-c'),
  };
}
