// Bench `nbd`: fio's nbd engine on disks in memory over Unix sockets. Pinfold against a bare server, which is the limit,
// and against `nbdkit memory` and `qemu-nbd` on a file in tmpfs, all in turn; and a disk with a volatile cache against
// one without.

import { readFileSync } from 'node:fs';
import { Errno } from '../engine/sched/errors.js';
import { type FioJob, fio } from './fio.js';
import { type BenchOptions, type BenchResult, median, summarise } from './measure.js';
import { NbdServers, SERVERS, type Server, VOLATILE_EXPORT } from './nbd-servers.js';
import { MIB } from './rig.js';

const DISK_MIB = 256;
const FIRST_SECONDS = 0.2;
const MEMORY_REACH = 1.02;
const VOLATILE_REACH = 0.75;

/** What Pinfold is set beside: in each cell, and in the mean of all cells. */
const OPPONENTS = [
  { server: 'limit', what: 'a bare server', cellReach: 0.85, meanReach: null },
  { server: 'nbdkit', what: 'nbdkit memory', cellReach: 0.95, meanReach: 1.2 },
  { server: 'qemu', what: 'qemu-nbd', cellReach: null, meanReach: null },
] as const;

type Opponent = (typeof OPPONENTS)[number];

interface Cell extends Omit<FioJob, 'seconds'> {
  /** Its words joined: `randread,4KiB,depth1,1conn`. */
  readonly name: string;
}

const CELLS: readonly Cell[] = (['randread', 'randwrite'] as const).flatMap((rw) =>
  [4, 128, 1024].flatMap((blockKib) =>
    [1, 32, 128].flatMap((depth) =>
      [1, 4].map((connections) => ({
        name: `${rw},${blockKib < 1024 ? `${blockKib}KiB` : '1MiB'},depth${depth},${connections}conn`,
        ...{ rw, blockKib, depth, connections },
        sizeMib: DISK_MIB,
      })),
    ),
  ),
);

/** With a volatile cache: at one depth, with one client and several. */
function isVolatileCell({ depth }: Cell): boolean {
  return depth === 32;
}

/** One figure a cell and opponent, the geometric means of their ratios, memory, and what a volatile cache costs. */
export async function benchNbd(options: BenchOptions): Promise<BenchResult[]> {
  const cells = cellsOf(options.cells);
  options.onProgress('nbd: preparing');
  const servers = await NbdServers.start(DISK_MIB);
  try {
    // Its first client has come and gone, and has read nothing but holes: the daemon is complete.
    await fio({ ...CELLS[0], seconds: FIRST_SECONDS }, servers.uri('pinfold'), servers.scratch);
    const idle = memoryMib(servers.pid('pinfold'));
    for (const server of SERVERS) await fill(servers.uri(server), servers.scratch);
    const filled = memoryMib(servers.pid('pinfold')) - idle;
    const results: BenchResult[] = [];
    for (const cell of cells) results.push(...(await benchCell(options, cell, servers)));
    const used = memoryMib(servers.pid('pinfold')) - idle;
    results.push(...OPPONENTS.map((each) => mean(each, results)), memoryResult(filled, used));
    await fill(servers.uri('pinfold', VOLATILE_EXPORT), servers.scratch);
    for (const cell of cells.filter(isVolatileCell)) {
      results.push(await benchVolatile(options, cell, servers));
    }
    return results;
  } finally {
    await servers.stop();
  }
}

/** The cells that have all of the words in their names. @throws Errno EINVAL if none has */
function cellsOf(words: readonly string[]): readonly Cell[] {
  const cells = CELLS.filter(({ name }) => words.every((word) => name.split(',').includes(word)));
  if (cells.length > 0) return cells;
  const known = [...new Set(CELLS.flatMap(({ name }) => name.split(',')))];
  throw new Errno(
    'EINVAL',
    `no cell of bench nbd has all of ${words.join(', ')} in its name; the words are: ${known.join(', ')}`,
  );
}

/** Data everywhere: what was never written would be told as a hole. */
async function fill(uri: string, scratch: string): Promise<void> {
  const job = { rw: 'write', blockKib: 1024, depth: 8, connections: 1 } as const;
  await fio({ ...job, sizeMib: DISK_MIB, seconds: null }, uri, scratch);
}

async function benchCell(
  options: BenchOptions,
  cell: Cell,
  servers: NbdServers,
): Promise<BenchResult[]> {
  const runs: Readonly<Record<Server, number>>[] = [];
  for (let i = 0; i < options.runs; i++) {
    options.onProgress(`nbd@${cell.name}: run ${String(i + 1)} of ${String(options.runs)}`);
    const run = { limit: 0, pinfold: 0, nbdkit: 0, qemu: 0 };
    const job = { ...cell, seconds: options.seconds };
    for (const server of SERVERS)
      run[server] = await fio(job, servers.uri(server), servers.scratch);
    runs.push(run);
  }
  return OPPONENTS.map(({ server, what, cellReach }) =>
    summarise(
      {
        name: `nbd-${server}@${cell.name}`,
        unit: 'requests/s',
        againstWhat: what,
        reach: cellReach === null ? null : `>= ${String(cellReach)}`,
        isReached: cellReach === null ? null : (ratio) => ratio !== null && ratio >= cellReach,
      },
      runs.map((run) => ({ value: run.pinfold, against: run[server] })),
    ),
  );
}

async function benchVolatile(
  options: BenchOptions,
  cell: Cell,
  servers: NbdServers,
): Promise<BenchResult> {
  const name = `nbd-volatile@${cell.name}`;
  const job = { ...cell, seconds: options.seconds };
  const uri = servers.uri('pinfold', VOLATILE_EXPORT);
  const runs = [];
  for (let i = 0; i < options.runs; i++) {
    options.onProgress(`${name}: run ${String(i + 1)} of ${String(options.runs)}`);
    const against = await fio(job, servers.uri('pinfold'), servers.scratch);
    runs.push({ value: await fio(job, uri, servers.scratch), against });
  }
  return summarise(
    {
      name,
      unit: 'requests/s',
      againstWhat: 'the same without a cache',
      reach: `>= ${String(VOLATILE_REACH)}`,
      isReached: (ratio) => ratio !== null && ratio >= VOLATILE_REACH,
    },
    runs,
  );
}

/** The ratios of all cells in one figure. */
function mean({ server, what, meanReach }: Opponent, results: readonly BenchResult[]): BenchResult {
  const ratios = results
    .filter(({ name }) => name.startsWith(`nbd-${server}@`))
    .map(({ ratio }) => ratio ?? 0);
  const logs = ratios.map((ratio) => Math.log(ratio));
  const value = Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
  return summarise(
    {
      name: `nbd-${server}-mean`,
      unit: `x ${server}`,
      againstWhat: `${what}, geometric mean of the cells`,
      reach: meanReach === null ? null : `>= ${String(meanReach)}`,
      isReached: meanReach === null ? null : (_, x) => x >= meanReach,
      details: { cells: ratios.length, least: Math.min(...ratios), median: median(ratios) },
    },
    [{ value, against: 1 }],
  );
}

/** What the daemon has grown by since its first client, after its whole disk was written, and after all cells. */
function memoryResult(filledMib: number, usedMib: number): BenchResult {
  return summarise(
    {
      name: 'nbd-memory',
      unit: 'MiB',
      againstWhat: 'the disk',
      reach: `<= ${String(MEMORY_REACH)}`,
      isReached: (ratio) => ratio !== null && ratio <= MEMORY_REACH,
      details: { afterAllCells: usedMib },
    },
    [{ value: filledMib, against: DISK_MIB }],
  );
}

/** The process's share of the memory that it maps (Pss), in MiB. */
function memoryMib(pid: number): number {
  const text = readFileSync(`/proc/${String(pid)}/smaps_rollup`, 'utf8');
  const kib = Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.at(1));
  return (kib * 1024) / MIB;
}
