// What the runs of a search come to: how many, and the first schedule of each distinct failure.

import type { Finding } from '../engine/finding.js';
import type { Profile } from '../engine/profile/profile.js';
import { InvariantError } from '../engine/sched/errors.js';
import type { Program } from './program.js';
import { replay } from './replay.js';
import type { Rig, RunResult } from './rig.js';
import { formatSchedule } from './search/schedule.js';

export interface Failure {
  readonly finding: Finding;
  readonly schedule: string;
  readonly preemptions: number;
}

export class Tally {
  executions = 0;
  steps = 0;
  livelocks = 0;
  readonly failures = new Map<string, Failure>();

  constructor(
    private readonly program: Program,
    private readonly profile: Profile,
  ) {}

  count(run: RunResult, rig: Rig): void {
    this.executions++;
    this.steps += run.steps;
    if (run.ending === 'livelock') this.livelocks++;
    for (const finding of run.findings) {
      const key = `${finding.kind} ${finding.task} ${finding.message}`;
      if (this.failures.has(key)) continue;
      const { preemptions } = rig.driver;
      this.failures.set(key, { finding, schedule: this.schedule(rig), preemptions });
    }
    // 1, 2, 4, 8, ...: a sample that costs nothing.
    if ((this.executions & (this.executions - 1)) === 0) this.checkDeterminism(run, rig);
  }

  schedule(rig: Rig): string {
    return formatSchedule({
      program: this.program.name,
      profile: this.profile.name,
      choices: rig.driver.choices(),
    });
  }

  /** The same choices must come to the same: else nothing that a search says is worth anything. */
  private checkDeterminism(run: RunResult, rig: Rig): void {
    if (run.ending === 'abandoned') return;
    const again = replay(this.program, this.profile, this.schedule(rig));
    const same =
      again.ending === run.ending &&
      again.steps === run.steps &&
      JSON.stringify(again.findings) === JSON.stringify(run.findings);
    if (same) return;
    throw new InvariantError(
      `${this.program.name} is not deterministic: ${this.schedule(rig)} ended in ${run.ending} ` +
        `after ${String(run.steps)} steps, and again in ${again.ending} after ${String(again.steps)}`,
    );
  }
}
