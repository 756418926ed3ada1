// A pin seen where there is none: 1,024 plain references look like one.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { store } from '../../engine/memory/word.js';
import { storeUser } from '../../engine/mm/access.js';
import { putFolio } from '../../engine/mm/alloc.js';
import { findFolio } from '../../engine/mm/filemap.js';
import { PIN_BIAS } from '../../engine/mm/folio.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import {
  attachPlain,
  brokenPromise,
  FILE,
  MM,
  mapAndStore,
  PFN,
  stageGeometry,
  stageWords,
  VPN,
  writeFile,
} from './pinned-page.js';

/** What the program stores before it calls fsync. */
const SYNCED = 2;

/** A page in very many pipes, one more reference now and then, and an fsync. */
export const FALSE_PIN: Hazard = {
  id: 'false-pin',
  title: 'a page with 1,024 plain references is taken for a pinned one',
  source: 'kernel.md 4.1 (GUP_PIN_COUNTING_BIAS, folio_maybe_dma_pinned)',
  story:
    'A pin adds 1,024 to a page’s one count, and a page whose count is 1,024 or more may be ' +
    'pinned. It need not: a page of a file that a program has spliced into very many pipes gets ' +
    'there with plain references, and then one look of anybody else at the page tips it over. No ' +
    'device writes to it. A rule that treats pinned pages otherwise does so here too: an fsync ' +
    'that skips them says that it wrote what it did not, and one that waits for the pins waits ' +
    'for something that nobody is going to give back.',
  mayGoWrong: ['lost-write', 'hang'],
  program: (_profile, pageBytes) => falsePin(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function falsePin(pageBytes = LAB_PAGE_BYTES): Program {
  const promise = stageWords(pageBytes);
  return {
    name: 'false-pin',
    geometry: stageGeometry(pageBytes, 1),
    attach: attachPlain,
    setUp: function* (task, m) {
      yield* mapAndStore(task, m);
      // Pipes hold it: with the reference that fsync takes for itself, one short of a pin.
      m.state.refcount[PFN] = PIN_BIAS - 2;
    },
    actors: [
      { name: 'program', run: (task, m) => storeAndSync(task, m, promise) },
      { name: 'reader', run: look },
    ],
    verify: (m): Finding[] => brokenPromise(m, 'false-pin', 'fsync', promise),
    nameOfExtra: (word) => (word === promise ? 'what fsync promised' : null),
  };
}

function* storeAndSync(task: Task, m: Machine, promise: number): Op<void> {
  const words = new Int32Array(m.geometry.pageBytes >>> 2).fill(SYNCED);
  yield* storeUser(task, m, MM, VPN, 0, new Uint8Array(words.buffer));
  yield* writeFile(task, m, 'all');
  if (lab?.point()) yield STEP;
  store(m.state.extra, promise, SYNCED);
}

/** Any read(2) of the page: it holds it for a moment. */
function* look(task: Task, m: Machine): Op<void> {
  const pfn = yield* findFolio(task, m, FILE, 0);
  yield* putFolio(task, m, pfn);
}
