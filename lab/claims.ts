// What the authors of proposals claimed, beside what the matrix says: each claim is confirmed,
// refuted or moot, with the schedule that shows it.

import type { FindingKind } from '../engine/finding.js';
import { PROPOSALS, type Proposal } from '../engine/profile/proposals.js';
import type { Cell } from './matrix/cell.js';
import { cellAt, type Matrix } from './matrix/stored.js';

/** In the order in which tables have them. */
export const CLAIM_OUTCOMES = {
  refuted: 'claimed to be fixed, and unsafe with the proposal: the schedule shows how',
  confirmed: 'claimed to be fixed: unsafe on the base, safe with the proposal',
  agreed: 'said not to be fixed, or to be brought: unsafe with the proposal',
  better: 'said not to be fixed: unsafe on the base, safe with the proposal all the same',
  brings: 'not spoken of: unsafe with the proposal, and not on the base',
  'fixes-too': 'not spoken of: unsafe on the base, safe with the proposal',
  moot: 'safe on the base too, or not posed there: nothing to fix',
  'not-posed': 'with the proposal the hazard can’t be posed any more',
  undecided: 'a search ended at its budget, with nothing found',
} as const;

export type ClaimOutcome = keyof typeof CLAIM_OUTCOMES;

export interface Claim {
  readonly proposal: string;
  /** The kernel on which it is judged. */
  readonly base: string;
  readonly hazard: string;
  /** What was said of the hazard: nothing for side effects. */
  readonly said: 'fixes' | 'does-not-fix' | 'nothing';
  readonly outcome: ClaimOutcome;
  /** Kinds of failure on the base, and with the proposal. */
  readonly before: readonly FindingKind[];
  readonly after: readonly FindingKind[];
  /** The schedule that breaks it with the proposal; else the one that breaks the base. */
  readonly schedule: string | null;
}

/** Judges all proposals and hazards that the matrix has, with side effects. */
export function judgeClaims(matrix: Matrix): Claim[] {
  const claims = PROPOSALS.flatMap((proposal) => judgeProposal(matrix, proposal));
  const order = Object.keys(CLAIM_OUTCOMES);
  return claims.sort((a, b) => order.indexOf(a.outcome) - order.indexOf(b.outcome));
}

function judgeProposal(matrix: Matrix, proposal: Proposal): Claim[] {
  const kernels = [proposal.base, ...(proposal.alsoOn ?? [])];
  return matrix.hazards.flatMap((hazard) => {
    const said = proposal.claims.includes(hazard)
      ? 'fixes'
      : proposal.disclaims.includes(hazard)
        ? 'does-not-fix'
        : 'nothing';
    const judged = kernels.flatMap((base) => judgeOn(matrix, proposal.id, hazard, said, base));
    // The newest kernel that has something to judge.
    return judged.find(({ outcome }) => outcome !== 'moot') ?? judged.slice(0, 1);
  });
}

function judgeOn(
  matrix: Matrix,
  proposal: string,
  hazard: string,
  said: Claim['said'],
  base: string,
): Claim[] {
  const before = cellAt(matrix, hazard, base);
  const after = cellAt(matrix, hazard, `${base}+${proposal}`);
  if (before === undefined || after === undefined) return [];
  const outcome = judge(said, before, after);
  if (outcome === null) return [];
  const schedule = after.schedule ?? before.schedule;
  return [
    {
      proposal,
      base,
      hazard,
      said,
      outcome,
      before: before.failures,
      after: after.failures,
      schedule,
    },
  ];
}

function judge(said: Claim['said'], before: Cell, after: Cell): ClaimOutcome | null {
  if (said === 'nothing') return sideEffect(before, after);
  if (after.verdict === 'unsafe') return said === 'fixes' ? 'refuted' : 'agreed';
  if (before.verdict === 'not-found' || after.verdict === 'not-found') return 'undecided';
  if (before.verdict !== 'unsafe') return 'moot';
  if (after.verdict === 'not-applicable') return 'not-posed';
  return said === 'fixes' ? 'confirmed' : 'better';
}

function sideEffect(before: Cell, after: Cell): ClaimOutcome | null {
  if (before.verdict === 'unsafe') return after.verdict === 'safe' ? 'fixes-too' : null;
  return after.verdict === 'unsafe' && before.verdict !== 'not-found' ? 'brings' : null;
}
