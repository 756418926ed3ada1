// Benches `writeback` and `fault`: cleaning dirty pages of a mapped file to the backing file, and the
// write faults that dirty them again.

import { join } from 'node:path';
import { Arena, closeDescriptor, fdatasync, openFile, truncateFile } from '../native/index.js';
import { type BenchOptions, type BenchResult, summarise } from './measure.js';
import { MIB, PAGE_BYTES, sizeName } from './rig.js';
import { RUN_PAGES, VolumeRig } from './volume-rig.js';

/** Runs of 256 pages dirtied and written in one timed round: 64 MiB, however large the file is. */
const ROUND_RUNS = 64;
const ROUND_PAGES = ROUND_RUNS * RUN_PAGES;
const WARM_UP = 8;

const FAULT_REACH_NS = 1500;

/** Both benches in one pass over a file of `bytes`. */
export async function benchWriteback(
  options: BenchOptions,
  bytes = 64 * MIB,
  suffix = '',
): Promise<BenchResult[]> {
  options.onProgress(`writeback${suffix}: preparing a file of ${sizeName(bytes)}`);
  const rig = await VolumeRig.open({ fileBytes: bytes });
  const raw = new RawWriter(rig, bytes);
  const writes = [];
  const faults = [];
  try {
    for (let i = -WARM_UP; i < options.runs; i++) {
      if (i >= 0)
        options.onProgress(`writeback${suffix}: run ${String(i + 1)} of ${String(options.runs)}`);
      const faultMs = milliseconds(() => {
        rig.dirtyRuns(ROUND_RUNS);
      });
      const writeMs = milliseconds(() => {
        rig.fsync();
      });
      const rawMs = milliseconds(() => {
        raw.write(rig);
      });
      if (i < 0) continue;
      faults.push({ value: (faultMs * 1e6) / ROUND_PAGES, against: null });
      writes.push({ value: megabytesPerSecond(writeMs), against: megabytesPerSecond(rawMs) });
    }
  } finally {
    raw.close();
    await rig.close();
  }
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

/** The same bytes to a file beside the volume's, straight from memory: the limit. */
class RawWriter {
  private readonly fd: number;
  private readonly arena: Arena;
  private readonly iov = new Float64Array(RUN_PAGES * 2);

  constructor(rig: VolumeRig, bytes: number) {
    this.fd = openFile(join(rig.folder, 'raw.img'), { create: true });
    truncateFile(this.fd, bytes);
    this.arena = new Arena(rig.m.frames.segments);
  }

  write(rig: VolumeRig): void {
    for (let run = 0; run < ROUND_RUNS; run++) {
      for (let page = 0; page < RUN_PAGES; page++) {
        this.iov[page * 2] = rig.m.frames.address(1 + run * RUN_PAGES + page);
        this.iov[page * 2 + 1] = PAGE_BYTES;
      }
      this.arena.pwritev(this.fd, this.iov, RUN_PAGES, rig.runStart(run, ROUND_RUNS) * PAGE_BYTES);
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
