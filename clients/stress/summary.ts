// From what a run counted to its report.

import { type Board, OPERATIONS } from './board.js';
import type { FindingLog } from './findings.js';
import type { StressOptions } from './options.js';
import type { StressReport } from './report.js';
import { PAGE_BYTES } from './stamp.js';

export interface Outcome {
  readonly options: StressOptions;
  readonly board: Board;
  readonly log: FindingLog;
  /** How long jobs ran. */
  readonly seconds: number;
  readonly epochs: number;
  readonly pagesWritten: number;
  readonly verifiedCells: number;
  readonly fsckRuns: number;
  readonly damages: readonly string[];
}

export function summarize(outcome: Outcome): StressReport {
  const { options, board, seconds, pagesWritten, damages } = outcome;
  const findings = outcome.log.summary();
  const unexpected = findings.filter((one) => !one.expected);
  const perSecond = (bytes: number): number => (seconds > 0 ? bytes / seconds / 1e9 : 0);
  return {
    profile: options.profile,
    seed: options.seed,
    cpus: options.cpus,
    devices: options.devices,
    seconds,
    aborted: options.signal?.aborted === true,
    epochs: outcome.epochs,
    operations: Object.fromEntries(OPERATIONS.map((name) => [name, board.total(name)])),
    gigabytesPerSecond: {
      cpuStores: perSecond(board.total('storeBytes')),
      dma: perSecond(board.total('dmaBytes')),
      writeback: perSecond(pagesWritten * PAGE_BYTES),
    },
    pagesPinned: board.total('pagesPinned'),
    pagesWrittenBack: pagesWritten,
    findings,
    fsck: { runs: outcome.fsckRuns, clean: damages.length === 0, damages },
    verifiedCells: outcome.verifiedCells,
    cellsReadMeanwhile: board.total('cellsRead'),
    ok: unexpected.length === 0 && damages.length === 0,
    unexpected,
  };
}
