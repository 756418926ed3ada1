// Several requests of one task in flight at a time. A task that sleeps for a free slot of the queue
// while it holds slots whose answers it has not collected can wait for ever; this one collects first.

import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import type { BlockQueue } from './queue.js';
import type { BlockRequest } from './request.js';

/** Requests that are answered together: finish() must follow the last submit(). */
export class Flight {
  private readonly tickets: number[] = [];
  /** How many of `tickets` were collected. */
  private collected = 0;
  private failure: Errno | null = null;

  constructor(private readonly queue: BlockQueue) {}

  /** Enters a request; if the queue is full, waits for an earlier one of this flight. */
  *submit(task: Task, request: BlockRequest): Op<void> {
    for (;;) {
      const mayWait = this.collected === this.tickets.length;
      const ticket = yield* this.queue.trySubmit(task, request, mayWait);
      if (ticket >= 0) {
        this.tickets.push(ticket);
        return;
      }
      yield* this.collect(task);
    }
  }

  /**
   * Waits for all requests.
   * @throws Errno the first error, after all have been answered
   */
  *finish(task: Task): Op<void> {
    while (this.collected < this.tickets.length) yield* this.collect(task);
    if (this.failure !== null) throw this.failure;
  }

  private *collect(task: Task): Op<void> {
    try {
      yield* this.queue.wait(task, this.tickets[this.collected++]);
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      this.failure ??= error;
    }
  }
}
