// A worker thread of the journal's tests: a CPU that changes blocks together and makes them durable.

import { parentPort, workerData } from 'node:worker_threads';
import { BlockQueue } from '../../engine/block/queue.js';
import {
  bufferAt,
  bufferSegment,
  getBuffer,
  lockBuffer,
  putBuffer,
  unlockBuffer,
} from '../../engine/fs/buffer.js';
import {
  commitTransaction,
  dirtyMetadata,
  startHandle,
  stopHandle,
} from '../../engine/fs/journal.js';
import { Metadata, type MetadataConfig, type MetadataStore } from '../../engine/fs/metadata.js';
import { Machine, type MachineShared } from '../../engine/machine.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { joinDoorbells } from '../../engine/sched/wait.js';
import { driverOf } from '../block/machine.js';

/** What the threads of a test share. */
export interface Shared {
  readonly machine: MachineShared;
  readonly queue: Int32Array;
  readonly meta: Int32Array;
  readonly config: MetadataConfig;
  readonly doorbells: Int32Array;
  /** First of the home blocks, and how many each CPU owns. */
  readonly home: number;
  readonly blocksPerCpu: number;
}

/** The volume, as this thread sees it. */
export function attach(shared: Shared): MetadataStore {
  const m = new Machine(shared.machine);
  const queue = new BlockQueue(m, shared.queue);
  return { m, queue, meta: new Metadata(m, shared.meta, shared.config) };
}

/** Writes `stamp` to all blocks that CPU `cpu` owns and to the block that all share, in one handle. */
export function* stampBlocks(
  task: Task,
  v: MetadataStore,
  shared: Shared,
  cpu: number,
  stamp: number,
): Op<number> {
  const { home, blocksPerCpu } = shared;
  const handle = yield* startHandle(task, v, blocksPerCpu + 1);
  for (let i = 0; i <= blocksPerCpu; i++) {
    const block = i === blocksPerCpu ? home : home + 1 + cpu * blocksPerCpu + i;
    const b = yield* getBuffer(task, v, block);
    yield* lockBuffer(task, v, b);
    const words = bufferSegment(v, b);
    const at = bufferAt(v, b);
    // The shared block counts per CPU; the own blocks hold the stamp everywhere.
    if (i === blocksPerCpu) words[at + cpu] = stamp;
    else words.fill(stamp, at, at + (v.m.geometry.pageBytes >>> 2));
    yield* dirtyMetadata(task, v, handle, b);
    unlockBuffer(task, v, b);
    yield* putBuffer(task, v, b);
  }
  const { tid } = handle;
  yield* stopHandle(task, v, handle);
  return tid;
}

interface Job {
  readonly shared: Shared;
  readonly cpu: number;
  readonly rounds: number;
  /** Every so many rounds wait for the commit, and tell the test. */
  readonly syncEvery: number;
}

function isJob(data: unknown): data is Job {
  return typeof data === 'object' && data !== null && 'shared' in data && 'rounds' in data;
}

if (isJob(workerData)) {
  const { shared, cpu, rounds, syncEvery } = workerData;
  joinDoorbells(shared.doorbells);
  const v = attach(shared);
  const driver = driverOf(v.m);
  const task = v.m.newTask(`cpu ${String(cpu)}`, cpu);
  for (let stamp = 1; stamp <= rounds; stamp++) {
    const tid = driver.run(task, stampBlocks(task, v, shared, cpu, stamp));
    if (stamp % syncEvery !== 0) continue;
    driver.run(task, commitTransaction(task, v, tid));
    parentPort?.postMessage(stamp);
  }
}
