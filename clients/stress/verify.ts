// Reading everything back: every byte of every cell of every file, judged after a crash against what
// was promised, and at the end against what was answered.

import type { Finding, FindingKind } from '../../engine/finding.js';
import { readFile } from '../../engine/fs/file.js';
import type { Volume } from '../../engine/fs/volume.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { hazardOfLoss, isChecksumMessage } from './classify.js';
import { explain, judge, newClaim } from './oracle.js';
import { cellOwner, type FilePlan, rowOf, writerName } from './plan.js';
import {
  CELL_WORDS,
  CELLS_PER_PAGE,
  type Cell,
  newCell,
  PAGE_BYTES,
  PAGE_WORDS,
  readCell,
} from './stamp.js';
import type { Tables } from './tables.js';

/** `crash`: at least what fsync promised. `final`: at least what was answered, and nothing half. */
export type VerifyMode = 'crash' | 'final';

/** A finding, how often there was one of its hazard and kind, and the first of them in full. */
export interface Counted {
  readonly finding: Finding;
  count: number;
}

/** Pages read at one time. */
const CHUNK = 64;

/** Reads and judges the files of one mounted volume. */
export class Verifier {
  cells = 0;
  readonly findings: Counted[] = [];
  /** Pages, among all pages, whose contents nobody can vouch for. */
  readonly spoiled = new Set<number>();
  /** The oldest and the newest sequence found in each row. */
  readonly oldest: Int32Array;
  readonly newest: Int32Array;
  private readonly words = new Int32Array(CHUNK * PAGE_WORDS);
  private readonly bytes = new Uint8Array(this.words.buffer);
  private readonly cell = newCell();
  private readonly claim = newClaim();

  constructor(
    private readonly v: Volume,
    private readonly tables: Tables,
    private readonly mode: VerifyMode,
  ) {
    const { rows } = tables.plan;
    this.oldest = new Int32Array(rows).fill(-1);
    this.newest = new Int32Array(rows);
  }

  /** Reads and judges a file. @param inode its slot; -1: it is not there, and so all of it zero */
  *file(task: Task, file: FilePlan, inode: number): Op<void> {
    for (let page = 0; page < file.pages; page += CHUNK) {
      const count = Math.min(CHUNK, file.pages - page);
      this.bytes.fill(0);
      if (inode >= 0) yield* this.read(task, file, inode, page, count);
      for (let i = 0; i < count; i++) {
        if (this.spoiled.has(file.firstPage + page + i)) continue;
        this.page(task, file, page + i, i * PAGE_WORDS);
      }
    }
  }

  /** The books begin anew with what was found; spoiled pages will be punched. */
  reseed(): void {
    const { tables, oldest, newest } = this;
    for (const file of tables.plan.files) {
      for (let page = 0; page < file.pages; page++) {
        const spoiled = this.spoiled.has(file.firstPage + page);
        const first = file.firstRow + page * file.rowsPerPage;
        for (let row = first; row < first + file.rowsPerPage; row++) {
          const floor = spoiled ? 0 : Math.max(0, oldest[row]);
          tables.answered[row] = tables.durable[row] = floor;
          tables.invoked[row] = spoiled ? 0 : newest[row];
        }
      }
    }
    for (const words of [tables.answeredCuts, tables.durableCuts, tables.cutsStarted])
      words.fill(0);
    // Not the events: what was just found has yet to be told, with its page's story.
    for (const words of [tables.cutsEnded, tables.longPins]) words.fill(0);
    tables.promising.fill(0);
    tables.throughPin.fill(0);
    tables.pinned.fill(0);
  }

  /** A run of pages; if some can't be read, one by one. */
  private *read(task: Task, file: FilePlan, inode: number, page: number, count: number): Op<void> {
    const target = this.bytes.subarray(0, count * PAGE_BYTES);
    try {
      yield* readFile(task, this.v, inode, page * PAGE_BYTES, target);
      return;
    } catch (error) {
      this.expectErrno(error);
    }
    target.fill(0);
    for (let i = 0; i < count; i++) {
      const one = target.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
      try {
        yield* readFile(task, this.v, inode, (page + i) * PAGE_BYTES, one);
      } catch (error) {
        const { message } = this.expectErrno(error);
        // A wrong checksum has been reported by the file system.
        if (!isChecksumMessage(message)) {
          this.add(task, file, page + i, 'spurious-error', null, message);
        }
        this.spoiled.add(file.firstPage + page + i);
      }
    }
  }

  /** An errno of a machine that still runs; anything else goes up. */
  private expectErrno(error: unknown): Errno {
    if (error instanceof Errno && !this.v.m.panicked) return error;
    throw error;
  }

  private page(task: Task, file: FilePlan, page: number, at: number): void {
    const { cell, tables, claim } = this;
    for (let i = 0; i < CELLS_PER_PAGE; i++) {
      readCell(this.words, at + i * CELL_WORDS, cell);
      this.cells++;
      const writer = cellOwner(tables.plan, file, i);
      const kind = this.judgeCell(file, page, writer, cell);
      if (kind !== null) {
        const lost = kind === 'lost-write';
        const hazard = lost ? hazardOfLoss(tables.plan, this.v.m.profile.name, writer) : null;
        const who = writer < 0 ? 'nobody' : writerName(tables.plan, writer);
        this.add(task, file, page, kind, hazard, `cell ${i} of ${who}: ${explain(cell, claim)}`);
      }
      if (cell.kind === 'broken' || kind === 'foreign-write') {
        this.spoiled.add(file.firstPage + page);
      } else if (writer >= 0) {
        this.found(rowOf(file, page, writer), cell.kind === 'zero' ? 0 : cell.sequence);
      }
    }
  }

  private found(row: number, sequence: number): void {
    if (this.oldest[row] < 0 || sequence < this.oldest[row]) this.oldest[row] = sequence;
    if (sequence > this.newest[row]) this.newest[row] = sequence;
  }

  private judgeCell(file: FilePlan, page: number, writer: number, cell: Cell): FindingKind | null {
    const { tables, claim } = this;
    const place = { writer, file: file.stampedAs, page };
    claim.floor = claim.invoked = 0;
    if (writer >= 0) {
      const row = rowOf(file, page, writer);
      const crash = this.mode === 'crash';
      claim.floor = crash ? tables.durable[row] : tables.answered[row];
      claim.floorCuts = crash ? tables.durableCuts[row] : tables.answeredCuts[row];
      claim.invoked = tables.invoked[row];
      claim.cutsStarted = tables.cutsStarted[file.firstPage + page];
      claim.mayBeHalf = crash && tables.throughPin[row] !== 0;
    }
    return judge(cell, place, claim);
  }

  private add(
    task: Task,
    file: FilePlan,
    page: number,
    kind: FindingKind,
    hazard: string | null,
    what: string,
  ): void {
    const when = this.mode === 'crash' ? 'after the crash' : 'at the end';
    const message = `${when}, ${file.name} page ${page}: ${what}; ${this.tables.story(file, page)}`;
    const known = this.findings.find(
      (one) => one.finding.kind === kind && one.finding.hazard === hazard,
    );
    if (known !== undefined) {
      known.count++;
      return;
    }
    this.findings.push({ finding: { kind, hazard, task: task.name, message }, count: 1 });
  }
}
