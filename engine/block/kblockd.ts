// kblockd: the worker thread that serves a block queue from a backing file, so that no blocking
// system call runs on a CPU or on an event loop (Linux: block/blk-core.c).

import { parentPort, workerData } from 'node:worker_threads';
import { Machine, type MachineShared } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { load } from '../memory/word.js';
import { BlockingDriver } from '../sched/blocking.js';
import { InvariantError } from '../sched/errors.js';
import { type Op, sleepOn, type Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { joinDoorbells } from '../sched/wait.js';
import { FileDevice } from './file-device.js';
import type { BlockDevice } from './request.js';
import { RequestRing, RING } from './ring.js';
import { ServeScratch, serveOnce } from './serve.js';

/** What startKblockd() passes to this thread. */
interface KblockdData {
  readonly machine: MachineShared;
  readonly queue: Int32Array;
  readonly fd: number;
  readonly sizeBytes: number;
  readonly doorbells: Int32Array;
  readonly spinLoads: number;
}

function isKblockdData(data: unknown): data is KblockdData {
  return typeof data === 'object' && data !== null && 'machine' in data && 'queue' in data;
}

/** Serves the queue until it is stopped. */
function* serveForever(task: Task, ring: RequestRing, device: BlockDevice): Op<void> {
  const scratch = new ServeScratch();
  for (;;) {
    if (lab?.point()) yield STEP;
    const seen = load(ring.words, RING.requestBell);
    if ((yield* serveOnce(task, ring, device, scratch)) > 0) continue;
    if (lab?.point()) yield STEP;
    if (load(ring.words, RING.stop) !== 0) return;
    yield sleepOn(task, ring.words, RING.requestBell, seen);
  }
}

function main(data: unknown): void {
  if (!isKblockdData(data)) throw new InvariantError('kblockd is started by startKblockd()');
  joinDoorbells(data.doorbells);
  const m = new Machine(data.machine);
  const { panic } = GLOBAL;
  const driver = new BlockingDriver(m.state.global.subarray(panic, panic + 1), data.spinLoads);
  const ring = new RequestRing(m, data.queue);
  try {
    const device = new FileDevice(m, data.fd, data.sizeBytes);
    parentPort?.postMessage('running');
    const task = m.newTask('kblockd');
    driver.run(task, serveForever(task, ring, device));
  } catch (error) {
    if (m.panicked) return; // there is nobody left to serve
    m.panic(); // waiters get EIO, at once and whatever the starting thread is busy with
    throw error;
  }
}

main(workerData);
