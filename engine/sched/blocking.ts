// The driver of a CPU in a worker thread: it sleeps in Atomics.wait, after a bounded spin.

import { Errno } from './errors.js';
import type { Op, Sleep, Task } from './op.js';

/** Loads before a thread gives up spinning and sleeps: about 5 us. Waking a sleeper costs 30 to 60 us. */
export const SPIN_LOADS = 1000;

/** A sleeper looks up this often whether its machine has panicked or its task was cancelled. */
const LOOK_UP_MS = 50;

/** Runs operations on this thread, one at a time, to their end. */
export class BlockingDriver {
  /**
   * @param panic words[0] of it is not 0 once the machine has panicked: every waiter gets EIO
   * @param spinLoads how long to spin before sleeping
   */
  constructor(
    private readonly panic: Int32Array,
    private readonly spinLoads: number = SPIN_LOADS,
  ) {}

  /** Runs `op` to its end and returns what it returns. */
  run<T>(task: Task, op: Op<T>): T {
    let result = op.next();
    while (result.done !== true) {
      const pause = result.value;
      if (pause.kind === 'step') {
        result = op.next();
      } else if (this.wait(task, pause)) {
        result = op.next();
      } else {
        result = op.throw(this.interruption(task));
      }
    }
    return result.value;
  }

  /** False if the sleep was cut short by a panic or a cancellation. */
  private wait(task: Task, sleep: Sleep): boolean {
    const { words, index, expected } = sleep;
    for (let i = 0; i < this.spinLoads; i++) {
      if (Atomics.load(words, index) !== expected) return true;
    }
    const deadline = sleep.timeoutMs + performance.now();
    while (Atomics.load(words, index) === expected) {
      if (Atomics.load(this.panic, 0) !== 0) return false;
      if (task.cancelled && sleep.interruptible) return false;
      if (sleep.spin) continue;
      const left = deadline - performance.now();
      if (left <= 0) return true;
      Atomics.wait(words, index, expected, Math.min(left, LOOK_UP_MS));
    }
    return true;
  }

  private interruption(task: Task): Errno {
    if (Atomics.load(this.panic, 0) !== 0) {
      return new Errno('EIO', `${task.name} waited for a machine that has panicked`);
    }
    task.cancelled = false;
    return new Errno('EINTR', `${task.name} was cancelled while it slept`);
  }
}
