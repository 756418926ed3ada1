// Every interleaving of a tiny program, without any reduction: what reduced searches are tested
// against.

import type { Ending } from '../../engine/sched/lab-driver.js';
import { Path } from './path.js';
import { carryOn } from './script.js';
import { StateSet } from './state-set.js';
import type { Strategy } from './strategy.js';
import { Trace } from './trace.js';

export class BruteForce implements Strategy {
  readonly atEveryStep = true;
  readonly hash = null;

  private readonly trace = new Trace();
  readonly watcher = this.trace;
  private readonly seen = new StateSet();
  private readonly path = new Path();

  /** Distinct traces of the runs. */
  get traces(): number {
    return this.seen.size;
  }

  begin(): void {
    this.trace.begin();
  }

  choose(runnable: number, current: number): number {
    const { path, trace } = this;
    trace.close(false);
    const at = trace.length;
    if (at === path.length) {
      const choice = carryOn(runnable, current);
      path.push(choice, runnable & ~(1 << choice));
    }
    trace.open(path.at(at));
    return path.at(at);
  }

  advance(ending: Ending): boolean {
    const wasEnded = ending === 'thrown';
    this.trace.close(wasEnded);
    const { low, high } = this.trace.hash(wasEnded);
    this.seen.add(low, high, 0);
    return this.path.advance();
  }
}
