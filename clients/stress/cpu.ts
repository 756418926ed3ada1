// The job of one CPU: it picks operations by weight until it is told to stop.

import { closePipe, SplicePipe } from '../../engine/dma/vmsplice.js';
import { mmap, munmap, VM } from '../../engine/mm/vma.js';
import type { BlockingDriver } from '../../engine/sched/blocking.js';
import type { Op } from '../../engine/sched/op.js';
import { bufferedRead, bufferedWrite, mmapLoads, mmapStores } from './cpu-access.js';
import { type OwnFiles, readOwn, roundTrip, storePage } from './cpu-direct.js';
import { remoteWrite, ShortPins, splice } from './cpu-pin.js';
import { cutShort, fsyncOne, kickFlusher, punch, reclaim } from './cpu-sync.js';
import { type Job, Scratch } from './job.js';
import { ANONYMOUS_PAGES, BATCH_PAGES } from './limits.js';
import { PromiseBook } from './promise.js';
import { PAGE_BYTES } from './stamp.js';

interface Choice {
  readonly weight: number;
  readonly run: () => Op<void>;
}

function* setUp(job: Job): Op<OwnFiles> {
  const own = job.plan.files.filter((file) => file.owner === job.worker);
  const anonymousVpn = yield* mmap(job.task, job.m, job.mm, {
    pages: ANONYMOUS_PAGES,
    flags: VM.read | VM.write,
    inode: -1,
    pgoff: 0,
    vpn: -1,
  });
  return { direct: own[0], buffer: own[1], anonymousVpn };
}

/** Runs CPU `job.worker` until the board says stop; gives all its pins back. */
export function runCpu(job: Job, driver: BlockingDriver): void {
  const { task, board, random, m } = job;
  const own = driver.run(task, setUp(job));
  const pins = new ShortPins(job);
  const pipe = new SplicePipe(2 * BATCH_PAGES);
  const choices = choicesOf(job, own, pins, pipe);
  const total = choices.reduce((sum, choice) => sum + choice.weight, 0);
  while (!board.stopping && !m.panicked) {
    let at = random.below(total);
    let i = 0;
    while (at >= choices[i].weight) at -= choices[i++].weight;
    driver.run(task, choices[i].run());
    if (pins.count > 0) driver.run(task, pins.reap(false));
  }
  if (m.panicked) return;
  driver.run(task, pins.reap(true));
  driver.run(task, closePipe(task, m, pipe));
  driver.run(task, munmap(task, m, job.mm, own.anonymousVpn));
}

/** What a CPU does, and how often: the rare ones are those that take long or cut deep. */
function choicesOf(job: Job, own: OwnFiles, pins: ShortPins, pipe: SplicePipe): Choice[] {
  const scratch = new Scratch();
  const spliced = new Uint8Array(2 * BATCH_PAGES * PAGE_BYTES);
  const book = new PromiseBook(job.tables);
  return [
    { weight: 4000, run: () => mmapStores(job, scratch) },
    { weight: 1500, run: () => mmapLoads(job, scratch) },
    { weight: 1000, run: () => bufferedWrite(job, scratch) },
    { weight: 600, run: () => bufferedRead(job, scratch) },
    { weight: 1000, run: () => pins.handOver() },
    { weight: 400, run: () => remoteWrite(job, scratch) },
    { weight: 100, run: () => splice(job, pipe, spliced) },
    { weight: 60, run: () => roundTrip(job, own, scratch) },
    { weight: 100, run: () => storePage(job, own, scratch) },
    { weight: 60, run: () => readOwn(job, own, scratch) },
    { weight: 30, run: () => fsyncOne(job, book) },
    { weight: 20, run: () => kickFlusher(job) },
    { weight: 2, run: () => cutShort(job) },
    { weight: 10, run: () => punch(job) },
    { weight: 20, run: () => reclaim(job) },
  ];
}
