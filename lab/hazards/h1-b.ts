// H1-b: a page that is pinned already is written back, and its device writes to it meanwhile.

import { dropPages, holdPages } from '../../engine/dma/hold.js';
import type { Machine } from '../../engine/machine.js';
import { FOLL } from '../../engine/mm/gup.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachChecksummed,
  BY_DEVICE,
  fillPage,
  MM,
  mapAndStore,
  PFN,
  stageGeometry,
  stageWords,
  VPN,
  writeFile,
} from './pinned-page.js';
import {
  attachRegion,
  deregisterRegion,
  isRegistered,
  peerWrites,
  REGION_WORDS,
  registerRegion,
} from './region.js';

/** A registered page under writeback; where that is refused, the buffer of a read that was submitted long ago. */
export const H1B: Hazard = {
  id: 'H1-b',
  title: 'a device writes to a page of an old pin while the page is being written to the disk',
  source: 'kernel.md H1-b; the put_user_page cover letter of 2019',
  story:
    'A device has held a page of a mapped file since long before. The flusher write-protects the ' +
    'page’s mappings, takes a checksum, and sends it to the disk; file systems rely on a page not ' +
    'changing meanwhile, and see to it that every CPU waits. The device does not. The bytes on the ' +
    'disk are not those of the checksum: a later read reports an error, the parity of a RAID is ' +
    'wrong, an encrypted block decrypts to garbage. Where long registrations of files are refused, ' +
    'a direct I/O read that was submitted to a slow disk does the same.',
  mayGoWrong: ['torn-write'],
  program: (_profile, pageBytes) => h1b(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h1b(pageBytes = LAB_PAGE_BYTES): Program {
  const region = stageWords(pageBytes);
  return {
    name: 'H1-b',
    geometry: stageGeometry(pageBytes, REGION_WORDS),
    attach: (m) => {
      attachChecksummed(m, 'H1-b');
      attachRegion(m, region);
    },
    setUp: function* (task, m) {
      yield* mapAndStore(task, m);
      yield* registerRegion(task, m, region);
      if (!isRegistered(m, region)) yield* submitRead(task, m);
    },
    actors: [
      { name: 'device', run: (task, m) => device(task, m, region) },
      { name: 'flusher', run: (task, m) => writeFile(task, m, 'none') },
    ],
    verify: () => [],
  };
}

function* submitRead(task: Task, m: Machine): Op<void> {
  yield* holdPages(task, m, MM, VPN, 1, FOLL.write, m.profile.directIoReference, buffer());
}

function* device(task: Task, m: Machine, region: number): Op<void> {
  if (isRegistered(m, region)) {
    yield* peerWrites(task, m, region, BY_DEVICE);
    yield* deregisterRegion(task, m, region);
    return;
  }
  // With a bounce buffer (7.0) it is the CPU that stores here, as the read completes: through the
  // pin as well, and no more noticed.
  yield* fillPage(m, PFN, BY_DEVICE);
  yield* dropPages(task, m, buffer(), 1, m.profile.directIoReference, true, FOLL.write);
}

/** The pages of the read. */
function buffer(): Int32Array {
  return new Int32Array(1).fill(PFN);
}
