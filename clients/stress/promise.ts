// What an fsync promises: the writes that were answered when it began are durable once it returns.

import type { FilePlan } from './plan.js';
import type { Tables } from './tables.js';

/** Takes down what a file's writers have been answered, to be promised later. One per CPU. */
export class PromiseBook {
  private readonly sequences: Int32Array;
  private readonly cuts: Int32Array;
  private file: FilePlan | null = null;

  constructor(private readonly tables: Tables) {
    const rows = Math.max(...tables.plan.files.map((file) => file.pages * file.rowsPerPage));
    this.sequences = new Int32Array(rows);
    this.cuts = new Int32Array(rows);
  }

  /** Before the fsync: false if another CPU is at it, so that this fsync promises nothing. */
  open(file: FilePlan): boolean {
    const { promising, answered, answeredCuts } = this.tables;
    if (Atomics.compareExchange(promising, file.number, 0, 1) !== 0) return false;
    this.file = file;
    const rows = file.pages * file.rowsPerPage;
    for (let i = 0; i < rows; i++) {
      // The cuts first: if a write is answered in between, they are too few, which promises less.
      this.cuts[i] = Atomics.load(answeredCuts, file.firstRow + i);
      this.sequences[i] = Atomics.load(answered, file.firstRow + i);
    }
    return true;
  }

  /** The fsync came back. @param kept did it succeed? */
  close(kept: boolean): void {
    const { file, tables } = this;
    if (file === null) return;
    this.file = null;
    const rows = file.pages * file.rowsPerPage;
    for (let i = 0; kept && i < rows; i++) {
      const row = file.firstRow + i;
      if (this.sequences[i] <= tables.durable[row]) continue;
      tables.durable[row] = this.sequences[i];
      tables.durableCuts[row] = this.cuts[i];
    }
    Atomics.store(tables.promising, file.number, 0);
  }
}
