// Dynamic partial-order reduction: of all schedules that do the same in another order of independent
// steps, run one. (Source sets with sleep sets: Abdulla, Aronsson, Jonsson and Sagonas, "Optimal
// Dynamic Partial Order Reduction", POPL 2014, Algorithm 1.)
//
// It runs a schedule, and asks of every two steps of it that are in a race what would happen if they
// came the other way round: before the first of them, some actor that leads there must be tried too.
// An actor sleeps where all that can follow if it goes first has been tried, until a step comes that
// its next one depends on.
//
// A step that ends the run for everybody (a power cut, a BUG) hides what the others would have done,
// so that no race with it shows: before it, all others are tried.

import { ACTORS_MAX, type Ending } from '../../engine/sched/lab-driver.js';
import { carryOn, lowestOf } from './script.js';
import { StateSet } from './state-set.js';
import type { Strategy } from './strategy.js';
import { type Accesses, EVENTS_MAX, Trace } from './trace.js';

/** The state before one event of the current run. All sets of actors are masks. */
interface Node {
  runnable: number;
  /** Actors that must be tried here, and those that need not be (again). */
  backtrack: number;
  asleep: number;
  chosen: number;
  /** What the next event of each actor asleep touches. */
  readonly next: Accesses[];
}

const NOTHING: Accesses = new Int32Array(0);

export class Dpor implements Strategy {
  readonly atEveryStep = true;
  readonly hash = null;
  readonly trace = new Trace();
  readonly watcher = this.trace;
  /** Runs given up because all that could follow had been tried. */
  blocked = 0;
  /** Was a run too long to be looked at to its end? */
  wasBounded = false;

  private readonly seen = new StateSet();
  private readonly firsts = new Int32Array(ACTORS_MAX);
  private readonly nodes: Node[] = [];
  /** Nodes whose choice is fixed in this run; the event after the last of them is new. */
  private prefix = 0;
  /** Actors that have ended a run for everybody: they go last. */
  private enders = 0;

  /** Distinct traces of runs that came to an end. */
  get traces(): number {
    return this.seen.size;
  }

  begin(): void {
    this.trace.begin();
  }

  choose(runnable: number, current: number): number {
    const { trace } = this;
    this.close(false);
    const at = trace.length;
    if (at === EVENTS_MAX) {
      this.wasBounded = true;
      return carryOn(runnable, current);
    }
    if (at >= this.prefix && !this.enter(at, runnable, current)) {
      this.blocked++;
      return -1;
    }
    const { chosen } = this.nodes[at];
    trace.open(chosen);
    return chosen;
  }

  advance(ending: Ending): boolean {
    const { nodes, trace } = this;
    const wasEnded = ending === 'thrown';
    this.close(wasEnded);
    if (wasEnded) {
      const last = nodes[trace.length - 1];
      last.backtrack |= last.runnable;
      this.enders |= 1 << last.chosen;
    }
    if (ending !== 'abandoned' && ending !== 'livelock') {
      const { low, high } = trace.hash(wasEnded);
      this.seen.add(low, high, 0);
    }
    for (let at = trace.length - 1; at >= 0; at--) {
      const node = nodes[at];
      const left = node.backtrack & ~node.asleep & ~(1 << node.chosen);
      if (left === 0) continue;
      node.asleep |= 1 << node.chosen;
      node.next[node.chosen] = trace.copy(at);
      node.chosen = lowestOf(left);
      this.prefix = at + 1;
      return true;
    }
    return false;
  }

  private close(endsRun: boolean): void {
    const { trace } = this;
    const last = trace.length - 1;
    if (!trace.close(endsRun) || last < this.prefix - 1) return;
    for (const race of trace.races) this.reverse(race, last);
  }

  /** The node before event `at`, which no run has been in. False if nobody is left to be tried. */
  private enter(at: number, runnable: number, current: number): boolean {
    const node = this.nodeAt(at);
    node.runnable = runnable;
    node.asleep = 0;
    if (at > 0) {
      const { asleep, next } = this.nodes[at - 1];
      for (let mask = asleep; mask !== 0; mask &= mask - 1) {
        const actor = lowestOf(mask);
        if (this.trace.dependsOn(at - 1, next[actor])) continue;
        node.asleep |= 1 << actor;
        node.next[actor] = next[actor];
      }
    }
    const awake = runnable & ~node.asleep;
    if (awake === 0) return false;
    const rather = awake & ~this.enders;
    node.chosen = carryOn(rather === 0 ? awake : rather, current);
    node.backtrack = 1 << node.chosen;
    return true;
  }

  private nodeAt(at: number): Node {
    if (at < this.nodes.length) return this.nodes[at];
    const next = new Array<Accesses>(ACTORS_MAX).fill(NOTHING);
    const node = { runnable: 0, backtrack: 0, asleep: 0, chosen: 0, next };
    this.nodes.push(node);
    return node;
  }

  /** Sees to it that event `second` is tried before event `first`, with which it is in a race. */
  private reverse(first: number, second: number): void {
    const node = this.nodes[first];
    const initials = this.initials(first, second);
    if ((initials & (node.backtrack | node.asleep)) !== 0) return;
    const able = initials & node.runnable;
    // Nobody is able only if the race can't be reversed after all; then it does no harm.
    node.backtrack |= able === 0 ? node.runnable : able & -able;
  }

  /**
   * Who can go first on the way to `second` without `first`: actors whose next event comes after
   * nothing else, among the events that did not happen after `first`, and `second`.
   */
  private initials(first: number, second: number): number {
    const { trace, firsts } = this;
    let initials = 0;
    let met = 0;
    for (let k = first + 1; k <= second; k++) {
      if (k < second && trace.happensBefore(first, k)) continue;
      const actor = trace.actors[k];
      if ((met & (1 << actor)) !== 0) continue;
      let isInitial = true;
      for (let mask = met; mask !== 0 && isInitial; mask &= mask - 1) {
        isInitial = !trace.happensBefore(firsts[lowestOf(mask)], k);
      }
      if (isInitial) initials |= 1 << actor;
      met |= 1 << actor;
      firsts[actor] = k;
    }
    return initials;
  }
}
