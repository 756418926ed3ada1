// Benches `writeback` and `fault`: cleaning dirty pages of a mapped file to the backing file, and the
// write faults that dirty them again.

import { join } from 'node:path';
import { Arena, closeDescriptor, fdatasync, openFile, truncateFile } from '../native/index.js';
import { type BenchOptions, type BenchResult, type BenchRun, summarise } from './measure.js';
import { MIB, PAGE_BYTES, sizeName } from './rig.js';
import { RUN_PAGES, VolumeRig } from './volume-rig.js';

/** Runs of 256 pages dirtied and written in one timed round: 64 MiB, however large the file is. */
const ROUND_RUNS = 64;
const ROUND_PAGES = ROUND_RUNS * RUN_PAGES;
const WARM_UP = 8;

const FAULT_REACH_NS = 1500;

/** Both benches over a file of 64 MiB. */
export async function benchWriteback(options: BenchOptions): Promise<BenchResult[]> {
  return await benchWritebackOf(options, [{ bytes: 64 * MIB, suffix: '' }]);
}

/** A file's length, and what it adds to the names of its figures. */
export interface WritebackSize {
  readonly bytes: number;
  readonly suffix: string;
}

/** Both benches over files of several sizes, in turn: what drifts meanwhile is the same for all. */
export async function benchWritebackOf(
  options: BenchOptions,
  sizes: readonly WritebackSize[],
): Promise<BenchResult[]> {
  const benches: WritebackBench[] = [];
  try {
    for (const { bytes, suffix } of sizes) {
      options.onProgress(`writeback${suffix}: preparing a file of ${sizeName(bytes)}`);
      benches.push(new WritebackBench(await VolumeRig.open({ fileBytes: bytes }), bytes, suffix));
    }
    for (let i = 0; i < WARM_UP; i++) for (const bench of benches) bench.round();
    for (let i = 0; i < options.runs; i++) {
      options.onProgress(`writeback: run ${String(i + 1)} of ${String(options.runs)}`);
      for (const bench of benches) bench.run();
    }
    return benches.flatMap((bench) => bench.results());
  } finally {
    for (const bench of benches) await bench.close();
  }
}

/** One file: its rig, its limit, and what was measured so far. */
class WritebackBench {
  private readonly raw: RawWriter;
  private readonly writes: BenchRun[] = [];
  private readonly faults: BenchRun[] = [];

  constructor(
    private readonly rig: VolumeRig,
    bytes: number,
    private readonly suffix: string,
  ) {
    this.raw = new RawWriter(rig, bytes);
  }

  /** Dirties and cleans the pages once, and writes as much past the engine; the milliseconds of each. */
  round(): { faultMs: number; writeMs: number; rawMs: number } {
    const { rig, raw } = this;
    const faultMs = milliseconds(() => {
      rig.dirtyRuns(ROUND_RUNS);
    });
    const writeMs = milliseconds(() => {
      rig.fsync();
    });
    const rawMs = milliseconds(() => {
      raw.write();
    });
    return { faultMs, writeMs, rawMs };
  }

  /** A round that counts. */
  run(): void {
    const { faultMs, writeMs, rawMs } = this.round();
    this.faults.push({ value: (faultMs * 1e6) / ROUND_PAGES, against: null });
    this.writes.push({ value: megabytesPerSecond(writeMs), against: megabytesPerSecond(rawMs) });
  }

  results(): BenchResult[] {
    const { suffix, writes, faults } = this;
    return [
      summarise(
        {
          name: `writeback${suffix}`,
          unit: 'MB/s',
          againstWhat: "the addon's pwritev and fdatasync of the same batches",
          reach: '>= 0.80 of the addon',
          isReached: (ratio) => ratio !== null && ratio >= 0.8,
        },
        writes,
      ),
      summarise(
        {
          name: `fault${suffix}`,
          unit: 'ns',
          againstWhat: null,
          reach: `<= ${String(FAULT_REACH_NS)} ns`,
          isReached: (_, value) => value <= FAULT_REACH_NS,
        },
        faults,
      ),
    ];
  }

  async close(): Promise<void> {
    this.raw.close();
    await this.rig.close();
  }
}

/**
 * The same bytes in the same batches to a file beside the volume's, straight from memory: the limit. They
 * lie side by side as in the volume, which places what is written first together, however large the
 * file is.
 */
class RawWriter {
  private readonly fd: number;
  private readonly arena: Arena;
  private readonly iov = new Float64Array(RUN_PAGES * 2);

  constructor(
    private readonly rig: VolumeRig,
    bytes: number,
  ) {
    this.fd = openFile(join(rig.folder, 'raw.img'), { create: true });
    truncateFile(this.fd, bytes);
    this.arena = new Arena(rig.m.frames.segments);
  }

  write(): void {
    for (let run = 0; run < ROUND_RUNS; run++) {
      const first = run * RUN_PAGES;
      for (let page = 0; page < RUN_PAGES; page++) {
        this.iov[page * 2] = this.rig.m.frames.address(1 + first + page);
        this.iov[page * 2 + 1] = PAGE_BYTES;
      }
      this.arena.pwritev(this.fd, this.iov, RUN_PAGES, first * PAGE_BYTES);
    }
    fdatasync(this.fd);
  }

  close(): void {
    closeDescriptor(this.fd);
  }
}

function milliseconds(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function megabytesPerSecond(ms: number): number {
  return (ROUND_PAGES * PAGE_BYTES) / (ms * 1e3);
}
