// Tasks of one machine that take turns on this thread, by a seed: one runs until it sleeps, and the disk
// answers what is in flight now and then, in any order.

import { InvariantError } from '../../../engine/sched/errors.js';
import type { Op, Sleep, Task } from '../../../engine/sched/op.js';
import { sharedWords } from '../../block/machine.js';
import type { TracedQueue } from './traced-queue.js';

interface Actor {
  readonly task: Task;
  readonly op: Op<void>;
  /** What it waits for. */
  sleep: Sleep | null;
}

/** How often the disk answers although somebody could run: once in so many turns. */
const LAZINESS = 6;

export class Actors {
  /** Grows now and then, for those who come back from time to time. */
  readonly clock = sharedWords(1);
  private readonly actors: Actor[] = [];

  constructor(
    private readonly queue: TracedQueue,
    private readonly random: (below: number) => number,
  ) {}

  get count(): number {
    return this.actors.length;
  }

  add(task: Task, op: Op<void>): void {
    this.actors.push({ task, op, sleep: null });
  }

  /** Runs all to their end. @throws InvariantError if all sleep and nothing is in flight */
  run(): void {
    const { queue, random } = this;
    queue.immediate = false;
    while (this.actors.length > 0) {
      if (random(8) === 0) Atomics.add(this.clock, 0, 1);
      const ready = this.actors.filter(isReady);
      const flying = queue.inFlight.length;
      if (ready.length > 0 && (flying === 0 || random(LAZINESS) > 0)) {
        this.turn(ready[random(ready.length)]);
      } else if (flying > 0) {
        queue.answer(random(flying));
      } else if (!this.actors.some(({ sleep }) => sleep?.words === this.clock)) {
        const names = this.actors.map(({ task }) => task.name).join(', ');
        throw new InvariantError(`${names} sleep, and nobody will wake them`);
      }
    }
    queue.immediate = true;
  }

  private turn(actor: Actor): void {
    const { value, done } = actor.op.next();
    if (done === true) {
      this.actors.splice(this.actors.indexOf(actor), 1);
      return;
    }
    actor.sleep = value.kind === 'sleep' ? value : null;
  }
}

function isReady({ sleep }: Actor): boolean {
  return sleep === null || Atomics.load(sleep.words, sleep.index) !== sleep.expected;
}
