// The oracle: what a cell may hold, given what its owner began and was answered, what was promised,
// and how often the page was cut.

import type { FindingKind } from '../../engine/finding.js';
import type { Cell } from './stamp.js';

/** What is known of a cell when it is judged. */
export interface Claim {
  /** The least sequence that must be found (0: nothing was written). */
  floor: number;
  /** Cuts that had ended when that write began. */
  floorCuts: number;
  /** The last sequence begun. */
  invoked: number;
  /** Cuts begun so far. */
  cutsStarted: number;
  /** May half a stamp be found of a write that is newer than the floor? */
  mayBeHalf: boolean;
}

export function newClaim(): Claim {
  return { floor: 0, floorCuts: 0, invoked: 0, cutsStarted: 0, mayBeHalf: false };
}

/** Where the cell is, and whose: writer -1 is nobody. */
export interface Place {
  writer: number;
  file: number;
  page: number;
}

/** Null if the cell is legal, or the kind of the finding. */
export function judge(cell: Cell, place: Place, claim: Claim): FindingKind | null {
  if (cell.kind === 'zero') {
    return claim.floor === 0 || claim.cutsStarted > claim.floorCuts ? null : 'lost-write';
  }
  if (place.writer < 0) return 'foreign-write';
  if (cell.kind === 'broken') {
    return claim.mayBeHalf && claim.invoked > claim.floor ? null : 'torn-write';
  }
  if (cell.writer !== place.writer || cell.file !== place.file || cell.page !== place.page) {
    return 'foreign-write';
  }
  if (cell.sequence > claim.invoked) return 'foreign-write';
  return cell.sequence < claim.floor ? 'lost-write' : null;
}

/** What the cell holds and what it should, for the finding. */
export function explain(cell: Cell, claim: Claim): string {
  const found =
    cell.kind === 'zero'
      ? 'zeroes'
      : cell.kind === 'stamp'
        ? `sequence ${cell.sequence} of writer ${cell.writer} for file ${cell.file} page ${cell.page}`
        : `no whole stamp (its words say sequence ${cell.sequence} of writer ${cell.writer})`;
  return (
    `found ${found}; it must be at least sequence ${claim.floor} and at most ${claim.invoked}` +
    ` (${claim.cutsStarted} cuts begun, ${claim.floorCuts} ended before that write)`
  );
}
