// H0-c: a page that is pinned for long is cleaned, and its device goes on writing; fsync finds it clean.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import { store } from '../../engine/memory/word.js';
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
} from './pinned-page.js';
import {
  attachRegion,
  isRegistered,
  peerWrites,
  REGION_WORDS,
  regionWordName,
  registerRegion,
} from './region.js';

/** RDMA into a mapped file; the flusher, an fsync, and a power cut. */
export const H0C: Hazard = {
  id: 'H0-c',
  title:
    'the page of a long registration is cleaned; fsync does not see what the device writes next',
  source: 'kernel.md H0-c; Ts’o and Hubbard 2022',
  story:
    'A program has registered a page of a mapped file with an RDMA adapter, once and for all. The ' +
    'write fault of the registration told the file system that the page will be written. That held ' +
    'until the flusher wrote the page for the first time: from then on it is clean, and a peer that ' +
    'writes to it takes no fault. The program is told that the data have arrived, calls fsync, and ' +
    'fsync finds nothing to write and says that all is well. Then the power fails. (A rule that lets ' +
    'fsync wait for the pin has another end: the registration stays, and so does fsync.)',
  mayGoWrong: ['lost-write', 'hang'],
  program: (_profile, pageBytes) => h0c(pageBytes),
};

/** @param pageBytes LAB_PAGE_BYTES in the lab */
export function h0c(pageBytes = LAB_PAGE_BYTES): Program {
  const promise = stageWords(pageBytes);
  const region = promise + 1;
  const verify = (m: Machine): Finding[] => brokenPromise(m, 'H0-c', 'fsync', promise);
  return {
    name: 'H0-c',
    geometry: stageGeometry(pageBytes, 1 + REGION_WORDS),
    attach: (m) => {
      attachPlain(m);
      attachRegion(m, region);
    },
    setUp: function* (task, m) {
      yield* mapAndStore(task, m);
      yield* registerRegion(task, m, region);
    },
    actors: [
      { name: 'peer and program', run: (task, m) => receiveAndSync(task, m, region, promise) },
      { name: 'flusher', run: (task, m) => writeFile(task, m, 'none') },
      POWER_CUT,
    ],
    verify,
    verifyAfterCut: verify,
    nameOfExtra: (word) =>
      word === promise ? 'what fsync promised' : regionWordName(word - region),
  };
}

/** The peer's data arrive; the program, told of it, makes them durable. */
function* receiveAndSync(task: Task, m: Machine, region: number, promise: number): Op<void> {
  if (!isRegistered(m, region)) return;
  yield* peerWrites(task, m, region, BY_DEVICE);
  yield* writeFile(task, m, 'all');
  if (lab?.point()) yield STEP;
  store(m.state.extra, promise, BY_DEVICE);
}
