// The benches by name. `pinfold bench` and `npm run bench` run them.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Errno } from '../engine/sched/errors.js';
import { benchDma } from './dma.js';
import { benchFootprint } from './footprint.js';
import { benchGrowth } from './growth.js';
import { benchIpc } from './ipc.js';
import { benchLab, benchLabReduction, benchLabReset } from './lab.js';
import { type BenchOptions, type BenchResult, RUNS_MAX, RUNS_MIN } from './measure.js';
import { benchNbd } from './nbd.js';
import { benchPin, benchPin2Cpu } from './pin.js';
import { benchWriteback } from './writeback.js';
import { benchWritebackVsPin } from './writeback-vs-pin.js';

export { formatCosts } from './contention-costs.js';
export { drawCurves } from './curves.js';

export type { BenchOptions, BenchResult } from './measure.js';
export {
  RUNS_DEFAULT,
  RUNS_MAX,
  RUNS_MIN,
  SECONDS_DEFAULT,
  SECONDS_MAX,
  SECONDS_MIN,
} from './measure.js';

/** A bench: its name, what it measures, and its runs. */
export interface Bench {
  readonly name: string;
  readonly title: string;
  /** Programs that it runs, and their Debian packages; where one is missing, a run of all benches leaves it out. */
  readonly needs?: Readonly<Record<string, string>>;
  readonly run: (options: BenchOptions) => BenchResult[] | Promise<BenchResult[]>;
}

const BENCHES: readonly Bench[] = [
  {
    name: 'pin',
    title: 'pin and unpin, batches of 512 contiguous pages, one CPU',
    run: (options) => [benchPin(options)],
  },
  {
    name: 'pin-2cpu',
    title: 'the same on two CPUs, on separate and on shared pages',
    run: async (options) => [await benchPin2Cpu(options)],
  },
  {
    name: 'dma',
    title: 'a device writes 4 KiB to pinned pages',
    run: (options) => [benchDma(options)],
  },
  {
    name: 'writeback',
    title: 'dirty pages of a mapped file to the backing file, then fdatasync; and `fault`',
    run: (options) => benchWriteback(options),
  },
  {
    name: 'writeback-vs-pin',
    title: 'writeback and pinning against each other, under each profile',
    run: (options) => benchWritebackVsPin(options),
  },
  {
    name: 'ipc',
    title: 'reads of 4 KiB through the daemon, queue depth 1 and 32',
    run: (options) => benchIpc(options),
  },
  {
    name: 'nbd',
    title: "fio's nbd engine on a disk in memory, against a bare server, nbdkit and qemu-nbd",
    needs: { fio: 'fio', gcc: 'gcc', nbdkit: 'nbdkit', 'qemu-nbd': 'qemu-utils' },
    run: (options) => benchNbd(options),
  },
  {
    name: 'growth',
    title: 'pin, pin-2cpu, dma, writeback and fault at 64 MiB, 1 GiB and 8 GiB',
    run: (options) => benchGrowth(options),
  },
  {
    name: 'footprint',
    title: 'bytes of emulated state per page',
    run: () => [benchFootprint()],
  },
  {
    name: 'lab',
    title: 'executions of the lab per second, and what a reset costs',
    run: (options) => [...benchLab(options), benchLabReduction(options), benchLabReset(options)],
  },
];

/** All benches, in the order in which they run. */
export function listBenches(): readonly Bench[] {
  return BENCHES;
}

/**
 * Runs benches one after the other.
 * @param names which; all if empty
 * @throws Errno EINVAL for an unknown name or a number of runs out of range
 */
export async function runBenches(
  names: readonly string[],
  options: BenchOptions,
): Promise<BenchResult[]> {
  if (!Number.isInteger(options.runs) || options.runs < RUNS_MIN || options.runs > RUNS_MAX) {
    throw new Errno(
      'EINVAL',
      `${String(options.runs)} runs; from ${String(RUNS_MIN)} to ${String(RUNS_MAX)} are meant`,
    );
  }
  for (const name of names) {
    if (!BENCHES.some((bench) => bench.name === name)) {
      throw new Errno(
        'EINVAL',
        `no bench "${name}"; there are: ${BENCHES.map((b) => b.name).join(', ')}`,
      );
    }
  }
  const results: BenchResult[] = [];
  for (const bench of BENCHES) {
    if (names.length > 0 && !names.includes(bench.name)) continue;
    const missing = Object.entries(bench.needs ?? {}).filter(([program]) => !isInstalled(program));
    if (missing.length === 0) {
      results.push(...(await bench.run(options)));
      continue;
    }
    const programs = missing.map(([program]) => program).join(', ');
    const packages = missing.map(([, name]) => name).join(' ');
    const advice = `needs ${programs} (apt-get install ${packages})`;
    if (names.length > 0) throw new Errno('ENOENT', `bench ${bench.name} ${advice}`);
    options.onProgress(`${bench.name}: left out, since it ${advice}`);
  }
  return results;
}

function isInstalled(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.some((folder) => existsSync(join(folder, program)));
}
