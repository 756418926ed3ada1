// The lab's driver: all actors in one thread, and at each step a scheduler that picks who goes on.
//
// A decision is taken only where two or more actors could run. What was chosen is recorded, so that
// a run can be replayed and enumerated; a state that an earlier run has been in can be told by its
// hash (see StateHash), so that a search enters it once.

import type { Op, Pause, Sleep, Task } from './op.js';
import type { StateHash } from './state-hash.js';
import { type LabHooks, setLab } from './step.js';

/** At most this many actors in a program. */
export const ACTORS_MAX = 8;

/** Decisions that a run may take before it is stopped as a livelock. */
export const DECISIONS_MAX = 20_000;

/** Steps that a run may take before it is stopped as a livelock. */
export const STEPS_MAX = 200_000;

/** One thread of control of a program: its name, and the operation that it runs. */
export interface Actor {
  readonly name: string;
  readonly task: Task;
  readonly start: () => Op<void>;
}

/** Picks the actor that goes on; the lab's strategies implement it. */
export interface Chooser {
  /**
   * @param runnable bit per actor that could run; at least two are set
   * @param current the actor that just ran, or -1; it may not be runnable any more
   * @returns an actor of `runnable`, or -1 to give up this run
   */
  choose(runnable: number, current: number): number;
  /** Asked at every step, also where only one actor can run (that is no decision of the schedule). */
  readonly atEveryStep?: boolean;
}

/** Kinds of access to shared state, as a Watcher is told of them. */
export const ACCESS = {
  /** Atomic: no lock covers the word. */
  load: 0,
  store: 1,
  /** Read-modify-write; a failed compare-and-swap too, with `after` equal to `before`. */
  update: 2,
  /** Plain: a lock covers the word. */
  read: 3,
  write: 4,
} as const;
export type Access = (typeof ACCESS)[keyof typeof ACCESS];

/** Sees everything that a run does: for the checking mode, reductions and diagrams. */
export interface Watcher {
  /** The actor is at a step boundary: what follows is its next step, perhaps after others ran. */
  step(actor: number): void;
  access(actor: number, kind: Access, address: number, before: number, after: number): void;
  /** The actor sleeps, or spins, until the word is changed and it is woken. */
  sleep(actor: number, address: number, isSpin: boolean): void;
  /** The actor would have slept, but looked at the word and found it changed already. */
  stay?(actor: number, address: number): void;
  /** The actor wakes everybody who sleeps on the word. */
  wake(actor: number, address: number): void;
  /** A finding was reported in the actor's step. */
  finding?(actor: number): void;
  /** An operation has ended. */
  end(actor: number): void;
}

/** An actor that can't go on, and the word that it waits for. */
export interface Blocked {
  readonly actor: Actor;
  readonly address: number;
}

/** How a run ended. */
export type Ending = 'done' | 'deadlock' | 'livelock' | 'abandoned' | 'thrown';

const RUNNABLE = 0;
const ASLEEP = 1;
const SPINNING = 2;
const DONE = 3;

/** Runs programs of a few actors, one schedule at a time. */
export class LabDriver implements LabHooks {
  /** Steps taken in this run. */
  steps = 0;
  /** Decisions taken in this run. */
  decisions = 0;
  /** Decisions of this run that switched away from an actor that could go on. */
  preemptions = 0;
  /** Bit per actor that has run in this run. */
  tookPart = 0;
  /** What ended a run as `thrown`, and by which actor. */
  thrown: unknown = null;
  thrownBy = -1;
  /** Told of every access, if set: slow. */
  watcher: Watcher | null = null;

  private actors: readonly Actor[] = [];
  private readonly ops: Op<void>[] = [];
  private readonly status = new Int32Array(ACTORS_MAX);
  /** Bit per actor that is RUNNABLE, and per actor that is SPINNING. */
  private ready = 0;
  private spinning = 0;
  private current = -1;
  private next = -1;
  private givenUp = false;
  private isLivelock = false;
  /** Who was chosen at each decision of this run. */
  private readonly log = new Uint8Array(DECISIONS_MAX);
  private readonly atEveryStep: boolean;

  /**
   * @param chooser picks at each decision
   * @param hash kept up to date for a search that recognises states; null if nobody asks for it
   */
  constructor(
    private readonly chooser: Chooser,
    readonly hash: StateHash | null,
  ) {
    this.atEveryStep = chooser.atEveryStep === true;
  }

  /** Runs the actors to their end under this driver's chooser. */
  run(actors: readonly Actor[]): Ending {
    this.begin(actors);
    setLab(this);
    try {
      return this.loop();
    } finally {
      setLab(null);
    }
  }

  /** Who was chosen at each decision of the run that has ended: its schedule. */
  choices(): number[] {
    return [...this.log.subarray(0, this.decisions)];
  }

  /** A finding was reported in the running actor's step. */
  reported(): void {
    this.watcher?.finding?.(this.current);
  }

  /** Actors that are asleep or spin, and the address of the word that each waits for. */
  blocked(): Blocked[] {
    return this.actors.flatMap((actor, i) => {
      if (this.status[i] !== ASLEEP && this.status[i] !== SPINNING) return [];
      return [{ actor, address: sleepAddress(actor.task.sleep) }];
    });
  }

  /** Can nobody but `actor` go on, although somebody has not come to its end? */
  isStuckBut(actor: number): boolean {
    return (this.runnable() & ~(1 << actor)) === 0 && this.blocked().length > 0;
  }

  private begin(actors: readonly Actor[]): void {
    this.actors = actors;
    this.ops.length = 0;
    for (let i = 0; i < actors.length; i++) {
      const { task } = actors[i];
      task.heldDepth = 0;
      task.atomicDepth = 0;
      task.cancelled = false;
      this.ops.push(actors[i].start());
      this.status[i] = RUNNABLE;
    }
    this.ready = (1 << actors.length) - 1;
    this.spinning = 0;
    this.steps = 0;
    this.decisions = 0;
    this.preemptions = 0;
    this.tookPart = 0;
    this.current = -1;
    this.givenUp = false;
    this.isLivelock = false;
    this.thrown = null;
    this.thrownBy = -1;
    if (this.hash !== null) this.hash.reset(actors.length);
  }

  private loop(): Ending {
    for (;;) {
      const next = this.pick(this.runnable());
      if (next < 0) return this.ending();
      this.current = next;
      if (!this.resume(next)) return 'thrown';
      while (this.next >= 0 && !this.givenUp) {
        const switched = this.next;
        this.next = -1;
        this.current = switched;
        if (!this.resume(switched)) return 'thrown';
      }
    }
  }

  private ending(): Ending {
    if (this.givenUp) return this.isLivelock ? 'livelock' : 'abandoned';
    for (let i = 0; i < this.actors.length; i++) if (this.status[i] !== DONE) return 'deadlock';
    return 'done';
  }

  /** Runs actor `i` up to its next pause. */
  private resume(i: number): boolean {
    this.tookPart |= 1 << i;
    try {
      const result = this.ops[i].next();
      if (result.done === true) {
        this.status[i] = DONE;
        this.ready &= ~(1 << i);
        // Even if its last step changed nothing, it is in another state than before.
        if (this.hash !== null) this.hash.point(i);
        if (this.watcher !== null) this.watcher.end(i);
      } else {
        this.settle(i, result.value);
      }
      return true;
    } catch (error) {
      this.thrown = error;
      this.thrownBy = i;
      return false;
    }
  }

  private settle(i: number, pause: Pause): void {
    if (pause.kind === 'step') return;
    // Past its look at the word it is in another state, whatever the word becomes.
    if (this.hash !== null) this.hash.point(i);
    // As futex(2): a word that has changed already is no reason to sleep.
    if (pause.words[pause.index] !== pause.expected) {
      this.watcher?.stay?.(i, sleepAddress(pause));
      return;
    }
    this.status[i] = pause.spin ? SPINNING : ASLEEP;
    this.ready &= ~(1 << i);
    if (pause.spin) this.spinning |= 1 << i;
    if (this.hash !== null) this.hash.setBlocked(i, true);
    if (this.watcher !== null) this.watcher.sleep(i, sleepAddress(pause), pause.spin);
  }

  private runnable(): number {
    if (this.spinning !== 0) this.releaseSpinners();
    return this.ready;
  }

  private releaseSpinners(): void {
    for (let i = 0; i < this.actors.length; i++) {
      if (this.status[i] !== SPINNING) continue;
      const { sleep } = this.actors[i].task;
      if (sleep.words[sleep.index] !== sleep.expected) this.wakeUp(i);
    }
  }

  private wakeUp(i: number): void {
    this.status[i] = RUNNABLE;
    this.ready |= 1 << i;
    this.spinning &= ~(1 << i);
    if (this.hash !== null) this.hash.setBlocked(i, false);
  }

  /** One of `runnable`, or -1 if there is none or the run is given up. */
  private pick(runnable: number): number {
    if (runnable === 0 || this.givenUp) return -1;
    const isDecision = (runnable & (runnable - 1)) !== 0;
    if (!isDecision && !this.atEveryStep) return 31 - Math.clz32(runnable);
    if (this.decisions >= DECISIONS_MAX) {
      this.isLivelock = true;
      this.givenUp = true;
      return -1;
    }
    const { current } = this;
    const chosen = this.chooser.choose(runnable, current);
    if (chosen < 0) this.givenUp = true;
    else if (isDecision) {
      this.log[this.decisions++] = chosen;
      if (chosen !== current && current >= 0 && (runnable & (1 << current)) !== 0)
        this.preemptions++;
    }
    return chosen;
  }

  // LabHooks

  point(): boolean {
    const { current } = this;
    if (++this.steps > STEPS_MAX) {
      this.isLivelock = true;
      this.givenUp = true;
    }
    if (this.hash !== null) this.hash.point(current);
    if (this.watcher !== null) this.watcher.step(current);
    const chosen = this.pick(this.runnable());
    if (chosen === current) return false;
    this.next = chosen;
    return true;
  }

  onLoad(words: Int32Array, index: number, value: number): void {
    if (this.hash !== null) this.hash.read(this.current, value);
    if (this.watcher !== null) this.watch(ACCESS.load, words, index, value, value);
  }

  onStore(words: Int32Array, index: number, before: number, after: number): void {
    if (this.hash !== null) this.hash.write(addressOf(words, index), before, after);
    if (this.watcher !== null) this.watch(ACCESS.store, words, index, before, after);
  }

  onUpdate(words: Int32Array, index: number, before: number, after: number): void {
    if (this.hash !== null) {
      this.hash.read(this.current, before);
      this.hash.write(addressOf(words, index), before, after);
    }
    if (this.watcher !== null) this.watch(ACCESS.update, words, index, before, after);
  }

  onRead(words: Int32Array, index: number, value: number): void {
    if (this.hash !== null) this.hash.read(this.current, value);
    if (this.watcher !== null) this.watch(ACCESS.read, words, index, value, value);
  }

  onWrite(words: Int32Array, index: number, before: number, after: number): void {
    if (this.hash !== null) this.hash.write(addressOf(words, index), before, after);
    if (this.watcher !== null) this.watch(ACCESS.write, words, index, before, after);
  }

  private watch(
    kind: Access,
    words: Int32Array,
    index: number,
    before: number,
    after: number,
  ): void {
    this.watcher?.access(this.current, kind, addressOf(words, index), before, after);
  }

  onWake(words: Int32Array, index: number): void {
    const address = addressOf(words, index);
    if (this.watcher !== null) this.watcher.wake(this.current, address);
    for (let i = 0; i < this.actors.length; i++) {
      if (this.status[i] === ASLEEP && sleepAddress(this.actors[i].task.sleep) === address) {
        this.wakeUp(i);
      }
    }
  }
}

/** Address of a shared word: its number in the machine's one state buffer. */
function addressOf(words: Int32Array, index: number): number {
  return (words.byteOffset >>> 2) + index;
}

function sleepAddress(sleep: Sleep): number {
  return addressOf(sleep.words, sleep.index);
}
