// The driver of an event loop: it parks an operation that sleeps, and serves others meanwhile, so
// that a truncate that waits for a pin never stops the unpin that would release it.

import { Errno, InvariantError } from './errors.js';
import type { Op, Sleep, Task } from './op.js';
import { doorbells, listen, releaseDoorbell, takeDoorbell } from './wait.js';

/** Loads before an operation is parked: an event loop spins only as long as a short lock is held. */
const SPIN_LOADS = 200;

/** While operations are parked, a referenced timer of this period keeps the process alive, and sees panics. */
const KEEP_ALIVE_MS = 50;

interface Parked {
  readonly task: Task;
  readonly deadline: number;
  /** Goes on with the operation, or ends its sleep with an error. */
  readonly resume: (interruption: Errno | null) => void;
}

/** Runs any number of operations on this thread's event loop. One per thread; close() it. */
export class AsyncDriver {
  private readonly loop: number;
  private readonly parked = new Set<Parked>();
  private keepAlive: NodeJS.Timeout | null = null;
  private listening = false;
  private closed = false;

  /** @param panic words[0] of it is not 0 once the machine has panicked: every waiter gets EIO */
  constructor(private readonly panic: Int32Array) {
    this.loop = takeDoorbell();
    if (this.loop < 0) throw new InvariantError('more event loops than doorbells');
  }

  /** How many operations are asleep. */
  get parkedCount(): number {
    return this.parked.size;
  }

  /**
   * Runs `op` and resolves with what it returns.
   * @param signal aborting it ends the operation's interruptible sleep with EINTR
   */
  run<T>(task: Task, op: Op<T>, signal?: AbortSignal): Promise<T> {
    if (this.closed) return Promise.reject(new Errno('ESHUTDOWN', 'the event loop is closing'));
    const onAbort = (): void => {
      task.cancelled = true;
      this.resumeReady();
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) task.cancelled = true;
    const promise = new Promise<T>((resolve, reject) => {
      this.advance(task, op, resolve, reject, null);
    });
    return signal === undefined
      ? promise
      : promise.finally(() => {
          signal.removeEventListener('abort', onAbort);
        });
  }

  /** Gives the doorbell back. Operations still parked end with EINTR. */
  close(): void {
    this.closed = true;
    for (const parked of [...this.parked]) {
      this.parked.delete(parked);
      parked.resume(closing(parked.task));
    }
    if (this.keepAlive !== null) clearInterval(this.keepAlive);
    this.keepAlive = null;
    releaseDoorbell(this.loop);
    Atomics.add(doorbells(), this.loop, 1);
    Atomics.notify(doorbells(), this.loop);
  }

  private advance<T>(
    task: Task,
    op: Op<T>,
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
    interruption: Errno | null,
  ): void {
    try {
      let result = interruption === null ? op.next() : op.throw(interruption);
      while (result.done !== true) {
        const pause = result.value;
        if (pause.kind === 'sleep' && !this.spin(pause)) {
          const cut = this.interruption(task, pause);
          if (cut === null && this.park(task, op, pause, resolve, reject)) return;
          result = cut === null ? op.next() : op.throw(cut);
        } else {
          result = op.next();
        }
      }
      resolve(result.value);
    } catch (error) {
      reject(error);
    }
  }

  private spin(sleep: Sleep): boolean {
    for (let i = 0; i < SPIN_LOADS; i++) {
      if (Atomics.load(sleep.words, sleep.index) !== sleep.expected) return true;
    }
    return false;
  }

  /** False if the word changed before the operation was parked. */
  private park<T>(
    task: Task,
    op: Op<T>,
    sleep: Sleep,
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
  ): boolean {
    listen(this.loop, sleep.words, sleep.index);
    if (Atomics.load(sleep.words, sleep.index) !== sleep.expected) return false;
    const deadline = performance.now() + sleep.timeoutMs;
    this.parked.add({
      task,
      deadline,
      resume: (interruption) => {
        this.advance(task, op, resolve, reject, interruption);
      },
    });
    this.keepAlive ??= setInterval(() => {
      this.resumeReady();
    }, KEEP_ALIVE_MS);
    if (sleep.spin) setImmediate(() => this.resumeReady());
    if (Number.isFinite(sleep.timeoutMs)) setTimeout(() => this.resumeReady(), sleep.timeoutMs);
    this.awaitBell();
    return true;
  }

  private awaitBell(): void {
    if (this.listening || this.closed) return;
    const bells = doorbells();
    const seen = Atomics.load(bells, this.loop);
    const waiting = Atomics.waitAsync(bells, this.loop, seen);
    if (!waiting.async) {
      setImmediate(() => this.resumeReady());
      return;
    }
    this.listening = true;
    void waiting.value.then(() => {
      this.listening = false;
      this.resumeReady();
    });
  }

  private resumeReady(): void {
    for (const parked of [...this.parked]) {
      const { task } = parked;
      const sleep = task.sleep;
      const cut = this.interruption(task, sleep);
      if (cut === null && performance.now() < parked.deadline) {
        listen(this.loop, sleep.words, sleep.index);
        if (Atomics.load(sleep.words, sleep.index) === sleep.expected) {
          if (sleep.spin) setImmediate(() => this.resumeReady());
          continue;
        }
      }
      this.parked.delete(parked);
      parked.resume(cut);
    }
    if (this.parked.size > 0) this.awaitBell();
    else if (this.keepAlive !== null) {
      clearInterval(this.keepAlive);
      this.keepAlive = null;
    }
  }

  private interruption(task: Task, sleep: Sleep): Errno | null {
    if (Atomics.load(this.panic, 0) !== 0) {
      return new Errno('EIO', `${task.name} waited for a machine that has panicked`);
    }
    if (!task.cancelled || !sleep.interruptible) return null;
    task.cancelled = false;
    return new Errno('EINTR', `${task.name} was cancelled while it slept`);
  }
}

function closing(task: Task): Errno {
  return new Errno('EINTR', `${task.name} was still asleep when its event loop closed`);
}
