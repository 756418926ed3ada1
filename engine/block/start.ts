// Starting and stopping kblockd, the worker thread that serves a block queue.

import { Worker } from 'node:worker_threads';
import { Machine, type MachineShared } from '../machine.js';
import { Errno } from '../sched/errors.js';
import { doorbells, wake } from '../sched/wait.js';
import { RING } from './ring.js';

/**
 * How long kblockd spins after its last request, about 200 us: requests of one writeback come at such
 * distances, and waking a sleeper would cost their submitter 30 to 60 us each.
 */
const KBLOCKD_SPIN_LOADS = 40_000;

/** What kblockd is started with. */
export interface KblockdShared {
  readonly machine: MachineShared;
  /** The words of the BlockQueue. */
  readonly queue: Int32Array;
  /** A Disk's descriptor and size. */
  readonly fd: number;
  readonly sizeBytes: number;
  /** How long it spins before it sleeps. */
  readonly spinLoads?: number;
}

export interface Kblockd {
  /** Ends the thread when nothing is pending. */
  stop(): Promise<void>;
}

/**
 * Starts a thread that serves the queue; several may serve one queue. Resolves when it runs. If it
 * dies unasked the machine panics, and its waiters get EIO.
 */
export async function startKblockd(shared: KblockdShared): Promise<Kblockd> {
  const { machine, queue, fd, sizeBytes, spinLoads = KBLOCKD_SPIN_LOADS } = shared;
  const m = new Machine(machine);
  Atomics.store(queue, RING.stop, 0);
  const worker = new Worker(new URL('./kblockd.js', import.meta.url), {
    name: 'kblockd',
    workerData: { machine, queue, fd, sizeBytes, spinLoads, doorbells: doorbells() },
  });
  let stopping = false;
  let failure: unknown = null;
  worker.on('error', (error) => {
    failure = error;
  });
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      if (!stopping && !m.panicked) m.panic();
      resolve();
    });
  });
  const running = new Promise<boolean>((resolve) => {
    worker.once('message', () => {
      resolve(true);
    });
    void ended.then(() => {
      resolve(false);
    });
  });
  if (!(await running)) throw new Errno('EIO', 'kblockd did not start', { cause: failure });
  return {
    stop: async () => {
      stopping = true;
      Atomics.store(queue, RING.stop, 1);
      Atomics.add(queue, RING.requestBell, 1);
      wake(queue, RING.requestBell);
      await ended;
      if (failure !== null) throw new Errno('EIO', 'kblockd failed', { cause: failure });
    },
  };
}
