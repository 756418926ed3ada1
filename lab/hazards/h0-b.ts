// H0-b: process_vm_writev writes to a page through a pin while the file system lets go of the page.

import { processVmWritev } from '../../engine/dma/vmwritev.js';
import type { Machine } from '../../engine/machine.js';
import { reclaimFolio } from '../../engine/mm/reclaim.js';
import { invalidateRange } from '../../engine/mm/truncate.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachPlain,
  FILE,
  lostWord,
  lostWrite,
  MM,
  mapAndStore,
  PFN,
  stageGeometry,
  VPN,
  writeFile,
} from './pinned-page.js';

/** What the other process writes, to word 1. */
const BY_PROCESS = 2;

/** process_vm_writev into a mapped file, under memory pressure, with a direct write to the same page. */
export const H0B: Hazard = {
  id: 'H0-b',
  title: 'process_vm_writev dirties a page that the file system has let go of meanwhile',
  source: 'kernel.md H0-b; syzbot and Ts’o 2022',
  story:
    'A debugger writes into the memory of another process, into a mapped page of a file: it pins ' +
    'the page, copies, marks it dirty, unpins it. The fault of the pin tells the file system, but ' +
    'the copy goes through the kernel’s own mapping and takes none. If the page was cleaned since ' +
    'the pin, and lost its buffers to reclaim, it is now dirty and unknown to its file system. If ' +
    'a direct write to another block of the page threw it out of the page cache, the copy went ' +
    'into a page that belongs to no file any more. syzbot found it with a program that mixes all ' +
    'of these; which of the ways it took was never settled.',
  mayGoWrong: ['bug', 'warn', 'lost-write'],
  notApplicable: (profile) =>
    profile.hasProcessVm ? null : 'there is no process_vm_writev before Linux 3.2',
  program: (_profile, pageBytes) => h0b(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h0b(pageBytes = LAB_PAGE_BYTES): Program {
  return {
    name: 'H0-b',
    geometry: stageGeometry(pageBytes, 0),
    attach: attachPlain,
    setUp: mapAndStore,
    actors: [
      { name: 'process_vm_writev', run: (task, m) => writeRemote(task, m, pageBytes) },
      { name: 'kswapd and direct write', run: reclaimAndWrite },
    ],
    verify: (m) => lostWrite('H0-b', 'process_vm_writev', lostWord(m, 1, BY_PROCESS)),
  };
}

function* writeRemote(task: Task, m: Machine, pageBytes: number): Op<void> {
  const data = new Uint8Array(new Int32Array([BY_PROCESS]).buffer);
  yield* processVmWritev(task, m, MM, VPN * pageBytes + 4, data, new Int32Array(1));
}

/** The page is written, reclaim comes by, and then somebody writes to the file with O_DIRECT. */
function* reclaimAndWrite(task: Task, m: Machine): Op<void> {
  yield* writeFile(task, m, 'none');
  yield* reclaimFolio(task, m, PFN, false);
  yield* directWrite(task, m);
}

/** A direct write to word 0, as far as it touches the cache: flush, invalidate. The transfer is not judged. */
function* directWrite(task: Task, m: Machine): Op<void> {
  yield* writeFile(task, m, 'all');
  yield* invalidateRange(task, m, FILE, 0, 0);
}
