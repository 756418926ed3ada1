// H3-c-readv: the price of P11: one read into two parts of one page locks that page twice.

import { deviceStore } from '../../engine/dma/device.js';
import { dropPages, holdPages } from '../../engine/dma/hold.js';
import type { Machine } from '../../engine/machine.js';
import { FOLL } from '../../engine/mm/gup.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { ReserveStore, reserveStoreWords } from '../../engine/tinyfs/reserve-store.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import { FILE, fsOf, geometryOf, MM, mapFile, pinsBalance, storeWord } from './mapped-file.js';

/** A direct readv(2) into two buffers that lie in one mapped page. */
export const H3C_READV: Hazard = {
  id: 'H3-c-readv',
  title: 'one direct read into two parts of one page',
  source: 'kernel.md P11: “deadlocks with DIO to same page”',
  story:
    'readv(2) with O_DIRECT fills several buffers with one request, and two of them may lie in one ' +
    'page of a mapping. The kernel gets the page for each of them, and puts both when the device is ' +
    'done. That is no trouble as long as a page is only counted. If getting it for writing also ' +
    'locks it until it is put, as was thought of against H3-c, or begins a write that its end has ' +
    'to follow, then the second get waits for the first, which waits for the device, which waits ' +
    'for the second.',
  mayGoWrong: ['hang', 'lockdep'],
  program: (_profile, pageBytes) => h3cReadv(pageBytes),
};

export function h3cReadv(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H3-c-readv',
    geometry: geometryOf(pageBytes, 2, reserveStoreWords(1, pageBytes)),
    attach: (m) => {
      m.fs = new ReserveStore(m, FILE, 1, true);
    },
    setUp: function* (task, m) {
      yield* mapFile(task, m);
      fsOf(m, ReserveStore).format(1, 1);
      yield* storeWord(task, m, 0, 1); // dirty, and writable
    },
    actors: [{ name: 'direct I/O', run: readv }],
    verify: (m) => [...pinsBalance(m, 'H3-c-readv')],
  };
}

function* readv(task: Task, m: Machine): Op<void> {
  const reference = m.profile.directIoReference;
  const pfns = new Int32Array(2);
  for (let i = 0; i < 2; i++) {
    yield* holdPages(task, m, MM, 0, 1, FOLL.write, reference, pfns.subarray(i));
  }
  yield* deviceStore(m, pfns, 1, 0, new Uint8Array(m.geometry.pageBytes).fill(2));
  yield* dropPages(task, m, pfns, 2, reference, true, FOLL.write);
}
