// Recording one run: every access to shared state with the engine functions that made it, every
// sleep and wake, every switch of actors, and the findings at the place where they were made.
//
// Which functions are running is read off the stack of an Error: the generators that `yield*` one
// another are on it, from the actor's own function inward. Slow, and done for one replay only.

import type { Finding } from '../../engine/finding.js';
import type { Profile } from '../../engine/profile/profile.js';
import { KernelBug } from '../../engine/sched/errors.js';
import type { Access, Ending, Watcher } from '../../engine/sched/lab-driver.js';
import { replayRig } from '../explore.js';
import { PowerCut, type Program } from '../program.js';
import type { Rig } from '../rig.js';
import { formatSchedule } from '../search/schedule.js';

/**
 * One thing that happened. `functions`: the actor's own function, then those of the engine that it
 * called, outermost first.
 */
export type Event =
  | {
      readonly kind: 'access';
      readonly actor: number;
      readonly access: Access;
      readonly address: number;
      readonly before: number;
      readonly after: number;
      readonly functions: readonly string[];
    }
  | {
      readonly kind: 'sleep';
      readonly actor: number;
      readonly address: number;
      readonly isSpin: boolean;
      readonly functions: readonly string[];
    }
  | {
      readonly kind: 'wake';
      readonly actor: number;
      readonly address: number;
      /** Actors that slept on the word. */
      readonly woken: readonly number[];
      readonly functions: readonly string[];
    }
  | { readonly kind: 'finding'; readonly actor: number; readonly finding: Finding }
  /** The actor could have gone on, but another went. */
  | { readonly kind: 'preempted'; readonly actor: number }
  | { readonly kind: 'end'; readonly actor: number };

/** A run as it was. */
export interface Recording {
  readonly events: readonly Event[];
  /** The machine's state buffer before the run. */
  readonly initial: Int32Array;
  readonly ending: Ending;
  /** Those of the run (also among the events) and those that its end state showed. */
  readonly findings: readonly Finding[];
  readonly steps: number;
  readonly preemptions: number;
  /** Replays the run exactly. */
  readonly schedule: string;
  /** Task ids of the actors, by their number. */
  readonly taskIds: readonly number[];
  /** Who cut the power, or -1. */
  readonly powerCutBy: number;
  /** What a word of State.extra is called, by the program or by its file system. */
  readonly nameOfExtra: (word: number) => string | null;
  /** The file system's bits of i_state by name. */
  readonly stateBits: Readonly<Record<string, number>>;
  /** What a value of such a word means, where the number does not say it. */
  readonly valueOfExtra: (word: number, value: number) => string | null;
}

/**
 * Runs a program once and writes down what happens.
 * @param schedule a run to replay; without it every actor goes on as long as it can
 * @throws Errno EINVAL if the schedule belongs to another program or does not fit
 */
export function record(program: Program, profile: Profile, schedule?: string): Recording {
  const { name } = program;
  const plain = formatSchedule({ program: name, profile: profile.name, choices: [] });
  const rig = replayRig(program, profile, schedule ?? plain);
  const recorder = new Recorder();
  rig.driver.watcher = recorder;
  keepFindings(rig, recorder);
  const initial = new Int32Array(rig.machine.shared.state.slice(0));
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = STACK_DEPTH;
  try {
    const { ending, findings, steps } = rig.run();
    const { thrown, thrownBy } = rig.driver;
    if (ending === 'thrown' && thrown instanceof KernelBug) {
      const bug = findings.find(({ message }) => message === thrown.message);
      if (bug !== undefined) recorder.found(thrownBy, bug);
    }
    return {
      events: recorder.events,
      initial,
      ending,
      findings,
      steps,
      preemptions: recorder.preemptions,
      schedule: formatSchedule({
        program: name,
        profile: profile.name,
        choices: rig.driver.choices(),
      }),
      taskIds: rig.actors.map((actor) => actor.task.id),
      nameOfExtra: (word) =>
        program.nameOfExtra?.(word) ?? rig.machine.mountedFs?.nameOfExtra?.(word) ?? null,
      stateBits: rig.machine.mountedFs?.stateBits ?? {},
      valueOfExtra: (word, value) => rig.machine.mountedFs?.valueOfExtra?.(word, value) ?? null,
      powerCutBy: ending === 'thrown' && thrown instanceof PowerCut ? thrownBy : -1,
    };
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** Frames of a stack that are looked at: as deep as the engine ever calls. */
const STACK_DEPTH = 120;

function keepFindings(rig: Rig, recorder: Recorder): void {
  const { onFinding } = rig.machine;
  rig.machine.onFinding = (finding) => {
    onFinding(finding);
    recorder.found(recorder.running, finding);
  };
}

class Recorder implements Watcher {
  readonly events: Event[] = [];
  preemptions = 0;
  /** The actor that ran last; -1 before the first. */
  running = -1;
  private readonly asleep = new Map<number, number>();
  private readonly over = new Set<number>();
  /** Functions in which each actor was last seen: asleep it has no stack. */
  private readonly where = new Map<number, readonly string[]>();

  step(actor: number): void {
    this.turnTo(actor);
    this.look(actor);
  }

  access(actor: number, access: Access, address: number, before: number, after: number): void {
    this.turnTo(actor);
    const functions = this.look(actor);
    this.events.push({ kind: 'access', actor, access, address, before, after, functions });
  }

  sleep(actor: number, address: number, isSpin: boolean): void {
    this.turnTo(actor);
    this.asleep.set(actor, address);
    const functions = this.where.get(actor) ?? [];
    this.events.push({ kind: 'sleep', actor, address, isSpin, functions });
  }

  wake(actor: number, address: number): void {
    this.turnTo(actor);
    const woken = [...this.asleep].filter(([, on]) => on === address).map(([who]) => who);
    if (woken.length === 0) return;
    this.events.push({ kind: 'wake', actor, address, woken, functions: this.look(actor) });
  }

  end(actor: number): void {
    this.turnTo(actor);
    this.over.add(actor);
    this.events.push({ kind: 'end', actor });
  }

  found(actor: number, finding: Finding): void {
    this.events.push({ kind: 'finding', actor, finding });
  }

  private turnTo(actor: number): void {
    const before = this.running;
    this.running = actor;
    this.asleep.delete(actor);
    if (before < 0 || before === actor || this.over.has(before) || this.asleep.has(before)) return;
    this.preemptions++;
    this.events.push({ kind: 'preempted', actor: before });
  }

  private look(actor: number): readonly string[] {
    const functions = functionsOf(new Error('where').stack ?? '');
    this.where.set(actor, functions);
    return functions;
  }
}

/** The actor's own function, and the functions of the engine that it called, outermost first. */
function functionsOf(stack: string): string[] {
  const functions: string[] = [];
  let own = '';
  for (const line of stack.split('\n').slice(1)) {
    const name = /^\s*at (?:new )?(\S+) \(/.exec(line)?.[1];
    if (name === undefined || name.endsWith('.next') || INTERNALS.test(line)) continue;
    if (name === 'LabDriver.resume') break;
    own = name.slice(name.lastIndexOf('.') + 1);
    if (ENGINE.test(line)) functions.push(own);
  }
  return [own, ...functions.reverse()];
}

const ENGINE = /\/engine\//;

/** Frames of the recording and of the accessors themselves. */
const INTERNALS = /functionsOf|Recorder\.|LabDriver\.(?!resume)|memory.(word|long)\.[jt]s/;
