// Runs operations of the engine on the daemon's event loop, many at a time.

import type { Machine } from '../engine/machine.js';
import { AsyncDriver } from '../engine/sched/async.js';
import { KernelBug } from '../engine/sched/errors.js';
import type { Op, Task } from '../engine/sched/op.js';

/** Tasks kept for reuse: their ids are few, and they are not small. */
const IDLE_TASKS_MAX = 256;

export class OpRunner {
  readonly #driver: AsyncDriver;
  readonly #idle: Task[] = [];
  #running = 0;

  constructor(readonly m: Machine) {
    this.#driver = new AsyncDriver(m.state.global);
  }

  /** Operations that run or sleep. */
  get running(): number {
    return this.#running;
  }

  /**
   * Runs an operation. All run on this thread and hold their TLB slot for one step only, so that they share one.
   * @param signal ends an interruptible sleep with EINTR
   * @throws Errno; KernelBug, after which the machine has panicked
   */
  async run<T>(make: (task: Task) => Op<T>, signal?: AbortSignal): Promise<T> {
    const task = this.#idle.pop() ?? this.m.newTask('daemon', 0);
    this.#running++;
    let intact = false;
    try {
      const result = await this.#driver.run(task, make(task), signal);
      intact = true;
      return result;
    } catch (error) {
      if (error instanceof KernelBug) this.m.oops(task, error);
      intact = task.heldDepth === 0 && task.atomicDepth === 0;
      throw error;
    } finally {
      this.#running--;
      task.cancelled = false;
      if (intact && this.#idle.length < IDLE_TASKS_MAX) this.#idle.push(task);
    }
  }

  close(): void {
    this.#driver.close();
  }
}
