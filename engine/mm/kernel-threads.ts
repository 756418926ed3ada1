// Kernel threads in threads of their own: starting and stopping the flusher and kswapd of a machine.
//
// Which file system a machine has is not known here. So whoever starts them names a worker entry
// that attaches it, and whose main function is runKernelThread().

import { Worker } from 'node:worker_threads';
import { Machine, type MachineShared } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { BlockingDriver } from '../sched/blocking.js';
import { Errno, KernelBug } from '../sched/errors.js';
import { doorbells, joinDoorbells, wake } from '../sched/wait.js';
import type { FileSystem } from './address-space.js';
import { flusherLoop, kswapdLoop } from './flusher.js';

export const KERNEL_THREADS = ['flusher', 'kswapd'] as const;
export type KernelThread = (typeof KERNEL_THREADS)[number];

/** What a worker gets to be a kernel thread; `attachment` is its file system's affair. */
export interface KernelThreadData<A> {
  readonly thread: KernelThread;
  readonly machine: MachineShared;
  readonly bells: Int32Array;
  /** [0] not 0: stop. [1] threads that run. */
  readonly control: Int32Array;
  readonly attachment: A;
}

/** Kernel threads that run. */
export interface KernelThreads {
  /** Stops them and waits until they have ended. */
  stop(): Promise<void>;
}

/**
 * Starts the flusher and kswapd of a machine, and waits until they run. One that dies panics the
 * machine.
 * @param entry module of the worker: it calls runKernelThread() with its workerData
 * @param attachment structured-clonable, for the entry to attach the file system with
 */
export async function startKernelThreads(
  m: Machine,
  entry: URL,
  attachment: unknown,
): Promise<KernelThreads> {
  const control = new Int32Array(new SharedArrayBuffer(8));
  const ended = KERNEL_THREADS.map((thread) => {
    const workerData: KernelThreadData<unknown> = {
      thread,
      machine: m.shared,
      bells: doorbells(),
      control,
      attachment,
    };
    const worker = new Worker(entry, { workerData, name: thread });
    return new Promise<unknown>((resolve) => {
      let death: unknown = null;
      worker.on('error', (error) => {
        death = error;
      });
      worker.on('exit', (code) => {
        if (death !== null || code !== 0) m.panic();
        Atomics.store(control, 1, KERNEL_THREADS.length);
        Atomics.notify(control, 1);
        resolve(death);
      });
    });
  });
  await allRunning(control);
  return {
    async stop() {
      Atomics.store(control, 0, 1);
      wake(control, 0);
      for (const bell of [GLOBAL.flusherBell, GLOBAL.kswapdBell]) {
        Atomics.store(m.state.global, bell, 1);
        wake(m.state.global, bell);
      }
      const deaths = await Promise.all(ended);
      const cause = deaths.find((death) => death !== null);
      if (cause !== undefined) throw new Errno('EIO', 'a kernel thread has died', { cause });
    },
  };
}

async function allRunning(control: Int32Array): Promise<void> {
  for (;;) {
    const running = Atomics.load(control, 1);
    if (running >= KERNEL_THREADS.length) return;
    const change = Atomics.waitAsync(control, 1, running, 50);
    if (change.async) await change.value;
  }
}

/** The main function of a worker that is a kernel thread. Returns when it has been stopped. */
export function runKernelThread<A>(
  data: KernelThreadData<A>,
  attach: (m: Machine, attachment: A) => FileSystem,
): void {
  joinDoorbells(data.bells);
  const m = new Machine(data.machine);
  m.fs = attach(m, data.attachment);
  const task = m.newTask(data.thread);
  const loop = data.thread === 'flusher' ? flusherLoop : kswapdLoop;
  Atomics.add(data.control, 1, 1);
  Atomics.notify(data.control, 1);
  try {
    new BlockingDriver(m.state.global).run(task, loop(task, m, data.control));
  } catch (error) {
    if (error instanceof KernelBug) m.oops(task, error);
    else if (!(error instanceof Errno && m.panicked)) throw error;
  }
}
