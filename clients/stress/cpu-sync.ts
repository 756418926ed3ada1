// What a CPU does to whole files: fsync, background writeback, truncate, punch; and reclaim.

import { fsync } from '../../engine/fs/file.js';
import { punchHole, truncate } from '../../engine/fs/truncate.js';
import { GLOBAL } from '../../engine/memory/layout.js';
import { breakLease, endBreak } from '../../engine/mm/lease.js';
import { ring, shrink } from '../../engine/mm/reclaim.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Op } from '../../engine/sched/op.js';
import { type Job, reportError, sharedFile } from './job.js';
import { HOT_PAGES, REGISTERED_PAGES } from './limits.js';
import type { PromiseBook } from './promise.js';
import { CELL_BYTES, CELLS_PER_PAGE, PAGE_BYTES } from './stamp.js';
import { EVENT } from './tables.js';

/** Frames that one call of reclaim asks for. */
const RECLAIM_FRAMES = 512;

/** fsync of any file; what was answered when it began is promised once it returns. */
export function* fsyncOne(job: Job, book: PromiseBook): Op<void> {
  const { plan, random, tables, board, worker } = job;
  const file = random.oneIn(4) ? plan.files[random.below(plan.files.length)] : sharedFile(job);
  const promises = book.open(file);
  let kept = false;
  try {
    yield* fsync(job.task, job.v, job.inodes[file.number]);
    kept = true;
  } catch (error) {
    if (!(error instanceof Errno) || job.m.panicked) throw error;
    reportError(job, error, { file, page: 0 });
  } finally {
    if (promises) book.close(kept);
  }
  const noted = file.use === 'shared' ? REGISTERED_PAGES + HOT_PAGES : 0;
  for (let page = 0; page < noted; page++) tables.note(file, page, EVENT.fsync);
  board.add(worker, 'fsync');
}

/** Wakes the flusher. */
export function* kickFlusher(job: Job): Op<void> {
  ring(job.m, GLOBAL.flusherBell);
  job.board.add(job.worker, 'writeback');
}

/** Cuts a file short and makes it whole again; mostly near its end. */
export function* cutShort(job: Job): Op<void> {
  const { random, tables } = job;
  const file = sharedFile(job);
  const near = random.below(8) > 0 ? file.pages >>> 3 : file.pages;
  const page = file.pages - 1 - random.below(near);
  const within = random.oneIn(4) ? random.below(CELLS_PER_PAGE) * CELL_BYTES : 0;
  const inode = job.inodes[file.number];
  tables.countCuts(file, page, file.pages - 1, false);
  try {
    yield* withoutLease(job, inode, function* () {
      yield* truncate(job.task, job.v, inode, page * PAGE_BYTES + within);
      yield* truncate(job.task, job.v, inode, file.pages * PAGE_BYTES);
    });
  } catch (error) {
    if (!(error instanceof Errno) || job.m.panicked) throw error;
    reportError(job, error, { file, page });
    return;
  }
  tables.countCuts(file, page, file.pages - 1, true);
  job.board.add(job.worker, 'truncate');
}

/** Punches a hole of some pages, or of some cells. */
export function* punch(job: Job): Op<void> {
  const { random, tables } = job;
  const file = sharedFile(job);
  const hot = REGISTERED_PAGES + HOT_PAGES;
  const page = random.below(random.oneIn(2) ? hot : file.pages);
  const count = Math.min(1 + random.below(8), file.pages - page);
  const within = random.oneIn(4) ? random.below(CELLS_PER_PAGE) * CELL_BYTES : 0;
  tables.countCuts(file, page, page + count - 1, false);
  try {
    const inode = job.inodes[file.number];
    const length = count * PAGE_BYTES - within;
    yield* withoutLease(job, inode, () =>
      punchHole(job.task, job.v, inode, page * PAGE_BYTES + within, length),
    );
  } catch (error) {
    if (!(error instanceof Errno) || job.m.panicked) throw error;
    reportError(job, error, { file, page });
    return;
  }
  tables.countCuts(file, page, page + count - 1, true);
  job.board.add(job.worker, 'punch');
}

/** Cuts a file as the system calls do: where long pins need a lease, it is broken first. */
function* withoutLease(job: Job, inode: number, cut: () => Op<void>): Op<void> {
  if (job.m.profile.longtermFilePin !== 'lease') {
    yield* cut();
    return;
  }
  yield* breakLease(job.task, job.m, inode);
  try {
    yield* cut();
  } finally {
    yield* endBreak(job.m, inode);
  }
}

/** Memory pressure. */
export function* reclaim(job: Job): Op<void> {
  yield* shrink(job.task, job.m, RECLAIM_FRAMES);
  job.board.add(job.worker, 'reclaim');
}
