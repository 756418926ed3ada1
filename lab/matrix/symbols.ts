// What stands in a cell of a table, and what it means.

import type { FindingKind } from '../../engine/finding.js';
import { SAFE_BOUND } from '../explore.js';
import type { Cell } from './cell.js';

/** A letter for each kind of failure, and what it is. The gravest first: it is shown where one fits. */
export const FAILURES: Readonly<Record<FindingKind, readonly [letter: string, meaning: string]>> = {
  'foreign-write': ['F', 'a device wrote into a block that belongs to another file by then'],
  'lost-write': ['L', 'what was written, and promised to be durable, is gone'],
  'torn-write': ['T', 'what is on the disk differs from the checksum taken for it'],
  'late-enospc': ['N', 'no space, found out at writeback: nobody is there to be told'],
  bug: ['B', 'the kernel stops with a BUG'],
  hang: ['H', 'nobody can go on: deadlock, or a wait without end'],
  lockdep: ['D', 'locks are taken in an order that can deadlock'],
  'spurious-error': ['E', 'a valid call fails'],
  warn: ['W', 'the kernel warns'],
  leak: ['A', 'an account is wrong for good: pins, or dirty pages'],
};

/** The letters of a cell's failures, the gravest first. */
export function lettersOf(failures: readonly FindingKind[]): string {
  let letters = '';
  for (const [kind, [letter]] of Object.entries(FAILURES)) {
    if (failures.some((failure) => failure === kind)) letters += letter;
  }
  return letters;
}

/** What stands in a table for a cell. */
export function symbolOf(cell: Cell | undefined): string {
  switch (cell?.verdict) {
    case undefined:
      return ' ';
    case 'safe':
      return cell.exhaustive ? '✓' : String(cell.preemptionBound ?? '?');
    case 'unsafe':
      return lettersOf(cell.failures);
    case 'not-found':
      return '?';
    case 'not-applicable':
      return '·';
  }
}

/** The symbols with their meanings, for people who see a matrix for the first time. */
export const LEGEND: readonly (readonly [symbol: string, meaning: string])[] = [
  ['✓', 'safe: every schedule there is was tried'],
  [
    String(SAFE_BOUND),
    `safe: every schedule of up to ${SAFE_BOUND} preemptions was tried, and there are more`,
  ],
  ['?', 'nothing found within the budget of executions, which proves nothing'],
  ['·', 'the hazard can’t be posed under these rules'],
  ...Object.entries(FAILURES).map(
    ([kind, [letter, meaning]]) => [letter, `unsafe, ${kind}: ${meaning}`] as const,
  ),
];

/** A cell in words. */
export function verdictInWords(cell: Cell): string {
  const runs = `${cell.executions.toLocaleString('en-US')} runs`;
  switch (cell.verdict) {
    case 'safe':
      return cell.exhaustive
        ? `safe: every schedule there is was tried (${runs})`
        : `safe: every schedule of up to ${cell.preemptionBound ?? 0} preemptions was tried (${runs})`;
    case 'unsafe':
      return `unsafe: ${cell.failures.join(', ')}`;
    case 'not-found':
      return `nothing found in ${runs}, which proves nothing`;
    case 'not-applicable':
      return `not applicable: ${cell.why ?? ''}`;
  }
}
