// H4-b: mmap(2) takes i_rwsem inside mmap_lock; write(2) takes them the other way round.

import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachInline,
  inlineGeometry,
  lostWords,
  makeFile,
  makeMm,
  mapAnonymous,
  mapFile,
  withoutInlineData,
  writeWord,
} from './h4-files.js';

export const H4B: Hazard = {
  id: 'H4-b',
  title: 'mmap(2) waits for the lock of a write(2) whose buffer waits for the lock of that mmap(2)',
  source: 'kernel.md H4-b; Ts’o and Baokun Li, June 2023',
  story:
    'The second try to cure H4-a moved the conversion to mmap(2), under the lock of write(2). But ' +
    'mmap(2) runs with the lock of the address space, and a write(2) takes that lock as well: when ' +
    'the buffer that it is given is not in memory, it has to fault it in while it holds its own. Let ' +
    'two threads of a program do both at once, and each of them waits for the other for ever. The ' +
    'lock validator says so before it happens, and did when the patch was tested.',
  mayGoWrong: ['lockdep', 'hang'],
  notApplicable: withoutInlineData,
  program: (_profile, pageBytes) => h4b(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h4b(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H4-b',
    geometry: inlineGeometry(pageBytes),
    attach: (m) => {
      attachInline(m);
    },
    setUp: function* (task, m) {
      makeMm(m);
      yield* makeFile(task, m);
      yield* mapAnonymous(task, m);
    },
    actors: [
      { name: 'mmap', run: (task, m) => mapFile(task, m) },
      { name: 'write', run: (task, m) => writeWord(task, m, 0, false) },
    ],
    verify: (m) => lostWords(m, 'H4-b'),
  };
}
