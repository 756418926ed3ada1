// Ordinary accesses of a CPU: stores and loads through mappings, write(2) and read(2).

import { readFile, writeFile } from '../../engine/fs/file.js';
import { loadUser, storeUser } from '../../engine/mm/access.js';
import type { Op } from '../../engine/sched/op.js';
import {
  anySpot,
  closeClaim,
  type Job,
  openClaim,
  reportCell,
  type Scratch,
  type Spot,
  tolerate,
} from './job.js';
import { RUN_PAGES } from './limits.js';
import { type Claim, judge, newClaim } from './oracle.js';
import { cellOwner } from './plan.js';
import {
  CELL_BYTES,
  CELL_WORDS,
  CELLS_PER_PAGE,
  newCell,
  PAGE_BYTES,
  readCell,
  writeStamp,
} from './stamp.js';
import { EVENT } from './tables.js';

/** Stores of the CPU's own cell of some pages in a row, through the mapping. */
export function* mmapStores(job: Job, scratch: Scratch): Op<void> {
  const { file, page } = anySpot(job);
  const last = Math.min(file.pages, page + 1 + job.random.below(RUN_PAGES)) - 1;
  for (let i = page; i <= last; i++) yield* mmapStore(job, scratch, { file, page: i });
}

function* mmapStore(job: Job, scratch: Scratch, spot: Spot): Op<void> {
  const { m, task, tables, worker, board } = job;
  const { file, page } = spot;
  const cuts = tables.cutsBefore(file, page);
  const sequence = tables.begin(file, page, worker);
  writeStamp(scratch.cellWords, 0, worker, sequence, file.number, page);
  try {
    const vpn = job.vpns[file.number] + page;
    yield* storeUser(task, m, job.mm, vpn, worker * CELL_BYTES, scratch.cell);
  } catch (error) {
    tolerate(job, error, spot, cuts);
    return;
  }
  tables.answer(file, page, worker, sequence, cuts);
  tables.note(file, page, EVENT.store);
  board.add(worker, 'mmap-store');
  board.add(worker, 'storeBytes', CELL_BYTES);
}

/** A buffered write of the same. */
export function* bufferedWrite(job: Job, scratch: Scratch): Op<void> {
  const { v, task, tables, worker, board } = job;
  const spot = anySpot(job);
  const { file, page } = spot;
  const cuts = tables.cutsBefore(file, page);
  const sequence = tables.begin(file, page, worker);
  writeStamp(scratch.cellWords, 0, worker, sequence, file.number, page);
  const offset = page * PAGE_BYTES + worker * CELL_BYTES;
  try {
    yield* writeFile(task, v, job.inodes[file.number], offset, scratch.cell);
  } catch (error) {
    tolerate(job, error, spot, cuts);
    return;
  }
  tables.answer(file, page, worker, sequence, cuts);
  tables.note(file, page, EVENT.write);
  board.add(worker, 'write');
  board.add(worker, 'storeBytes', CELL_BYTES);
}

const cell = newCell();
const claims: Claim[] = Array.from({ length: CELLS_PER_PAGE }, newClaim);

/** Loads of anybody's cells through the mapping: what is found must be legal just now. */
export function* mmapLoads(job: Job, scratch: Scratch): Op<void> {
  const { file, page } = anySpot(job);
  const last = Math.min(file.pages, page + 1 + job.random.below(RUN_PAGES)) - 1;
  for (let i = page; i <= last; i++) yield* mmapLoad(job, scratch, { file, page: i });
}

function* mmapLoad(job: Job, scratch: Scratch, spot: Spot): Op<void> {
  const { m, task, tables, worker, board, plan } = job;
  const writer = job.random.below(plan.writers);
  const cuts = tables.cutsBefore(spot.file, spot.page);
  const claim = claims[writer];
  openClaim(job.tables, spot, writer, claim);
  try {
    const vpn = job.vpns[spot.file.number] + spot.page;
    yield* loadUser(task, m, job.mm, vpn, writer * CELL_BYTES, scratch.cell);
  } catch (error) {
    tolerate(job, error, spot, cuts);
    return;
  }
  closeClaim(job.tables, spot, writer, claim);
  checkCell(job, spot, scratch.cellWords, 0, writer, claim);
  board.add(worker, 'mmap-load');
}

/** A read of a page of a shared file. */
export function* bufferedRead(job: Job, scratch: Scratch): Op<void> {
  const { v, task, tables, board, worker, plan } = job;
  const spot = anySpot(job);
  const cuts = tables.cutsBefore(spot.file, spot.page);
  for (let writer = 0; writer < plan.writers; writer++) {
    openClaim(job.tables, spot, writer, claims[writer]);
  }
  let length = 0;
  try {
    const inode = job.inodes[spot.file.number];
    length = yield* readFile(task, v, inode, spot.page * PAGE_BYTES, scratch.page);
  } catch (error) {
    tolerate(job, error, spot, cuts);
    return;
  }
  // Short: the file is truncated just now, and what lies past its end reads as nothing.
  scratch.page.fill(0, length);
  checkPage(job, spot, scratch.pageWords, null);
  board.add(worker, 'read');
}

/**
 * Judges all cells of a page.
 * @param whole the claim opened on a page that one CPU owns; null: those of the writers were opened
 */
export function checkPage(job: Job, spot: Spot, words: Int32Array, whole: Claim | null): void {
  for (let i = 0; i < CELLS_PER_PAGE; i++) {
    const writer = cellOwner(job.plan, spot.file, i);
    const claim = whole ?? claims[i];
    if (writer >= 0) closeClaim(job.tables, spot, writer, claim);
    else claim.floor = claim.invoked = 0;
    checkCell(job, spot, words, i * CELL_WORDS, writer, claim);
  }
}

function checkCell(
  job: Job,
  spot: Spot,
  words: Int32Array,
  at: number,
  writer: number,
  claim: Claim,
): void {
  readCell(words, at, cell);
  const kind = judge(cell, { writer, file: spot.file.stampedAs, page: spot.page }, claim);
  job.board.add(job.worker, 'cellsRead');
  if (kind !== null) reportCell(job, kind, spot, writer, cell, claim);
}
