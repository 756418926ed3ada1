// H4-i: a fault that has dropped mmap_lock uses an inode that nobody keeps, and forgets its error.

import type { Machine } from '../../engine/machine.js';
import { FOLL, pinUserPages, unpinUserPages } from '../../engine/mm/gup.js';
import { munmap } from '../../engine/mm/vma.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
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
  mapFile,
  storeMapped,
  withoutInlineData,
} from './h4-files.js';

export const H4I: Hazard = {
  id: 'H4-i',
  title:
    'the retried fault uses a freed inode, and turns “no space” into a SIGBUS without a reason',
  source: 'kernel.md H4-i; the patch of Baokun Li, April 2024',
  story:
    'The patch for the third cure of H4-a (see H4-f) drops the lock of the address space and goes on ' +
    'to use the inode of the mapped file. But only the mapping kept that inode: the file was closed ' +
    'long ago. Another thread unmaps it at that moment, the inode is freed, and the fault locks freed ' +
    'memory. Besides, the patch does not look whether the conversion worked. Here the disk is full: ' +
    'the conversion fails, the fault is taken again, finds the file still inline, may not drop the ' +
    'lock a second time, and kills the program without ever having told that there was no space. Last, ' +
    'a caller that must not wait (KVM asks so for the pages of a guest) takes “try again” to mean that ' +
    'nothing has been dropped: it releases a lock that it does not hold any more.',
  mayGoWrong: ['bug', 'spurious-error'],
  notApplicable: (profile) => {
    const rule = profile.inlineConversion;
    if (rule !== 'mmap-i_rwsem' && rule !== 'pre-mmap') return withoutInlineData(profile);
    return 'mmap(2) converts, and fails on a full disk: there is nothing mapped to fault on';
  },
  program: (_profile, pageBytes) => h4i(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h4i(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H4-i',
    geometry: inlineGeometry(pageBytes),
    attach: (m) => {
      attachInline(m, { freeBlocks: 0 });
    },
    setUp: function* (task, m) {
      makeMm(m);
      yield* makeFile(task, m);
      yield* mapFile(task, m);
      yield* fsOf(m).putInode(task, FILE); // close(2)
    },
    actors: [
      { name: 'store', run: tryToStore },
      {
        name: 'munmap',
        run: function* (task, m) {
          const inode = yield* munmap(task, m, MM, FILE_VPN);
          yield* fsOf(m).putInode(task, inode);
        },
      },
      { name: 'kvm', run: getWithoutWaiting },
    ],
    verify: (m) => lostWords(m, 'H4-i'),
  };
}

/** get_user_pages() with FOLL_NOWAIT, under mmap_lock: whatever it is told, somebody else tries later. */
function* getWithoutWaiting(task: Task, m: Machine): Op<void> {
  const pfns = new Int32Array(1);
  try {
    yield* pinUserPages(task, m, MM, FILE_VPN, 1, FOLL.write | FOLL.nowait, pfns);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    return;
  }
  yield* unpinUserPages(task, m, pfns, 1, 1, false);
}

/** The disk is full, or the mapping gone: one of both has to be the reason that the store is given. */
function* tryToStore(task: Task, m: Machine): Op<void> {
  try {
    yield* storeMapped(task, m);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    if (error.code === 'ENOSPC' || error.code === 'EFAULT') return;
    m.report({
      kind: 'spurious-error',
      hazard: 'H4-i',
      task: task.name,
      message: `a store on a full disk does not end in ENOSPC: ${error.message}`,
    });
  }
}
