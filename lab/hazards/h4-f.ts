// H4-f: a pin whose fault may not be retried fails, although the access is valid.

import type { Machine } from '../../engine/machine.js';
import { PIN_BIAS } from '../../engine/mm/folio.js';
import { FOLL, pinUserPages, unpinUserPages } from '../../engine/mm/gup.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachInline,
  FILE_VPN,
  inlineGeometry,
  lostWords,
  MM,
  makeFile,
  makeMm,
  mapFile,
  storeMapped,
  withoutInlineData,
} from './h4-files.js';

export const H4F: Hazard = {
  id: 'H4-f',
  title: 'a driver pins a mapped file and gets EFAULT, although nothing is wrong',
  source: 'kernel.md H4-f; Kara, April 2024',
  story:
    'The third try to cure H4-a: the fault drops the lock of the address space, converts the file, and ' +
    'asks to be taken again. A CPU that stores can do that. But some drivers pin the memory of a ' +
    'program with a call that promises to hold the lock all the time, so that their faults must not ' +
    'drop it. All that is left then is to fail: the program gave the driver a buffer that is mapped ' +
    'and writable, on a file system with space, and is told that it is a bad address. If another ' +
    'thread has stored to the page first, the same call works.',
  mayGoWrong: ['spurious-error'],
  notApplicable: withoutInlineData,
  program: (_profile, pageBytes) => h4f(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h4f(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H4-f',
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
      { name: 'driver', run: pin },
    ],
    verify: (m) => lostWords(m, 'H4-f'),
  };
}

/** pin_user_pages() under mmap_lock, of memory that is mapped for writing. */
function* pin(task: Task, m: Machine): Op<void> {
  const pfns = new Int32Array(1);
  try {
    yield* pinUserPages(task, m, MM, FILE_VPN, 1, FOLL.write | FOLL.pin, pfns);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    m.report({
      kind: 'spurious-error',
      hazard: 'H4-f',
      task: task.name,
      message: `pin_user_pages() of a valid mapping fails: ${error.message}`,
    });
    return;
  }
  yield* unpinUserPages(task, m, pfns, 1, PIN_BIAS, false);
}
