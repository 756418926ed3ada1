// One cell of the matrix: a hazard under the rules of a profile, searched within a budget.

import type { FindingKind } from '../../engine/finding.js';
import type { Profile } from '../../engine/profile/profile.js';
import { type Exploration, explore, type Failure } from '../explore.js';
import { type Hazard, LAB_PAGE_BYTES } from '../hazard.js';
import type { Program } from '../program.js';
import { formatSchedule, parseSchedule } from '../search/schedule.js';
import { type Asked, AskedRules } from './asked.js';

/**
 * Executions of a cell's search. They are counted, and no seconds, so that each machine comes to
 * the same matrix.
 */
export const CELL_BUDGET = 200_000;

export type CellVerdict = Exploration['verdict'] | 'not-applicable';

/** What a search came to, under whatever name its rules have. */
export interface Outcome {
  /**
   * `safe`: every schedule was tried (`exhaustive`), or every one of up to `preemptionBound`
   * preemptions. `not-found`: nothing in `executions` runs, which proves nothing.
   */
  readonly verdict: CellVerdict;
  /** Kinds of failure that were seen, sorted. */
  readonly failures: readonly FindingKind[];
  /** The failing schedule with the fewest preemptions; null unless unsafe. */
  readonly schedule: string | null;
  readonly exhaustive: boolean;
  readonly preemptionBound: number | null;
  readonly executions: number;
  /** Preemptions of `schedule`. */
  readonly preemptions: number | null;
  /** Why the hazard can't be posed under these rules; null if it can. */
  readonly why: string | null;
}

/** A cell of the matrix. */
export interface Cell extends Outcome {
  readonly hazard: string;
  readonly profile: string;
  /** The profile whose search this is: it answers alike all that the search asked. Null if its own. */
  readonly sameAs: string | null;
}

/** A search that was made, and what it asked. */
export interface Searched {
  readonly hazard: string;
  readonly profile: string;
  readonly asked: Asked;
  readonly outcome: Outcome;
}

/** Searches a hazard under a profile. */
export function searchCell(hazard: Hazard, profile: Profile, budget: number): Searched {
  const rules = new AskedRules(profile);
  const outcome = outcomeOf(hazard, rules.profile, budget);
  return { hazard: hazard.id, profile: profile.name, asked: rules.asked(), outcome };
}

/** The cell of `profile`, from a search under the same rules. */
export function cellOf({ hazard, profile: searched, outcome }: Searched, profile: string): Cell {
  const { schedule } = outcome;
  return {
    hazard,
    profile,
    ...outcome,
    schedule: schedule === null ? null : formatSchedule({ ...parseSchedule(schedule), profile }),
    sameAs: searched === profile ? null : searched,
  };
}

function outcomeOf(hazard: Hazard, profile: Profile, budget: number): Outcome {
  const why = hazard.notApplicable?.(profile) ?? null;
  if (why !== null) {
    return {
      verdict: 'not-applicable',
      failures: [],
      schedule: null,
      exhaustive: false,
      preemptionBound: null,
      executions: 0,
      preemptions: null,
      why,
    };
  }
  const program = hazard.program(profile, LAB_PAGE_BYTES);
  const { verdict, failures, exhaustive, preemptionBound, executions } = explore(program, profile, {
    budget,
  });
  const shown = failures.length === 0 ? null : shortest(program, profile, failures);
  return {
    verdict,
    failures: [...new Set(failures.map(({ finding }) => finding.kind))].sort(),
    schedule: shown?.schedule ?? null,
    exhaustive,
    preemptionBound,
    executions,
    preemptions: shown?.preemptions ?? null,
    why: null,
  };
}

/** The failure that readers are shown: fewest preemptions, then fewest decisions, then the first. */
function shortest(_program: Program, _profile: Profile, failures: readonly Failure[]): Failure {
  const decisions = ({ schedule }: Failure): number => parseSchedule(schedule).choices.length;
  return [...failures].sort(
    (a, b) => a.preemptions - b.preemptions || decisions(a) - decisions(b),
  )[0];
}
