// Makes a failing image simple: the fewest lost units that still fail, at the earliest crash point.

import { pick } from '../../../engine/block/power-cut.js';
import { type Group, groupsOf } from '../../../engine/block/power-cut-groups.js';
import type { CrashPoint } from '../../../engine/block/recording/replay.js';
import type { Timeline } from '../../../engine/block/recording/timeline.js';

/** So many checks one failure is worth. */
const CHECKS_MAX = 300;
const OPTIONS_MAX = 4096;

export interface SmallestImage {
  readonly point: CrashPoint;
  readonly choices: Int32Array;
  /** It failed again as it had failed before; otherwise the checker is not of one mind. */
  readonly reproduced: boolean;
  /** Nothing smaller was left to try. */
  readonly minimal: boolean;
}

/** Whether an image fails as the one that is made smaller does. */
export type Fails = (point: CrashPoint, choices: Int32Array) => Promise<boolean>;

/** @param positions all crash points of the exploration */
export async function minimise(
  timeline: Timeline,
  positions: readonly number[],
  position: number,
  state: string,
  fails: Fails,
): Promise<SmallestImage> {
  let checks = 0;
  const test: Fails = async (point, choices) => {
    checks++;
    return await fails(point, choices);
  };
  const within = (): boolean => checks < CHECKS_MAX;
  const found = timeline.at(position);
  const choices = pick(found.pending, state);
  if (!(await test(found, choices)))
    return { point: found, choices, reproduced: false, minimal: false };
  const fewest = await fewestLost(found, choices, test, within);
  const earliest = await earliestPoint(timeline, positions, found, fewest, test, within);
  return { ...earliest, reproduced: true, minimal: within() };
}

/** ddmin over what was lost, beginning from an image that lost nothing. */
async function fewestLost(
  point: CrashPoint,
  choices: Int32Array,
  test: Fails,
  within: () => boolean,
): Promise<Int32Array> {
  const everything = pick(point.pending, 'keep-all');
  const image = (lost: readonly Group[]): Int32Array => {
    const made = everything.slice();
    for (const { members } of lost) for (const member of members) made[member] = choices[member];
    return made;
  };
  if (await test(point, everything)) return everything;
  let lost = groupsOf(point.pending, OPTIONS_MAX).filter(({ members }) =>
    members.some((member) => choices[member] !== everything[member]),
  );
  for (let parts = 2; lost.length > 1 && within(); ) {
    const size = Math.ceil(lost.length / parts);
    let smaller: Group[] | null = null;
    for (let from = 0; from < lost.length && smaller === null && within(); from += size) {
      const part = lost.slice(from, from + size);
      const others = [...lost.slice(0, from), ...lost.slice(from + size)];
      if (await test(point, image(part))) smaller = part;
      else if (parts > 2 && (await test(point, image(others)))) smaller = others;
    }
    if (smaller !== null) {
      parts = Math.max(2, smaller.length < lost.length / 2 ? 2 : parts - 1);
      lost = smaller;
    } else if (size === 1) {
      break;
    } else {
      parts = Math.min(2 * parts, lost.length);
    }
  }
  return image(lost);
}

/** The same units lost, as early as that makes the checker fail. */
async function earliestPoint(
  timeline: Timeline,
  positions: readonly number[],
  found: CrashPoint,
  choices: Int32Array,
  test: Fails,
  within: () => boolean,
): Promise<{ point: CrashPoint; choices: Int32Array }> {
  const lost = lostContents(found, choices);
  const earlier = positions.filter((position) => position < found.position);
  for (const position of earlier.toSorted((a, b) => a - b)) {
    if (!within()) break;
    const point = timeline.at(position);
    const same = sameLoss(point, lost);
    if (same !== null && (await test(point, same))) return { point, choices: same };
  }
  return { point: found, choices };
}

/** What the units that are not at their newest version hold. */
function lostContents(point: CrashPoint, choices: Int32Array): ReadonlyMap<number, number> {
  const lost = new Map<number, number>();
  for (const [i, { unit, versions }] of point.pending.open.entries()) {
    if (choices[i] >= 0 && choices[i] < versions.length)
      lost.set(unit, point.contents[i][choices[i]]);
  }
  return lost;
}

/** The image of a point in which the same units have lost something, and hold the same; null if there is none. */
function sameLoss(point: CrashPoint, lost: ReadonlyMap<number, number>): Int32Array | null {
  const choices = pick(point.pending, 'keep-all');
  let matched = 0;
  for (const [i, { unit, versions }] of point.pending.open.entries()) {
    const content = lost.get(unit);
    if (content === undefined) continue;
    const choice = point.contents[i].indexOf(content);
    if (choice < 0 || choice === versions.length) return null;
    choices[i] = choice;
    matched++;
  }
  return matched === lost.size ? choices : null;
}
