// SIGINT and SIGTERM: the command is asked to stop, cleans up, and ends with 130 or 143.

import { CliError } from './errors.js';
import { EXIT } from './exit-codes.js';

/** Signals that arrived. */
export class Interrupt {
  private readonly controller = new AbortController();
  private turned = performance.now();

  /** Aborted by the first signal; the reason is the error that ends the command. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Ends the process at once at the second signal of a kind. */
  private readonly onSignal = (name: NodeJS.Signals): void => {
    const exit = name === 'SIGINT' ? EXIT.interrupted : EXIT.terminated;
    if (this.signal.aborted) process.exit(exit);
    this.controller.abort(new CliError('EINTR', `stopped by ${name}`, exit));
  };

  /** Listens until stop(). */
  constructor() {
    process.on('SIGINT', this.onSignal);
    process.on('SIGTERM', this.onSignal);
  }

  stop(): void {
    process.off('SIGINT', this.onSignal);
    process.off('SIGTERM', this.onSignal);
  }

  /**
   * Code that blocks the thread calls this often: signals and timers get their turn now and then.
   * @throws CliError EINTR after a signal
   */
  async breathe(): Promise<void> {
    const now = performance.now();
    if (now - this.turned >= TURN_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      this.turned = performance.now();
    }
    this.signal.throwIfAborted();
  }
}

const TURN_MS = 20;

/** Runs `work` with signals caught. */
export async function interruptible<T>(work: (interrupt: Interrupt) => Promise<T>): Promise<T> {
  const interrupt = new Interrupt();
  try {
    return await work(interrupt);
  } finally {
    interrupt.stop();
  }
}
