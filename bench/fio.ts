// fio's nbd engine: the client of the bench `nbd`.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { z } from 'zod';

/** What fio does to a disk. */
export interface FioJob {
  readonly rw: 'randread' | 'randwrite' | 'write';
  readonly blockKib: number;
  readonly depth: number;
  /** Processes of their own, each with a connection. */
  readonly connections: number;
  readonly sizeMib: number;
  /** Null: once over the disk. */
  readonly seconds: number | null;
}

const side = z.object({ iops: z.number() });
const report = z.object({ jobs: z.array(z.object({ read: side, write: side })).length(1) });

/**
 * Runs a job.
 * @param scratch a file that fio may write its report to
 * @returns requests per second
 */
export async function fio(job: FioJob, uri: string, scratch: string): Promise<number> {
  const time = job.seconds === null ? [] : ['--time_based', `--runtime=${job.seconds * 1000}ms`];
  await promisify(execFile)('fio', [
    '--name=bench',
    '--ioengine=nbd',
    `--uri=${uri}`,
    `--rw=${job.rw}`,
    `--bs=${job.blockKib}k`,
    `--size=${job.sizeMib}m`,
    `--iodepth=${job.depth}`,
    `--numjobs=${job.connections}`,
    '--group_reporting',
    '--randseed=7',
    ...time,
    '--output-format=json',
    // Not on standard output, where its nbd engine also says that it has connected.
    `--output=${scratch}`,
  ]);
  const { read, write } = report.parse(JSON.parse(readFileSync(scratch, 'utf8'))).jobs[0];
  return job.rw === 'randread' ? read.iops : write.iops;
}
