// Bench `nbd`: fio's nbd engine on a disk in memory over a Unix socket, against `nbdkit memory` in the
// same run. fio and nbdkit are Debian packages.

import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { child, end, socketThere } from './children.js';
import { type BenchOptions, type BenchResult, median, summarise } from './measure.js';

const SIZE_MIB = 256;
const RUN_SECONDS = 2;
const CELL_REACH = 0.95;
const MEAN_REACH = 1.2;

interface Cell {
  readonly rw: 'randread' | 'randwrite';
  readonly blockKib: number;
  readonly depth: number;
}

const CELLS: readonly Cell[] = (['randread', 'randwrite'] as const).flatMap((rw) =>
  [4, 128].flatMap((blockKib) => [1, 32].map((depth) => ({ rw, blockKib, depth }))),
);

const side = z.object({ iops: z.number() });
const report = z.object({ jobs: z.array(z.object({ read: side, write: side })).length(1) });

/** One figure a cell, and the geometric mean of their ratios. */
export async function benchNbd(options: BenchOptions): Promise<BenchResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-nbd-'));
  const [ours, theirs] = [join(folder, 'ours'), join(folder, 'theirs')];
  const disk = `bench,size=${String(SIZE_MIB)}M`;
  const nbdkit = ['-f', '-U', theirs, 'memory', `${String(SIZE_MIB)}M`];
  const children = [
    child('../clients/cli/pinfold.js', [
      'serve',
      '--socket',
      join(folder, 'ipc'),
      '--disk',
      disk,
      '--nbd-socket',
      ours,
    ]),
    spawn('nbdkit', nbdkit, { stdio: 'ignore' }),
  ];
  try {
    await Promise.all([socketThere(ours, children), socketThere(theirs, children)]);
    const results: BenchResult[] = [];
    for (const cell of CELLS) results.push(await benchCell(options, cell, ours, theirs));
    return [...results, mean(results)];
  } finally {
    await Promise.all(children.map(end));
    rmSync(folder, { recursive: true });
  }
}

async function benchCell(
  options: BenchOptions,
  cell: Cell,
  ours: string,
  theirs: string,
): Promise<BenchResult> {
  const { rw, blockKib, depth } = cell;
  const name = `nbd@${rw},${String(blockKib)}KiB,depth${String(depth)}`;
  const runs = [];
  for (let i = 0; i < options.runs; i++) {
    options.onProgress(`${name}: run ${String(i + 1)} of ${String(options.runs)}`);
    const against = await fio(cell, theirs);
    runs.push({ value: await fio(cell, ours), against });
  }
  return summarise(
    {
      name,
      unit: 'requests/s',
      againstWhat: 'nbdkit memory',
      reach: `>= ${String(CELL_REACH)} of nbdkit`,
      isReached: (ratio) => ratio !== null && ratio >= CELL_REACH,
    },
    runs,
  );
}

/** The ratios of all cells in one figure. */
function mean(results: readonly BenchResult[]): BenchResult {
  const logs = results.map(({ ratio }) => Math.log(ratio ?? 0));
  const value = Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
  return summarise(
    {
      name: 'nbd-mean',
      unit: 'x nbdkit',
      againstWhat: 'nbdkit memory, geometric mean over the cells',
      reach: `>= ${String(MEAN_REACH)}`,
      isReached: (_, mean) => mean >= MEAN_REACH,
      details: { median: median(results.map(({ ratio }) => ratio ?? 0)) },
    },
    [{ value, against: 1 }],
  );
}

async function fio({ rw, blockKib, depth }: Cell, socket: string): Promise<number> {
  // Not on standard output, where its nbd engine also says that it has connected.
  const output = `${socket}.json`;
  await promisify(execFile)('fio', [
    '--name=bench',
    '--ioengine=nbd',
    `--uri=nbd+unix:///?socket=${socket}`,
    `--rw=${rw}`,
    `--bs=${String(blockKib)}k`,
    `--size=${String(SIZE_MIB)}m`,
    `--iodepth=${String(depth)}`,
    '--time_based',
    `--runtime=${String(RUN_SECONDS)}`,
    '--randseed=7',
    '--output-format=json',
    `--output=${output}`,
  ]);
  const [job] = report.parse(JSON.parse(readFileSync(output, 'utf8'))).jobs;
  return rw === 'randread' ? job.read.iops : job.write.iops;
}
