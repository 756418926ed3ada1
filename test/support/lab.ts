// What tests of hazards ask of a search.

import type { ExecutionContext } from 'ava';
import type { Profile } from '../../engine/profile/profile.js';
import { explore, replay } from '../../lab/explore.js';
import type { Program } from '../../lab/program.js';

/** Preemptions up to which all schedules are tried, and executions within which that has to end. */
const BOUNDS = [0, 1, 2, 3];
const BUDGET = 300_000;

/** The verdict of a search of all schedules of up to three preemptions. */
export function verdict(program: () => Program, profile: Profile): string {
  return explore(program(), profile, { bounds: BOUNDS, budget: BUDGET }).verdict;
}

/** The kinds of what goes wrong in a schedule of up to three preemptions, sorted; each one is replayed. */
export function kindsOf(t: ExecutionContext, program: () => Program, profile: Profile): string[] {
  const { failures } = explore(program(), profile, { bounds: BOUNDS, budget: BUDGET });
  for (const { finding, schedule } of failures) {
    const { findings } = replay(program(), profile, schedule);
    t.true(
      findings.some((f) => JSON.stringify(f) === JSON.stringify(finding)),
      schedule,
    );
  }
  return [...new Set(failures.map(({ finding }) => finding.kind))].sort();
}
