// Direct I/O of a CPU on files of its own: from anonymous memory to the file, and from the file into
// mapped pages of another one, which the block device then stores into (kernel.md 4.8).

import { directReadInto, directWriteFrom } from '../../engine/dma/direct-io.js';
import { directRead, directWrite } from '../../engine/fs/direct.js';
import { readFile } from '../../engine/fs/file.js';
import { storeUser } from '../../engine/mm/access.js';
import type { Op } from '../../engine/sched/op.js';
import { checkPage } from './cpu-access.js';
import { type Job, openClaim, type Scratch, type Spot, tolerate } from './job.js';
import { BATCH_PAGES } from './limits.js';
import { newClaim } from './oracle.js';
import { type FilePlan, rowOf } from './plan.js';
import { CELL_WORDS, CELLS_PER_PAGE, PAGE_BYTES, writeStamp } from './stamp.js';
import { EVENT } from './tables.js';

/** The files of a CPU: stamps in the direct file are made out to the same page of the buffer file. */
export interface OwnFiles {
  readonly direct: FilePlan;
  readonly buffer: FilePlan;
  /** Where the anonymous memory is mapped. */
  readonly anonymousVpn: number;
}

const pfns = new Int32Array(BATCH_PAGES);
const sequences = new Int32Array(BATCH_PAGES);

/** Fills a page with stamps of one sequence. */
function stampPage(words: Int32Array, writer: number, sequence: number, spot: Spot): void {
  for (let i = 0; i < CELLS_PER_PAGE; i++) {
    writeStamp(words, i * CELL_WORDS, writer, sequence, spot.file.number, spot.page);
  }
}

/** Writes some pages directly, then (half of the time) reads them directly into mapped pages. */
export function* roundTrip(job: Job, own: OwnFiles, scratch: Scratch): Op<void> {
  const { random, tables, worker, board } = job;
  const count = 1 + random.below(BATCH_PAGES);
  const page = random.below(own.direct.pages - count + 1);
  for (let i = 0; i < count; i++) {
    sequences[i] = tables.begin(own.direct, page + i, worker);
    stampPage(scratch.pageWords, worker, sequences[i], { file: own.buffer, page: page + i });
    yield* storeUser(job.task, job.m, job.mm, own.anonymousVpn + i, 0, scratch.page);
  }
  const written = yield* directWriteFrom(
    job.task,
    job.m,
    job.mm,
    own.anonymousVpn,
    count,
    (at, frames, pages) =>
      directWrite(
        job.task,
        job.v,
        job.inodes[own.direct.number],
        (page + at) * PAGE_BYTES,
        frames,
        pages,
      ),
    pfns,
  );
  for (let i = 0; i < written; i++) tables.answer(own.direct, page + i, worker, sequences[i], 0);
  board.add(worker, 'direct-write');
  board.add(worker, 'pagesPinned', written);
  if (random.oneIn(2)) yield* readInto(job, own, page, written);
}

/** Reads pages of the direct file into the buffer file's mapping: the device stores all of them. */
function* readInto(job: Job, own: OwnFiles, page: number, count: number): Op<void> {
  const { tables, worker, board } = job;
  for (let i = 0; i < count; i++) {
    tables.throughPin[rowOf(own.buffer, page + i, worker)] = 1;
    tables.beginAs(own.buffer, page + i, worker, sequences[i]);
    tables.note(own.buffer, page + i, EVENT.shortPin);
  }
  const done = yield* directReadInto(
    job.task,
    job.m,
    job.mm,
    job.vpns[own.buffer.number] + page,
    count,
    (at, frames, pages) =>
      directRead(
        job.task,
        job.v,
        job.inodes[own.direct.number],
        (page + at) * PAGE_BYTES,
        frames,
        pages,
      ),
    pfns,
  );
  for (let i = 0; i < done; i++) {
    tables.answer(own.buffer, page + i, worker, sequences[i], 0);
    tables.note(own.buffer, page + i, EVENT.dma);
  }
  board.add(worker, 'direct-read');
  board.add(worker, 'pagesPinned', done);
  board.add(worker, 'dmaBytes', done * PAGE_BYTES);
}

/** Stores a whole page of the buffer file through its mapping. */
export function* storePage(job: Job, own: OwnFiles, scratch: Scratch): Op<void> {
  const { tables, worker, board } = job;
  const file = own.buffer;
  const page = job.random.below(file.pages);
  const sequence = tables.begin(file, page, worker);
  stampPage(scratch.pageWords, worker, sequence, { file, page });
  yield* storeUser(job.task, job.m, job.mm, job.vpns[file.number] + page, 0, scratch.page);
  tables.answer(file, page, worker, sequence, 0);
  tables.note(file, page, EVENT.store);
  board.add(worker, 'mmap-store');
  board.add(worker, 'storeBytes', PAGE_BYTES);
}

/** Reads a page of one of the CPU's own files back and checks all of it. */
export function* readOwn(job: Job, own: OwnFiles, scratch: Scratch): Op<void> {
  const file = job.random.oneIn(2) ? own.direct : own.buffer;
  const spot = { file, page: job.random.below(file.pages) };
  const claim = newClaim();
  openClaim(job.tables, spot, job.worker, claim);
  try {
    const inode = job.inodes[file.number];
    yield* readFile(job.task, job.v, inode, spot.page * PAGE_BYTES, scratch.page);
  } catch (error) {
    tolerate(job, error, spot, 0);
    return;
  }
  checkPage(job, spot, scratch.pageWords, claim);
  job.board.add(job.worker, 'read');
}
