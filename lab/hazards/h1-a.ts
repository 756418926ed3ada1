// H1-a: the BUG of H0-a as the flusher meets it, after a device was done with its page.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { reclaimFolio } from '../../engine/mm/reclaim.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachPlain,
  BY_DEVICE,
  lostWord,
  lostWrite,
  mapAndStore,
  PFN,
  stageGeometry,
  stageWords,
  writeFile,
  writtenOnce,
} from './pinned-page.js';
import {
  attachRegion,
  deregisterRegion,
  isRegistered,
  peerWrites,
  REGION_WORDS,
  registerRegion,
} from './region.js';

/** A registered page that was cleaned long ago: its device, reclaim and the flusher. */
export const H1A: Hazard = {
  id: 'H1-a',
  title: 'the flusher finds a page dirty that reclaim has taken the buffers of',
  source: 'kernel.md H1-a; the put_user_page cover letter of 2019 (backtrace of a 4.4 kernel)',
  story:
    'A GPU driver holds a page of a mapped file for its device. The page was written back while it ' +
    'was held, and memory runs short: kswapd can’t free the page, but takes its buffers. The ' +
    'driver is done, marks the page dirty and lets it go. Nothing happens for half a minute. Then ' +
    'the flusher comes along, in a thread that has nothing to do with any of it, asserts that the ' +
    'page has buffers, and the machine is gone: that is the backtrace with which it all began.',
  mayGoWrong: ['bug', 'warn', 'lost-write'],
  program: (_profile, pageBytes) => h1a(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h1a(pageBytes = LAB_PAGE_BYTES): Program {
  const region = stageWords(pageBytes);
  return {
    name: 'H1-a',
    geometry: stageGeometry(pageBytes, REGION_WORDS),
    attach: (m) => {
      attachPlain(m);
      attachRegion(m, region);
    },
    setUp: function* (task, m) {
      yield* mapAndStore(task, m);
      yield* registerRegion(task, m, region);
      // A device that pins nothing would only fault once more.
      if (m.profile.dmaReference !== 'odp') yield* writtenOnce(task, m);
    },
    actors: [
      { name: 'device', run: (task, m) => device(task, m, region) },
      { name: 'kswapd', run: kswapd },
      { name: 'flusher', run: (task, m) => writeFile(task, m, 'none') },
    ],
    verify: (m) => lost(m, region),
  };
}

/** The device stores for a last time, and its driver lets the page go. */
function* device(task: Task, m: Machine, region: number): Op<void> {
  if (!isRegistered(m, region)) return;
  yield* peerWrites(task, m, region, BY_DEVICE);
  yield* deregisterRegion(task, m, region);
}

function* kswapd(task: Task, m: Machine): Op<void> {
  yield* reclaimFolio(task, m, PFN, false);
}

function lost(m: Machine, region: number): Finding[] {
  if (!isRegistered(m, region)) return [];
  return lostWrite('H1-a', 'device', lostWord(m, 0, BY_DEVICE));
}
