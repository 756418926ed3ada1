// What a run did, step by step, and which steps happened before which others.
//
// A step (here: event) is all that an actor does between two points at which another could run. Two
// events are dependent if they are of one actor, or touch one word that at least one of them
// changes; one that wakes an actor happens before that actor's next. A vector clock per event says
// what happened before it. Runs with the same events and the same order among dependent ones are
// one trace (Mazurkiewicz): they end in the same state, and one of them is enough.

import { ACCESS, ACTORS_MAX, type Access, type Watcher } from '../../engine/sched/lab-driver.js';

/** Events of a run that are looked at. A run that has more is likely to have no end. */
export const EVENTS_MAX = 2000;

// An access is coded as key * 2 + (1 if it changes what it touches). A word has two keys: its value,
// and those who sleep on it. Key 0 is the power: whatever ends the run for everybody (a power cut,
// a BUG) changes it, and whatever changes something looks at it.
const POWER = 0;
const valueKey = (address: number): number => 2 + address * 2;
const sleepersKey = (address: number): number => 3 + address * 2;

/** A key's row in the table: the last event that changed it, each actor's last look since (plus 1), is it in use. */
const ROW = 1 + ACTORS_MAX + 1;
const IN_USE = ROW - 1;

/** The accesses of one event. */
export type Accesses = Int32Array;

/** Does one of two events change what the other touches? */
export function areDependent(a: Accesses, b: Accesses): boolean {
  for (const one of a)
    for (const other of b) {
      if (one >>> 1 === other >>> 1 && ((one | other) & 1) !== 0) return true;
    }
  return false;
}

/** The events of the current run. */
export class Trace implements Watcher {
  /** Events so far; the last of them may still be going on. */
  length = 0;
  /** Whose each event is. */
  readonly actors = new Uint8Array(EVENTS_MAX);
  /** Events that the last closed one is in a race with: dependent, and ordered by nothing else. */
  readonly races: number[] = [];

  /** Per event its number among its actor's, from 1, and its clock: per actor, how many of its events came before. */
  private readonly numbers = new Int32Array(EVENTS_MAX);
  private readonly clocks = new Int32Array(EVENTS_MAX * ACTORS_MAX);
  /** Where each event's accesses begin in `accesses`. */
  private readonly starts = new Int32Array(EVENTS_MAX + 1);
  private accesses = new Int32Array(256);
  private accessCount = 0;
  private isOpen = false;
  private changesAnything = false;

  private table = new Int32Array(256 * ROW);
  private readonly touched: number[] = [];
  /** Per actor: its last event, the event that woke it, and the address that it sleeps or spins on (all plus 1). */
  private readonly last = new Int32Array(ACTORS_MAX);
  private readonly wokenBy = new Int32Array(ACTORS_MAX);
  private readonly asleep = new Int32Array(ACTORS_MAX);
  private readonly spinning = new Int32Array(ACTORS_MAX);
  /** Events that the one being closed directly depends on. */
  private readonly before: number[] = [];

  /** A new run. */
  begin(): void {
    this.length = 0;
    this.accessCount = 0;
    this.isOpen = false;
    for (const key of this.touched) this.table.fill(0, key * ROW, (key + 1) * ROW);
    this.touched.length = 0;
    this.last.fill(0);
    this.wokenBy.fill(0);
    this.asleep.fill(0);
    this.spinning.fill(0);
  }

  /** An actor begins its next event. The one before must be closed. */
  open(actor: number): void {
    this.actors[this.length] = actor;
    this.starts[this.length++] = this.accessCount;
    this.isOpen = true;
    this.changesAnything = false;
  }

  /** Ends the event that goes on: `races` and its clock are known then. False if none does. */
  close(endsRun: boolean): boolean {
    if (!this.isOpen) return false;
    this.isOpen = false;
    if (endsRun) this.push(POWER * 2 + 1);
    else if (this.changesAnything) this.push(POWER * 2);
    this.starts[this.length] = this.accessCount;
    this.order(this.length - 1);
    return true;
  }

  /** A copy of the accesses of event `i`. */
  copy(i: number): Accesses {
    return this.accesses.slice(this.starts[i], this.starts[i + 1]);
  }

  /** As areDependent(), of event `i` and others. */
  dependsOn(i: number, others: Accesses): boolean {
    return areDependent(this.accesses.subarray(this.starts[i], this.starts[i + 1]), others);
  }

  /** Did event `i` happen before event `j`, or is it the same? i must not be later than j. */
  happensBefore(i: number, j: number): boolean {
    return this.clocks[j * ACTORS_MAX + this.actors[i]] >= this.numbers[i];
  }

  /**
   * A 64-bit hash that all runs of one trace share: of its events' clocks, in any order. In a run
   * that was ended for everybody, what did not happen before that end is left out.
   */
  hash(wasEnded: boolean): { readonly low: number; readonly high: number } {
    let low = this.length === 0 ? 1 : 0;
    let high = 0;
    for (let i = 0; i < this.length; i++) {
      if (wasEnded && !this.happensBefore(i, this.length - 1)) continue;
      let a = this.actors[i] + 1;
      let b = ~a;
      for (let at = i * ACTORS_MAX; at < (i + 1) * ACTORS_MAX; at++) {
        a = Math.imul(a ^ this.clocks[at], 0x85ebca6b);
        a ^= a >>> 13;
        b = Math.imul(b ^ this.clocks[at], 0x27d4eb2f);
        b ^= b >>> 15;
      }
      low = (low + a) | 0;
      high = (high + b) | 0;
    }
    return { low, high };
  }

  // Watcher

  step(): void {
    // Whoever opens and closes events is asked at every step.
  }

  access(_actor: number, kind: Access, address: number, before: number, after: number): void {
    const isLook = kind === ACCESS.load || kind === ACCESS.read || before === after;
    this.push(valueKey(address) * 2 + (isLook ? 0 : 1));
    if (isLook) return;
    this.changesAnything = true;
    for (let i = 0; i < ACTORS_MAX; i++) {
      if (this.spinning[i] === address + 1) {
        this.spinning[i] = 0;
        this.wokenBy[i] = this.length;
      }
    }
  }

  sleep(actor: number, address: number, isSpin: boolean): void {
    // Whether nobody but who cuts the power could run is asked then.
    this.changesAnything = true;
    this.push(valueKey(address) * 2);
    if (isSpin) {
      this.spinning[actor] = address + 1;
    } else {
      this.push(sleepersKey(address) * 2);
      this.asleep[actor] = address + 1;
    }
  }

  stay(_actor: number, address: number): void {
    this.push(valueKey(address) * 2);
  }

  wake(_actor: number, address: number): void {
    this.push(sleepersKey(address) * 2 + 1);
    for (let i = 0; i < ACTORS_MAX; i++) {
      if (this.asleep[i] === address + 1) {
        this.asleep[i] = 0;
        this.wokenBy[i] = this.length;
      }
    }
  }

  finding(): void {
    this.changesAnything = true;
  }

  end(): void {
    this.changesAnything = true;
  }

  private push(access: number): void {
    if (this.accessCount === this.accesses.length) {
      const longer = new Int32Array(this.accesses.length * 2);
      longer.set(this.accesses);
      this.accesses = longer;
    }
    this.accesses[this.accessCount++] = access;
  }

  /** The clock of event `i`, which has just ended, and its races. */
  private order(i: number): void {
    const { clocks } = this;
    const actor = this.actors[i];
    const own = i * ACTORS_MAX;
    const previous = this.last[actor] - 1;
    if (previous < 0) clocks.fill(0, own, own + ACTORS_MAX);
    else clocks.copyWithin(own, previous * ACTORS_MAX, (previous + 1) * ACTORS_MAX);
    this.last[actor] = i + 1;
    this.numbers[i] = ++clocks[own + actor];
    if (this.wokenBy[actor] !== 0) this.join(i, this.wokenBy[actor] - 1);
    this.wokenBy[actor] = 0;

    this.findBefore(i, actor);
    this.findRaces(i);
    for (const e of this.before) this.join(i, e);
  }

  private join(i: number, e: number): void {
    const { clocks } = this;
    for (let a = 0; a < ACTORS_MAX; a++) {
      const theirs = clocks[e * ACTORS_MAX + a];
      if (theirs > clocks[i * ACTORS_MAX + a]) clocks[i * ACTORS_MAX + a] = theirs;
    }
  }

  /** Fills `before` with the last events that event `i` depends on by what it touches, and enters it. */
  private findBefore(i: number, actor: number): void {
    this.before.length = 0;
    for (let at = this.starts[i]; at < this.starts[i + 1]; at++) {
      const key = this.accesses[at] >>> 1;
      const row = this.row(key);
      const changes = (this.accesses[at] & 1) !== 0;
      const { table } = this;
      this.addBefore(table[row] - 1, i);
      if (changes) {
        for (let a = 1; a < IN_USE; a++) {
          this.addBefore(table[row + a] - 1, i);
          table[row + a] = 0;
        }
        table[row] = i + 1;
      } else {
        table[row + 1 + actor] = i + 1;
      }
    }
  }

  private addBefore(e: number, i: number): void {
    if (e >= 0 && e !== i && !this.before.includes(e)) this.before.push(e);
  }

  /** Those of `before` that nothing else puts before event `i`. */
  private findRaces(i: number): void {
    const { before, races } = this;
    races.length = 0;
    for (const e of before) {
      if (this.happensBefore(e, i)) continue;
      if (!before.some((d) => d !== e && d > e && this.happensBefore(e, d))) races.push(e);
    }
  }

  private row(key: number): number {
    const row = key * ROW;
    if (row + ROW > this.table.length) {
      const larger = new Int32Array(Math.max(this.table.length * 2, row + ROW));
      larger.set(this.table);
      this.table = larger;
    }
    if (this.table[row + IN_USE] === 0) this.touched.push(key);
    this.table[row + IN_USE] = 1;
    return row;
  }
}
