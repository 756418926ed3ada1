// What every CPU and device of a run has at hand: the machine, the volume, the oracle's books.

import type { FindingKind } from '../../engine/finding.js';
import type { Volume } from '../../engine/fs/volume.js';
import type { Machine } from '../../engine/machine.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Task } from '../../engine/sched/op.js';
import type { Board } from './board.js';
import { hazardOfLoss, isChecksumMessage } from './classify.js';
import type { DmaQueue } from './dma-queue.js';
import { HOT_PAGES, REGISTERED_PAGES } from './limits.js';
import { type Claim, explain } from './oracle.js';
import type { FilePlan, Plan } from './plan.js';
import { rowOf } from './plan.js';
import type { Random } from './random.js';
import { CELL_WORDS, type Cell, PAGE_WORDS } from './stamp.js';
import type { Tables } from './tables.js';

export interface Job {
  readonly m: Machine;
  readonly v: Volume;
  readonly task: Task;
  readonly plan: Plan;
  readonly tables: Tables;
  readonly board: Board;
  readonly random: Random;
  /** Its number as a writer. */
  readonly worker: number;
  /** Address space, and where in it each file is mapped (-1: it is not). */
  readonly mm: number;
  readonly vpns: readonly number[];
  /** Inode slots of the files. */
  readonly inodes: readonly number[];
  readonly queues: readonly DmaQueue[];
}

/** One cell to store, and one page to read into. One of each per job. */
export class Scratch {
  readonly cellWords = new Int32Array(CELL_WORDS);
  readonly cell = new Uint8Array(this.cellWords.buffer);
  readonly pageWords = new Int32Array(PAGE_WORDS);
  readonly page = new Uint8Array(this.pageWords.buffer);
}

export interface Spot {
  readonly file: FilePlan;
  readonly page: number;
}

/** Any page of a shared file; most often one that others go to as well. */
export function anySpot(job: Job): Spot {
  const { random } = job;
  const file = sharedFile(job);
  const kind = random.below(10);
  if (kind < 2) return { file, page: random.below(REGISTERED_PAGES) };
  if (kind < 6) return { file, page: REGISTERED_PAGES + random.below(HOT_PAGES) };
  return { file, page: random.below(file.pages) };
}

/** A page that short pins may go to. */
export function unregisteredSpot(job: Job): Spot {
  const { random } = job;
  const file = sharedFile(job);
  const within = random.below(4) > 0 ? HOT_PAGES : file.pages - REGISTERED_PAGES;
  return { file, page: REGISTERED_PAGES + random.below(within) };
}

export function sharedFile(job: Job): FilePlan {
  const shared = job.plan.files.length - 2 * job.plan.cpus;
  return job.plan.files[job.random.below(shared)];
}

/**
 * May an access of this page fail so? Past the end of a file that is just being truncated it is a
 * SIGBUS. Anything else that is an errno is a finding; what is none goes up.
 * @param cuts cutsBefore() the access
 */
export function tolerate(job: Job, error: unknown, spot: Spot, cuts: number): void {
  if (!(error instanceof Errno) || job.m.panicked) throw error;
  const { tables, board, worker } = job;
  if (error.code === 'EIO' && tables.cutSince(spot.file, spot.page, cuts)) {
    board.add(worker, 'sigbus');
  } else {
    reportError(job, error, spot);
  }
}

/** An error that no rule and no workload explains. A wrong checksum the file system reports itself. */
export function reportError(job: Job, error: Errno, spot: Spot): void {
  if (!isChecksumMessage(error.message)) report(job, 'spurious-error', null, spot, error.message);
}

export function report(
  job: Job,
  kind: FindingKind,
  hazard: string | null,
  spot: Spot,
  what: string,
): void {
  const { file, page } = spot;
  job.m.report({
    kind,
    hazard,
    task: job.task.name,
    message: `${file.name} page ${page}: ${what}; ${job.tables.story(file, page)}`,
    page: { ino: job.m.state.ino[job.inodes[file.number]], index: page, pfn: 0 },
  });
}

/** What is known of a writer's cell before it is read: take the cuts before the sequence. */
export function openClaim(tables: Tables, spot: Spot, writer: number, claim: Claim): void {
  const row = rowOf(spot.file, spot.page, writer);
  claim.floorCuts = Atomics.load(tables.answeredCuts, row);
  claim.floor = Atomics.load(tables.answered, row);
}

/** What is known of it once it has been read. */
export function closeClaim(tables: Tables, spot: Spot, writer: number, claim: Claim): void {
  claim.cutsStarted = Atomics.load(tables.cutsStarted, spot.file.firstPage + spot.page);
  claim.invoked = Atomics.load(tables.invoked, rowOf(spot.file, spot.page, writer));
  claim.mayBeHalf = true;
}

/** Reports a cell that was read and is not legal. */
export function reportCell(
  job: Job,
  kind: FindingKind,
  spot: Spot,
  writer: number,
  cell: Cell,
  claim: Claim,
): void {
  const hazard = kind === 'lost-write' ? hazardOfLoss(job.plan, job.m.profile.name, writer) : null;
  report(job, kind, hazard, spot, `cell of writer ${writer}: ${explain(cell, claim)}`);
}
