// H1-f: the old recipe of drivers: get_user_pages, DMA for months, set_page_dirty, put_page.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { load, store } from '../../engine/memory/word.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import { POWER_CUT, type Program } from '../program.js';
import {
  attachPlain,
  BY_DEVICE,
  brokenPromise,
  mapAndStore,
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
  regionWordName,
  registerRegion,
} from './region.js';

/** A camera fills a mapped page for months; sync(2) and a power cut. */
export const H1F: Hazard = {
  id: 'H1-f',
  title: 'a driver dirties its pages when it lets them go, months after its device wrote to them',
  source: 'kernel.md H1-f; the put_user_page cover letter of 2019',
  story:
    'The documentation once told authors of drivers to call get_user_pages, let the device write ' +
    'for as long as it likes, and at the end call set_page_dirty and put_page. A camera stores its ' +
    'frames in a mapped file that way. The page was written back once, in the first minute; since ' +
    'then it has been clean, whatever the camera stored, and neither the flusher nor sync(2) has ' +
    'had a reason to write it. A power cut takes months of frames, of which every sync said that ' +
    'they were safe.',
  mayGoWrong: ['lost-write'],
  program: (_profile, pageBytes) => h1f(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h1f(pageBytes = LAB_PAGE_BYTES): Program {
  const captured = stageWords(pageBytes);
  const promise = captured + 1;
  const region = promise + 1;
  const verify = (m: Machine): Finding[] => brokenPromise(m, 'H1-f', 'sync', promise);
  return {
    name: 'H1-f',
    geometry: stageGeometry(pageBytes, 2 + REGION_WORDS),
    attach: (m) => {
      attachPlain(m);
      attachRegion(m, region);
    },
    setUp: function* (task, m) {
      yield* mapAndStore(task, m);
      yield* registerRegion(task, m, region, isLongterm(m));
      yield* writtenOnce(task, m);
    },
    actors: [
      { name: 'driver', run: (task, m) => driver(task, m, region, captured) },
      { name: 'sync', run: (task, m) => sync(task, m, captured, promise) },
      POWER_CUT,
    ],
    verify,
    verifyAfterCut: verify,
    nameOfExtra: (word) => {
      if (word === captured) return 'captured';
      return word === promise ? 'what sync promised' : regionWordName(word - region);
    },
  };
}

/** Before 5.7 nobody could say for how long a page is meant to be held. */
function isLongterm(m: Machine): boolean {
  return m.profile.dmaReference === 'pin';
}

/** A frame is stored and handed to the program; much later the driver lets the page go. */
function* driver(task: Task, m: Machine, region: number, captured: number): Op<void> {
  if (!isRegistered(m, region)) return;
  yield* peerWrites(task, m, region, BY_DEVICE);
  if (lab?.point()) yield STEP;
  store(m.state.extra, captured, BY_DEVICE);
  yield* deregisterRegion(task, m, region, isLongterm(m));
}

/** sync(2): what was captured before it is safe after it. */
function* sync(task: Task, m: Machine, captured: number, promise: number): Op<void> {
  if (lab?.point()) yield STEP;
  const value = load(m.state.extra, captured);
  yield* writeFile(task, m, 'all');
  if (lab?.point()) yield STEP;
  store(m.state.extra, promise, value);
}
