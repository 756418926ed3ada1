// Benches `pin` and `pin-2cpu`: taking and giving back DMA pins in batches of 512 contiguous pages.

import { Worker } from 'node:worker_threads';
import { PIN_BIAS } from '../engine/mm/folio.js';
import { doorbells } from '../engine/sched/wait.js';
import { type BenchOptions, type BenchResult, nanosecondsEach, summarise } from './measure.js';
import { BATCH_PAGES, pinBatches, STRIDE } from './pin-batches.js';
import { COMMAND, type PinWorkerData } from './pin-words.js';
import { anonymousRig, MIB, sizeName } from './rig.js';

/** Runs before the first that counts, for the compiler to settle. */
const WARM_UP = 3;

/** Pages pinned in one timed run. */
const RUN_PAGES = 4_000_000;

/** What the real kernel's registered buffers (io_uring) cost on the machine of the first figures. */
const KERNEL_NS = 82;
const REACH_NS = 41;

/** `pin`: one CPU, over a region of `bytes`. */
export function benchPin(options: BenchOptions, bytes = 64 * MIB, name = 'pin'): BenchResult {
  options.onProgress(`${name}: preparing ${sizeName(bytes)}`);
  const rig = anonymousRig(bytes);
  const pfns = new Int32Array(BATCH_PAGES);
  const regionBatches = rig.pages / BATCH_PAGES;
  const batches = RUN_PAGES / BATCH_PAGES;
  const run = (count: number): void => {
    rig.driver.run(
      rig.task,
      pinBatches(rig.task, rig.machine, rig.mm, 0, regionBatches, count, pfns),
    );
  };
  for (let i = 0; i < WARM_UP; i++) run(batches);
  const runs = [];
  for (let i = 0; i < options.runs; i++) {
    options.onProgress(`${name}: run ${String(i + 1)} of ${String(options.runs)}`);
    runs.push({
      value: nanosecondsEach(RUN_PAGES, () => {
        run(batches);
      }),
      against: KERNEL_NS,
    });
  }
  rig.close();
  return summarise(
    {
      name,
      unit: 'ns/page',
      againstWhat: "the real kernel's registered buffers",
      reach: `<= ${String(REACH_NS)} ns/page`,
      isReached: (_, value) => value <= REACH_NS,
    },
    runs,
  );
}

/**
 * `pin` over a region of `bytes` against the same atomics bare: two loads and two adds a page, on
 * arrays of the same size in the same order. The ratio tells what the region's size costs us alone.
 */
export function benchPinAgainstBare(
  options: BenchOptions,
  bytes: number,
  name: string,
): BenchResult {
  options.onProgress(`${name}: preparing ${sizeName(bytes)}`);
  const rig = anonymousRig(bytes);
  const pfns = new Int32Array(BATCH_PAGES);
  const regionBatches = rig.pages / BATCH_PAGES;
  const batches = RUN_PAGES / BATCH_PAGES;
  const entries = new Int32Array(new SharedArrayBuffer(rig.pages * 4)).map((_, i) => i);
  const counts = new Int32Array(new SharedArrayBuffer(rig.pages * 4)).fill(1);
  const bare = (): number =>
    nanosecondsEach(RUN_PAGES, () => {
      bareBatches(entries, counts, regionBatches, batches, pfns);
    });
  const engine = (): number =>
    nanosecondsEach(RUN_PAGES, () => {
      rig.driver.run(
        rig.task,
        pinBatches(rig.task, rig.machine, rig.mm, 0, regionBatches, batches, pfns),
      );
    });
  bare();
  engine();
  const runs = [];
  for (let i = 0; i < options.runs; i++) {
    options.onProgress(`${name}: run ${String(i + 1)} of ${String(options.runs)}`);
    const against = bare();
    runs.push({ value: engine(), against });
  }
  rig.close();
  const head = {
    name,
    unit: 'ns/page',
    againstWhat: 'the same atomics, bare',
    reach: null,
    isReached: null,
  };
  return summarise(head, runs);
}

function bareBatches(
  entries: Int32Array,
  counts: Int32Array,
  regionBatches: number,
  batches: number,
  pfns: Int32Array,
): void {
  let at = 0;
  for (let i = 0; i < batches; i++) {
    const first = at * BATCH_PAGES;
    for (let page = 0; page < BATCH_PAGES; page++) {
      const pfn = Atomics.load(entries, first + page);
      Atomics.add(counts, pfn, PIN_BIAS);
      if (Atomics.load(entries, first + page) !== pfn) return;
      pfns[page] = pfn;
    }
    for (let page = 0; page < BATCH_PAGES; page++) Atomics.add(counts, pfns[page], -PIN_BIAS);
    at = (at + STRIDE) % regionBatches;
  }
}

/** `pin-2cpu`: two threads, each on its own half, against one; and both on the same pages. */
export async function benchPin2Cpu(
  options: BenchOptions,
  bytes = 64 * MIB,
  name = 'pin-2cpu',
): Promise<BenchResult> {
  options.onProgress(`${name}: preparing ${sizeName(bytes)}`);
  const rig = anonymousRig(bytes);
  const half = rig.pages / BATCH_PAGES / 2;
  const words = new Int32Array(new SharedArrayBuffer(64));
  const workers = [0, 1].map((id) => {
    const data: PinWorkerData = {
      id,
      machine: rig.machine.shared,
      mm: rig.mm,
      words,
      bells: doorbells(),
      half,
      batches: RUN_PAGES / BATCH_PAGES / 2,
    };
    return new Worker(new URL('./pin-worker.js', import.meta.url), { workerData: data });
  });
  const timed = (command: number, threads: number): number => {
    const start = performance.now();
    Atomics.store(words, 1, 0);
    Atomics.store(words, 2, threads);
    Atomics.store(words, 3, command);
    Atomics.add(words, 0, 1);
    Atomics.notify(words, 0);
    for (;;) {
      const done = Atomics.load(words, 1);
      if (done === 2) break;
      Atomics.wait(words, 1, done);
    }
    return ((RUN_PAGES / 2) * threads * 1e6) / (performance.now() - start) / 1e9; // M pages/s
  };
  const runs = [];
  const shared = [];
  try {
    timed(COMMAND.separate, 2);
    for (let i = 0; i < options.runs; i++) {
      options.onProgress(`${name}: run ${String(i + 1)} of ${String(options.runs)}`);
      const one = timed(COMMAND.separate, 1);
      runs.push({ value: timed(COMMAND.separate, 2), against: one });
      shared.push({ value: timed(COMMAND.shared, 2), against: one });
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
    rig.close();
  }
  const onShared = summarise(
    { name, unit: '', againstWhat: '', reach: null, isReached: null },
    shared,
  );
  return summarise(
    {
      name,
      unit: 'M pages/s',
      againstWhat: 'one CPU',
      reach: '>= 1.8x one CPU on separate pages',
      isReached: (ratio) => ratio !== null && ratio >= 1.8,
      details: { sharedPagesRatio: onShared.ratio ?? 0, sharedPages: onShared.value },
    },
    runs,
  );
}
