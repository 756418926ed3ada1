// The oracle's books, in shared memory: for each (page, writer) what was begun, what was answered
// and what an fsync promised; for each page how often it was cut (truncate, punch).
//
// A writer's rows are written by that writer alone, those of `durable` by whoever holds the file's
// promise word. Readers on other threads take the words in the order that makes their view older,
// never newer, than what it is compared with.

import { handedOver } from '../../engine/memory/layout.js';
import type { FilePlan, Plan } from './plan.js';
import { rowOf } from './plan.js';

/** What last happened to a page, for the story of a finding: milliseconds since the run began, plus 1. */
export const EVENT = {
  store: 0,
  write: 1,
  dma: 2,
  shortPin: 3,
  longPin: 4,
  longUnpin: 5,
  fsync: 6,
  cut: 7,
  words: 8,
} as const;

const EVENT_NAMES = [
  'stored to through a mapping',
  'written by write(2)',
  'written by DMA',
  'pinned for short',
  'pinned for long',
  'unpinned after long',
  'fsynced',
  'cut',
] as const;

export interface TablesShared {
  readonly plan: Plan;
  readonly buffer: SharedArrayBuffer;
  /** performance.timeOrigin + now() at the start, in ms, so that all threads agree on the time. */
  readonly startMs: number;
}

export class Tables {
  readonly plan: Plan;
  /** Last sequence begun and last answered. */
  readonly invoked: Int32Array;
  readonly answered: Int32Array;
  /** Cuts of the page that had ended when the last answered write began (DMA: when its PIN began). */
  readonly answeredCuts: Int32Array;
  /** What an fsync has promised: a sequence, and its cuts. */
  readonly durable: Int32Array;
  readonly durableCuts: Int32Array;
  /** Not 0: the row was also written through a pin, so a crash may leave half a stamp. */
  readonly throughPin: Uint8Array;
  /** Not 0: a short pin that will write this row is out, so that no second one is taken. */
  readonly pinned: Uint8Array;
  readonly cutsStarted: Int32Array;
  readonly cutsEnded: Int32Array;
  /** Long pins on a page. */
  readonly longPins: Int32Array;
  readonly events: Int32Array;
  /** Last sequence of each writer. */
  readonly sequence: Int32Array;
  /** Per file: not 0 while somebody writes down what an fsync of it promises. */
  readonly promising: Int32Array;

  constructor(readonly shared: TablesShared) {
    const { plan, buffer } = shared;
    this.plan = plan;
    let at = 0;
    const words = (count: number): Int32Array => {
      at += count * 4;
      return new Int32Array(buffer, at - count * 4, count);
    };
    this.invoked = words(plan.rows);
    this.answered = words(plan.rows);
    this.answeredCuts = words(plan.rows);
    this.durable = words(plan.rows);
    this.durableCuts = words(plan.rows);
    this.cutsStarted = words(plan.pages);
    this.cutsEnded = words(plan.pages);
    this.longPins = words(plan.pages);
    this.events = words(plan.pages * EVENT.words);
    this.sequence = words(plan.writers);
    this.promising = words(plan.files.length);
    this.throughPin = new Uint8Array(buffer, at, plan.rows);
    this.pinned = new Uint8Array(buffer, at + plan.rows, plan.rows);
  }

  /** Milliseconds since the run began. */
  now(): number {
    return performance.timeOrigin + performance.now() - this.shared.startMs;
  }

  /** Notes an event of a page for the story of a finding. */
  note(file: FilePlan, page: number, event: number): void {
    this.events[(file.firstPage + page) * EVENT.words + event] = (this.now() | 0) + 1;
  }

  /** Cuts of a page that have ended: what a write is begun with. */
  cutsBefore(file: FilePlan, page: number): number {
    return Atomics.load(this.cutsEnded, file.firstPage + page);
  }

  /** The writer begins a write of its cell (of a whole page, in its own file). @returns its sequence */
  begin(file: FilePlan, page: number, writer: number): number {
    const sequence = Atomics.add(this.sequence, writer, 1) + 1;
    Atomics.store(this.invoked, rowOf(file, page, writer), sequence);
    return sequence;
  }

  /** The writer begins to write, by another way, what it has begun as `sequence` elsewhere. */
  beginAs(file: FilePlan, page: number, writer: number, sequence: number): void {
    Atomics.store(this.invoked, rowOf(file, page, writer), sequence);
  }

  /**
   * The write is answered: from now on it must be found. Not for a write through a pin that is older
   * than a cut of its page: such a page is out of the account, and what was begun just may be found.
   * @param cuts cutsBefore() the write or its pin
   */
  answer(file: FilePlan, page: number, writer: number, sequence: number, cuts: number): void {
    const row = rowOf(file, page, writer);
    Atomics.store(this.answered, row, sequence);
    Atomics.store(this.answeredCuts, row, cuts);
  }

  /** Has the page been cut since `cuts` were counted, or is it being cut? */
  cutSince(file: FilePlan, page: number, cuts: number): boolean {
    return Atomics.load(this.cutsStarted, file.firstPage + page) > cuts;
  }

  /** Pages [from, to] of the file are about to be cut, or were. */
  countCuts(file: FilePlan, from: number, to: number, ended: boolean): void {
    const counts = ended ? this.cutsEnded : this.cutsStarted;
    for (let page = from; page <= to; page++) {
      Atomics.add(counts, file.firstPage + page, 1);
      this.note(file, page, EVENT.cut);
    }
  }

  /** When and how a page was last touched, and what its rows say. */
  story(file: FilePlan, page: number): string {
    const at = (file.firstPage + page) * EVENT.words;
    const events = EVENT_NAMES.flatMap((name, i) => {
      const time = this.events[at + i];
      return time === 0 ? [] : [`${name} at ${((time - 1) / 1000).toFixed(3)} s`];
    });
    const cuts = `cut ${this.cutsStarted[file.firstPage + page]} times (${this.cutsEnded[file.firstPage + page]} ended)`;
    const pins = this.longPins[file.firstPage + page];
    return [...events, cuts, ...(pins > 0 ? [`${pins} long pins held`] : [])].join('; ');
  }
}

/** New books for a run; all zero. */
export function newTables(plan: Plan, startMs: number): Tables {
  const { rows, pages, writers, files } = plan;
  const words = rows * 5 + pages * (3 + EVENT.words) + writers + files.length;
  return new Tables({ plan, buffer: new SharedArrayBuffer(words * 4 + rows * 2), startMs });
}

/** The books that another thread handed over. */
export function attachTables(shared: unknown): Tables {
  return new Tables(handedOver<TablesShared>(shared));
}
