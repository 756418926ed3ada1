// Bench `writeback-vs-pin`: how much writeback and pinning slow each other down under each profile,
// over the share of pages that is pinned and the time that a pin is held.

import { Worker } from 'node:worker_threads';
import { stressProfiles } from '../clients/stress/expectations.js';
import { GLOBAL } from '../engine/memory/layout.js';
import { profileByName } from '../engine/profile/profiles.js';
import { doorbells } from '../engine/sched/wait.js';
import { type BenchOptions, type BenchResult, type BenchRun, median } from './measure.js';
import { PIN_BATCH, PINNER, type PinnerData } from './pinner-words.js';
import { MIB } from './rig.js';
import { RUN_PAGES, VolumeRig } from './volume-rig.js';

const FILE_BYTES = 16 * MIB;
const CELL_MS = 200;
const WARM_UP_CELLS = 6;

/** Per cent of the file that is pinned at one time. */
export const PINNED_SHARES: readonly number[] = [0, 10, 25, 50, 75, 100];
/** How long a pin is held. */
export const HOLD_MS: readonly number[] = [0, 1, 10];

/** One cell of the table. Rates in pages a second. */
export interface ContentionCell {
  readonly profile: string;
  readonly sharePercent: number;
  readonly holdMs: number;
  readonly written: number;
  readonly pinned: number;
}

/** A result per profile, share and hold time: pages written a second, against none pinned. */
export async function benchWritebackVsPin(options: BenchOptions): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const name of stressProfiles()) results.push(...(await benchProfile(name, options)));
  return results;
}

async function benchProfile(profile: string, options: BenchOptions): Promise<BenchResult[]> {
  const rig = await VolumeRig.open({ fileBytes: FILE_BYTES, profile: profileByName(profile) });
  const bench = new Contention(rig, profile);
  const runs: ContentionCell[][] = [];
  try {
    for (let i = 0; i < WARM_UP_CELLS; i++) bench.cell(i % 2 === 0 ? 0 : 50, 1);
    for (let i = 0; i < options.runs; i++) {
      options.onProgress(
        `writeback-vs-pin: ${profile}, run ${String(i + 1)} of ${String(options.runs)}`,
      );
      runs.push(bench.allCells());
    }
  } finally {
    await bench.close();
  }
  return runs[0].map((first, i) => summariseCell(first, runs, i));
}

function summariseCell(
  first: ContentionCell,
  runs: readonly (readonly ContentionCell[])[],
  i: number,
): BenchResult {
  const { profile, sharePercent, holdMs } = first;
  // Against the cell of the same run in which nothing is pinned; pins against the largest rate.
  const pairs: BenchRun[] = runs.map((cells) => ({
    value: cells[i].written,
    against: cells[0].written,
  }));
  const pinned = runs.map((cells) => cells[i].pinned);
  return {
    name: `writeback-vs-pin@${profile},${String(sharePercent)}%,${String(holdMs)}ms`,
    value: median(pairs.map((pair) => pair.value)),
    unit: 'pages/s',
    against: {
      what: 'the same with no pins',
      value: median(runs.map((cells) => cells[0].written)),
    },
    ratio: median(runs.map((cells) => cells[i].written / cells[0].written)),
    reach: null,
    reached: null,
    runs: pairs,
    details: { sharePercent, holdMs, pinnedPagesPerSecond: median(pinned) },
  };
}

class Contention {
  private readonly words = new Int32Array(new SharedArrayBuffer(PINNER.words * 4));
  private readonly worker: Worker;
  private round = 0;

  constructor(
    private readonly rig: VolumeRig,
    private readonly profile: string,
  ) {
    const workerData: PinnerData = {
      machine: rig.m.shared,
      volume: rig.running.v.shared,
      mm: rig.mm,
      vpn: rig.vpn,
      pages: rig.pages,
      words: this.words,
      bells: doorbells(),
    };
    this.worker = new Worker(new URL('./pinner-worker.js', import.meta.url), { workerData });
  }

  allCells(): ContentionCell[] {
    const cells = [this.cell(0, 0)];
    for (const holdMs of HOLD_MS) {
      for (const share of PINNED_SHARES) if (share > 0) cells.push(this.cell(share, holdMs));
    }
    return cells;
  }

  /** Dirties and fsyncs the whole file again and again, while the other thread pins. */
  cell(sharePercent: number, holdMs: number): ContentionCell {
    const { rig, words } = this;
    const { global } = rig.m.state;
    const batches = Math.ceil((rig.pages * sharePercent) / 100 / PIN_BATCH);
    if (batches > 0) this.startPinner(batches, holdMs);
    const before = Atomics.load(global, GLOBAL.nrWritten);
    const start = performance.now();
    let elapsedMs = 0;
    do {
      rig.dirtyRuns(rig.pages / RUN_PAGES);
      rig.fsync();
      elapsedMs = performance.now() - start;
    } while (elapsedMs < CELL_MS);
    const written = (Atomics.load(global, GLOBAL.nrWritten) - before) | 0;
    if (batches > 0) this.stopPinner();
    const pinned = batches > 0 ? Atomics.load(words, PINNER.pinned) : 0;
    const perSecond = 1000 / elapsedMs;
    return {
      profile: this.profile,
      sharePercent,
      holdMs,
      written: written * perSecond,
      pinned: pinned * perSecond,
    };
  }

  async close(): Promise<void> {
    await this.worker.terminate();
    await this.rig.close();
  }

  private startPinner(batches: number, holdMs: number): void {
    const { words } = this;
    Atomics.store(words, PINNER.stop, 0);
    Atomics.store(words, PINNER.batches, batches);
    Atomics.store(words, PINNER.holdUs, holdMs * 1000);
    Atomics.store(words, PINNER.round, ++this.round);
    Atomics.notify(words, PINNER.round);
  }

  private stopPinner(): void {
    const { words } = this;
    Atomics.store(words, PINNER.stop, 1);
    for (;;) {
      const ended = Atomics.load(words, PINNER.ended);
      if (ended === this.round) return;
      Atomics.wait(words, PINNER.ended, ended);
    }
  }
}
