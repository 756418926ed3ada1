// The checking mode: does any step of the engine hide a race?
//
// Two rules, over every access of a run. (1) A step touches at most one word that no lock covers:
// an atomic access. (2) Plain accesses to one word by two actors, one of them a write, are ordered:
// by vector clocks, in which every atomic access orders what follows it after what went before on
// the same word, as the locks (built on atomics) do for all that they cover.

import type { Profile } from '../engine/profile/profile.js';
import { ACCESS, ACTORS_MAX, type Access, type Watcher } from '../engine/sched/lab-driver.js';
import type { Program } from './program.js';
import { Rig } from './rig.js';
import { RandomWalk } from './search/random-walk.js';

/** A step that hides a race: a defect of the engine. */
export interface HiddenRace {
  readonly rule: 'two-accesses-in-a-step' | 'unordered-accesses';
  readonly actor: string;
  /** Word of the machine's state buffer. */
  readonly address: number;
  /** Where in the code the second access is. */
  readonly where: string;
}

/** Runs a program under random schedules and reports each place that breaks a rule once. */
export function check(
  program: Program,
  profile: Profile,
  seed: number,
  executions: number,
): HiddenRace[] {
  const walk = new RandomWalk(seed);
  const rig = new Rig(program, profile, walk, null);
  const races = new Map<string, HiddenRace>();
  for (let i = 0; i < executions; i++) {
    rig.driver.watcher = new Checker(
      program.actors.map((actor) => actor.name),
      (race) => {
        races.set(`${race.rule} ${race.where}`, race);
      },
    );
    rig.run();
  }
  return [...races.values()];
}

type Clock = Int32Array;

interface WordHistory {
  /** What is ordered before the next atomic access of this word. */
  readonly released: Clock;
  /** Time of the last plain write, and who did it. */
  writer: number;
  writeTime: number;
  /** Time of each actor's last plain read. */
  readonly readTimes: Clock;
}

class Checker implements Watcher {
  private readonly clocks = Array.from({ length: ACTORS_MAX }, (_, i) => {
    const clock = new Int32Array(ACTORS_MAX);
    clock[i] = 1;
    return clock;
  });
  private readonly words = new Map<number, WordHistory>();
  private readonly atomics = new Int32Array(ACTORS_MAX);

  constructor(
    private readonly names: readonly string[],
    private readonly report: (race: HiddenRace) => void,
  ) {}

  step(actor: number): void {
    this.atomics[actor] = 0;
  }

  access(actor: number, kind: Access, address: number): void {
    if (kind === ACCESS.read || kind === ACCESS.write) {
      this.plain(actor, address, kind === ACCESS.write);
    } else {
      this.atomic(actor, address, kind !== ACCESS.load);
    }
  }

  sleep(): void {
    // The access before it has been seen.
  }

  wake(): void {
    // The access before it has been seen.
  }

  end(): void {
    // Nothing is touched any more.
  }

  private atomic(actor: number, address: number, isWrite: boolean): void {
    if (++this.atomics[actor] > 1) this.fail('two-accesses-in-a-step', actor, address);
    const { released } = this.history(address);
    const clock = this.clocks[actor];
    for (let i = 0; i < ACTORS_MAX; i++) {
      clock[i] = Math.max(clock[i], released[i]);
      if (isWrite) released[i] = clock[i];
    }
    if (isWrite) clock[actor]++;
  }

  private plain(actor: number, address: number, isWrite: boolean): void {
    const word = this.history(address);
    const clock = this.clocks[actor];
    let isOrdered = word.writer < 0 || word.writeTime <= clock[word.writer];
    if (isWrite) {
      for (let i = 0; i < ACTORS_MAX; i++) if (word.readTimes[i] > clock[i]) isOrdered = false;
      word.writer = actor;
      word.writeTime = clock[actor];
    } else {
      word.readTimes[actor] = clock[actor];
    }
    if (!isOrdered) this.fail('unordered-accesses', actor, address);
  }

  private history(address: number): WordHistory {
    let word = this.words.get(address);
    if (word === undefined) {
      word = {
        released: new Int32Array(ACTORS_MAX),
        writer: -1,
        writeTime: 0,
        readTimes: new Int32Array(ACTORS_MAX),
      };
      this.words.set(address, word);
    }
    return word;
  }

  private fail(rule: HiddenRace['rule'], actor: number, address: number): void {
    const stack = new Error(rule).stack ?? '';
    const where = stack.split('\n').find((line) => !INTERNALS.test(line)) ?? 'unknown';
    this.report({ rule, actor: this.names[actor], address, where: where.trim() });
  }
}

/** Frames of the stack that belong to the checking itself. */
const INTERNALS = /^Error|lab.checker\.[jt]s|lab-driver|memory.(word|long)|at Generator\.next/;
