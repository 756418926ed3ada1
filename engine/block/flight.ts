// Several requests of one task in flight at a time, answered together.

import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import type { BlockQueue } from './queue.js';
import type { BlockRequest } from './request.js';

/** Requests that belong together: finish() must follow the last submit(). */
export class Flight {
  private readonly tickets: number[] = [];

  constructor(private readonly queue: BlockQueue) {}

  /** Enters a request. */
  *submit(task: Task, request: BlockRequest): Op<void> {
    this.tickets.push(yield* this.queue.submit(task, request));
  }

  /**
   * Waits for all requests.
   * @throws Errno the first error, after all have been answered
   */
  *finish(task: Task): Op<void> {
    let failure: Errno | null = null;
    for (const ticket of this.tickets) {
      try {
        yield* this.queue.wait(task, ticket);
      } catch (error) {
        if (!(error instanceof Errno)) throw error;
        failure ??= error;
      }
    }
    if (failure !== null) throw failure;
  }
}
