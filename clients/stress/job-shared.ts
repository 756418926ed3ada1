// What the main thread hands to the jobs of CPUs and devices, and how they attach to it.

import { ihold, iput } from '../../engine/fs/inode.js';
import { Volume, type VolumeShared } from '../../engine/fs/volume.js';
import { Machine, type MachineShared } from '../../engine/machine.js';
import { GLOBAL } from '../../engine/memory/layout.js';
import { createMm, mmap, munmap, VM } from '../../engine/mm/vma.js';
import { BlockingDriver } from '../../engine/sched/blocking.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { joinDoorbells } from '../../engine/sched/wait.js';
import { Board, type BoardShared } from './board.js';
import { runCpu } from './cpu.js';
import { runDevice } from './device.js';
import { DmaQueue } from './dma-queue.js';
import type { Job } from './job.js';
import { type FilePlan, type Plan, writerName } from './plan.js';
import { Random } from './random.js';
import { Tables, type TablesShared } from './tables.js';

export interface JobShared {
  readonly kind: 'job';
  readonly worker: number;
  readonly seed: number;
  readonly epoch: number;
  readonly machine: MachineShared;
  readonly volume: VolumeShared;
  readonly bells: Int32Array;
  readonly tables: TablesShared;
  readonly board: BoardShared;
  readonly queues: readonly SharedArrayBuffer[];
  /** Inode slots of the files. */
  readonly inodes: readonly number[];
  /** [0]: CPU jobs that have not ended. */
  readonly cpusLeft: Int32Array;
}

export interface AttachedJob {
  readonly job: Job;
  readonly driver: BlockingDriver;
  readonly cpusRun: () => boolean;
  /** The job has ended. */
  left(): void;
}

export function attachJob(shared: JobShared): AttachedJob {
  joinDoorbells(shared.bells);
  const m = new Machine(shared.machine);
  const v = new Volume(m, shared.volume);
  const tables = new Tables(shared.tables);
  const { plan } = tables;
  const { worker, seed, epoch, cpusLeft } = shared;
  const task = m.newTask(writerName(plan, worker), worker);
  const { panic } = GLOBAL;
  const driver = new BlockingDriver(m.state.global.subarray(panic, panic + 1));
  const mm = createMm(m);
  const job: Job = {
    m,
    v,
    task,
    plan,
    tables,
    board: new Board(shared.board),
    random: new Random(seed, epoch, worker),
    worker,
    mm,
    vpns: driver.run(task, mapFiles(task, v, mm, plan, worker, shared.inodes)),
    inodes: shared.inodes,
    queues: shared.queues.map((buffer) => new DmaQueue(buffer)),
  };
  return {
    job,
    driver,
    cpusRun: () => Atomics.load(cpusLeft, 0) > 0,
    left: () => {
      if (worker < plan.cpus) Atomics.sub(cpusLeft, 0, 1);
    },
  };
}

export function runJob({ job, driver, cpusRun }: AttachedJob): void {
  if (job.worker < job.plan.cpus) runCpu(job, driver);
  else runDevice(job, driver, cpusRun);
  if (!job.m.panicked) driver.run(job.task, unmapFiles(job));
}

/** Maps all shared files, and the CPU's buffer file. @returns where each file is mapped, or -1 */
function* mapFiles(
  task: Task,
  v: Volume,
  mm: number,
  plan: Plan,
  worker: number,
  inodes: readonly number[],
): Op<number[]> {
  const vpns: number[] = [];
  for (const file of plan.files) {
    if (!isMapped(file, worker)) {
      vpns.push(-1);
      continue;
    }
    ihold(v, inodes[file.number]);
    const flags = VM.read | VM.write | VM.shared;
    const inode = inodes[file.number];
    const request = { pages: file.pages, flags, inode, pgoff: 0, vpn: -1 };
    vpns.push(yield* mmap(task, v.m, mm, request));
  }
  return vpns;
}

function* unmapFiles(job: Job): Op<void> {
  for (const vpn of job.vpns) {
    if (vpn < 0) continue;
    const inode = yield* munmap(job.task, job.m, job.mm, vpn);
    yield* iput(job.task, job.v, inode);
  }
}

function isMapped(file: FilePlan, worker: number): boolean {
  return file.use === 'shared' || (file.use === 'buffer' && file.owner === worker);
}
