// Two sets of rules side by side: what each fixes and breaks on its base, where the two differ, and
// what was measured of their cost.

import { KERNELS } from '../engine/profile/kernels.js';
import type { Profile } from '../engine/profile/profile.js';
import { profileByName, profileNames } from '../engine/profile/profiles.js';
import { PROPOSALS } from '../engine/profile/proposals.js';
import { Errno } from '../engine/sched/errors.js';
import type { Costs } from './costs.js';
import type { Cell } from './matrix/cell.js';
import { cellAt, type Matrix } from './matrix/stored.js';
import { nearest } from './nearest.js';

/** Rules, and those that they are measured by. */
export interface Contender {
  readonly profile: Profile;
  /** Null for the first kernel. */
  readonly base: Profile | null;
}

/** A hazard that two sets of rules decide differently. */
export interface Difference {
  readonly hazard: string;
  readonly before: Cell;
  readonly after: Cell;
}

export interface SideOfComparison {
  readonly profile: string;
  readonly base: string | null;
  /** Unsafe on the base, and safe. */
  readonly fixes: readonly Difference[];
  /** Unsafe, and not on the base. */
  readonly breaks: readonly Difference[];
  /** Unsafe on both. */
  readonly leaves: readonly Difference[];
  /** What was measured; null if nothing was. */
  readonly cost: Costs[number] | null;
}

export interface Comparison {
  readonly sides: readonly [SideOfComparison, SideOfComparison];
  /** Where the second is `after`. */
  readonly between: readonly Difference[];
}

/**
 * The rules of that name: a profile, or a proposal (`P3-skip`) on its own base.
 * @throws Errno EINVAL that names the one that may have been meant
 */
export function contender(name: string): Contender {
  const proposal = PROPOSALS.find((one) => one.id === name);
  if (proposal !== undefined) return contender(`${proposal.base}+${proposal.id}`);
  const meant = nearest(name, [...PROPOSALS.map((one) => one.id), ...profileNames()]);
  try {
    return { profile: profileByName(name), base: baseOf(name) };
  } catch (cause) {
    const hint = meant === null ? '' : `; did you mean ${meant}?`;
    throw new Errno('EINVAL', `no profile or proposal "${name}"${hint}`, { cause });
  }
}

/** What a profile changes: its kernel, or the kernel before it. */
function baseOf(name: string): Profile | null {
  if (name === 'best-known') return profileByName('linux-6.12');
  const [kernel, ...proposals] = name.split('+');
  if (proposals.length > 0) return profileByName(kernel);
  const version = KERNELS.findIndex((one) => `linux-${one.version}` === kernel);
  return version <= 0 ? null : profileByName(`linux-${KERNELS[version - 1].version}`);
}

/** All profiles that comparing them asks for. */
export function profilesOf(contenders: readonly Contender[]): Profile[] {
  const all = contenders.flatMap(({ profile, base }) =>
    base === null ? [profile] : [base, profile],
  );
  return [...new Map(all.map((profile) => [profile.name, profile])).values()];
}

/** @param matrix has all profilesOf() the two */
export function compare(matrix: Matrix, a: Contender, b: Contender, costs: Costs): Comparison {
  return {
    sides: [sideOf(matrix, a, costs), sideOf(matrix, b, costs)],
    between: differences(matrix, a.profile.name, b.profile.name, isOther),
  };
}

function sideOf(matrix: Matrix, { profile, base }: Contender, costs: Costs): SideOfComparison {
  const from = base?.name ?? null;
  const among = (differs: Differs): Difference[] =>
    from === null ? [] : differences(matrix, from, profile.name, differs);
  return {
    profile: profile.name,
    base: from,
    fixes: among((before, after) => isUnsafe(before) && after.verdict === 'safe'),
    breaks: among((before, after) => !isUnsafe(before) && isUnsafe(after)),
    leaves: among((before, after) => isUnsafe(before) && isUnsafe(after)),
    cost: costs.find((cost) => cost.profile === profile.name) ?? null,
  };
}

type Differs = (before: Cell, after: Cell) => boolean;

function differences(matrix: Matrix, from: string, to: string, differs: Differs): Difference[] {
  return matrix.hazards.flatMap((hazard) => {
    const before = cellAt(matrix, hazard, from);
    const after = cellAt(matrix, hazard, to);
    if (before === undefined || after === undefined) return [];
    return differs(before, after) ? [{ hazard, before, after }] : [];
  });
}

function isUnsafe(cell: Cell): boolean {
  return cell.verdict === 'unsafe';
}

/** Another verdict, or other kinds of failure. */
function isOther(a: Cell, b: Cell): boolean {
  return a.verdict !== b.verdict || a.failures.join() !== b.failures.join();
}
