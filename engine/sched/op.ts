// What engine code is made of: operations that may pause, and the task that each one belongs to.
//
// A plain function is one indivisible step; a generator is more than one. A generator pauses by
// yielding a Sleep (until a shared word changes) or, in the lab only, a Step. Three drivers run
// the same generators: blocking.ts (a CPU in a worker), async.ts (an event loop), lab-driver.ts.

import { KernelBug } from './errors.js';
import type { Step } from './step.js';

/** Sleep while words[index] === expected, as futex(2) does. Each task owns one and reuses it. */
export class Sleep {
  readonly kind = 'sleep';
  words: Int32Array = NOTHING;
  index = 0;
  expected = 0;
  /** Busy-wait: allowed under spinlocks; nobody calls wake() for it. */
  spin = false;
  /** A cancelled task leaves this sleep with EINTR. */
  interruptible = false;
  /** Upper bound of the sleep; the operation looks at its condition again afterwards. */
  timeoutMs = Number.POSITIVE_INFINITY;
}

const NOTHING = new Int32Array(1);

export type Pause = Step | Sleep;

/** A piece of engine code that may pause, and ends with a T. Always `yield*` it or hand it to a driver. */
export type Op<T> = Generator<Pause, T, void>;

/** MAX_LOCK_DEPTH of Linux's lockdep. */
export const LOCK_DEPTH_MAX = 48;

/**
 * One thread of control of the emulated machine: a CPU's current process, a kernel thread, a device,
 * an operation of the daemon. Locks are held by tasks, not by threads, since an event loop runs many.
 */
export class Task {
  readonly sleep = new Sleep();
  /** Lock classes held, outermost first (lockdep). */
  readonly held = new Int32Array(LOCK_DEPTH_MAX);
  heldDepth = 0;
  /** How many spinlocks are held: while not 0, the task may not sleep. */
  atomicDepth = 0;
  /** Set to end the task's next interruptible sleep with EINTR. */
  cancelled = false;

  /**
   * @param id unique in the machine, 1 to 2^24 - 1: locks record it as their owner
   * @param name for messages
   * @param cpu the CPU (TLB slot) on which this task's stores through page tables run
   */
  constructor(
    readonly id: number,
    readonly name: string,
    readonly cpu: number,
  ) {}
}

/**
 * The pause of a task until words[index] is seen to differ from `expected`. Write
 * `yield sleepOn(task, words, index, expected);` in a loop that looks at the condition again.
 */
export function sleepOn(
  task: Task,
  words: Int32Array,
  index: number,
  expected: number,
  interruptible = false,
  timeoutMs: number = Number.POSITIVE_INFINITY,
): Sleep {
  mightSleep(task);
  return setSleep(task.sleep, words, index, expected, false, interruptible, timeoutMs);
}

/** The pause of a task that busy-waits, as for a spinlock or a TLB shootdown. */
export function spinOn(task: Task, words: Int32Array, index: number, expected: number): Sleep {
  return setSleep(task.sleep, words, index, expected, true, false, Number.POSITIVE_INFINITY);
}

/**
 * The emulated might_sleep(): code that can sleep calls it whether or not it is going to. Sleeping
 * under a spinlock is a BUG of the rules in force (H2-g), so it is a finding.
 */
export function mightSleep(task: Task): void {
  if (task.atomicDepth !== 0) {
    throw new KernelBug(
      `BUG: sleeping function called from invalid context: ${task.name} holds ${String(task.atomicDepth)} spinlock(s)`,
    );
  }
}

function setSleep(
  sleep: Sleep,
  words: Int32Array,
  index: number,
  expected: number,
  spin: boolean,
  interruptible: boolean,
  timeoutMs: number,
): Sleep {
  sleep.words = words;
  sleep.index = index;
  sleep.expected = expected;
  sleep.spin = spin;
  sleep.interruptible = interruptible;
  sleep.timeoutMs = timeoutMs;
  return sleep;
}
