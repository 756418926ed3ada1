// H0-a: a page is cleaned and loses its buffers while a device fills it; then it is dirtied again.

import { dropPages, holdPages } from '../../engine/dma/hold.js';
import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { FOLL } from '../../engine/mm/gup.js';
import { reclaimFolio } from '../../engine/mm/reclaim.js';
import { munmap } from '../../engine/mm/vma.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachPlain,
  BY_DEVICE,
  fillPage,
  lostWord,
  lostWrite,
  MM,
  mapAndStore,
  PFN,
  stageGeometry,
  VPN,
  writeFile,
} from './pinned-page.js';

/** A direct I/O read into a mapped page; the flusher cleans the page, and reclaim takes its buffers. */
export const H0A: Hazard = {
  id: 'H0-a',
  title: 'a page is cleaned and loses its buffers under direct I/O, which then dirties it again',
  source: 'kernel.md H0-a; Ts’o, Hubbard and Hillf 2022; Kara 2018',
  story:
    'A program reads a file with O_DIRECT into a page that it has mapped from another file. The ' +
    'write fault of the pin told the file system, which reserved a block and attached buffers to ' +
    'the page. While the disk is still filling it, the flusher writes the page, and reclaim, which ' +
    'can’t free it because of the pin, takes its buffers all the same: it is clean. Then the read ' +
    'completes and marks the page dirty, and this time nobody asked the file system. The next ' +
    'writeback finds a dirty page that the file system knows nothing of. ext4 stopped the machine ' +
    'there; since 5.18 it warns and drops the data.',
  mayGoWrong: ['bug', 'warn', 'lost-write'],
  program: (_profile, pageBytes) => h0a(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab; 4096 in real threads */
export function h0a(pageBytes = LAB_PAGE_BYTES, name = 'H0-a', verify = lostRead): Program {
  return {
    name,
    geometry: stageGeometry(pageBytes, 0),
    attach: attachPlain,
    setUp: submit,
    actors: [
      { name: 'direct I/O', run: directIo },
      { name: 'flusher and kswapd', run: cleaner },
    ],
    verify,
  };
}

/** Submits the read: its buffer is pinned. Then the program unmaps it, and waits for the answer. */
function* submit(task: Task, m: Machine): Op<void> {
  yield* mapAndStore(task, m);
  yield* holdPages(task, m, MM, VPN, 1, FOLL.write, m.profile.directIoReference, buffer());
  yield* munmap(task, m, MM, VPN);
}

/** The disk fills the page, and the read completes. */
function* directIo(task: Task, m: Machine): Op<void> {
  yield* fillPage(m, PFN, BY_DEVICE);
  yield* dropPages(task, m, buffer(), 1, m.profile.directIoReference, true, FOLL.write);
}

/** The pages of the read. */
function buffer(): Int32Array {
  return new Int32Array(1).fill(PFN);
}

/** Writes the page, reclaims memory, and comes round again. */
function* cleaner(task: Task, m: Machine): Op<void> {
  yield* writeFile(task, m, 'none');
  yield* reclaimFolio(task, m, PFN, false);
  yield* writeFile(task, m, 'none');
}

function lostRead(m: Machine): Finding[] {
  return lostWrite('H0-a', 'direct I/O', lostWord(m, 0, BY_DEVICE));
}
