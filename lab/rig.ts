// A program on a tiny machine, ready to be run again and again: set up once, reset by copying the
// machine's state back.

import type { Finding, FindingKind } from '../engine/finding.js';
import { createMachine, type Machine } from '../engine/machine.js';
import { initAllocator } from '../engine/mm/alloc.js';
import { initNodes } from '../engine/mm/pagecache.js';
import type { Profile } from '../engine/profile/profile.js';
import { InvariantError, KernelBug } from '../engine/sched/errors.js';
import {
  type Actor,
  type Chooser,
  DECISIONS_MAX,
  type Ending,
  LabDriver,
  STEPS_MAX,
} from '../engine/sched/lab-driver.js';
import type { StateHash } from '../engine/sched/state-hash.js';
import { PowerCut, type Program } from './program.js';
import { WaitFor } from './wait-for.js';

/** What one run came to. */
export interface RunResult {
  readonly ending: Ending;
  readonly findings: readonly Finding[];
  readonly steps: number;
}

const LIVELOCK =
  `livelock: no end after ${String(DECISIONS_MAX)} choices of an actor, ` +
  `or ${String(STEPS_MAX)} steps`;

const NO_CHOICE: Chooser = { choose: (_, current) => current };

/** One program under one profile. */
export class Rig {
  readonly machine: Machine;
  readonly driver: LabDriver;
  private readonly initial: Int32Array;
  private readonly live: Int32Array;
  /** In the order of the program's actors: letter a, b, c, ... of a schedule. */
  readonly actors: readonly Actor[];
  private findings: Finding[] = [];
  private waitFor: WaitFor | null = null;
  /** Called after each run, before it is returned. */
  afterRun: () => void = () => undefined;

  /**
   * @param hash see LabDriver; findings become part of it
   * @throws InvariantError if the program's set-up does not run to its end
   */
  constructor(
    readonly program: Program,
    readonly profile: Profile,
    chooser: Chooser,
    hash: StateHash | null,
  ) {
    this.driver = new LabDriver(chooser, hash);
    const m = createMachine(program.geometry, profile, [], true);
    this.machine = m;
    m.onFinding = (finding) => {
      this.findings.push(finding);
      if (hash !== null) hash.write(-1 - this.findings.length, 0, digest(finding));
      this.driver.reported();
    };
    initAllocator(m);
    initNodes(m);
    program.attach(m);
    const setUp = m.newTask('set-up');
    const ending = new LabDriver(NO_CHOICE, null).run([
      { name: 'set-up', task: setUp, start: () => program.setUp(setUp, m) },
    ]);
    if (ending !== 'done') throw new InvariantError(`set-up of ${program.name} ended in ${ending}`);
    this.actors = program.actors.map((source, cpu) => {
      const task = m.newTask(source.name, cpu);
      return { name: source.name, task, start: () => source.run(task, m) };
    });
    this.live = new Int32Array(m.shared.state);
    this.initial = new Int32Array(this.live);
  }

  /** Runs the program once from its initial state. */
  run(): RunResult {
    this.live.set(this.initial);
    this.findings = [];
    const ending = this.driver.run(this.actors);
    this.afterRun();
    this.judge(ending);
    return { ending, findings: this.findings, steps: this.driver.steps };
  }

  private judge(ending: Ending): void {
    const { driver } = this;
    switch (ending) {
      case 'done':
        for (const finding of this.program.verify(this.machine)) this.findings.push(finding);
        break;
      case 'deadlock':
        this.addDeadlock();
        break;
      case 'livelock':
        this.add('hang', 'all', LIVELOCK);
        break;
      case 'thrown':
        this.judgeThrown(driver.thrown, this.actors[driver.thrownBy].name);
        break;
      case 'abandoned':
        break;
    }
  }

  private judgeThrown(thrown: unknown, actor: string): void {
    if (thrown instanceof KernelBug) {
      this.findings.push({
        kind: 'bug',
        hazard: thrown.hazard ?? this.program.name,
        task: actor,
        message: thrown.message,
      });
    } else if (thrown instanceof PowerCut) {
      // Whoever pulls the plug can always run, and would hide that nobody else ever will.
      if (this.driver.isStuckBut(this.driver.thrownBy)) this.addDeadlock();
      for (const finding of this.program.verifyAfterCut?.(this.machine) ?? []) {
        this.findings.push(finding);
      }
    } else throw thrown;
  }

  private addDeadlock(): void {
    const blocked = this.driver.blocked();
    this.waitFor ??= new WaitFor(this.program, this.machine, this.actors);
    const names = blocked.map(({ actor }) => actor.name);
    this.add('hang', names.join(', '), `nobody can run: ${this.waitFor.describe(blocked)}`);
  }

  private add(kind: FindingKind, task: string, message: string): void {
    this.findings.push({ kind, hazard: this.program.name, task, message });
  }
}

/** A number that stands for a finding in the hash of the state. */
function digest({ kind, task, message }: Finding): number {
  let sum = 1;
  for (const text of [kind, task, message]) {
    for (let i = 0; i < text.length; i++) sum = (Math.imul(sum, 31) + text.charCodeAt(i)) | 0;
  }
  return sum;
}
