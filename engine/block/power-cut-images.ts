// Lists the images that a power cut may leave: all of them, or those worth looking at first.

import { type Pending, pickRandom } from './power-cut.js';
import { countImages } from './power-cut-count.js';
import { type Group, groupsOf } from './power-cut-groups.js';

/** Where not all images are listed: of units that atomic writes tie together, so many states are. */
const OPTIONS_MAX = 4096;

export interface ImageLimits {
  /** Up to so many images are all listed. */
  readonly exhaustUpTo: number;
  /** Beyond that: how many random ones are added, and what they are drawn from. */
  readonly sample: number;
  readonly seed: number;
}

/** What images() is going to list. */
export interface ImagePlan {
  /** How many legal images there are; null: too many to count. */
  readonly count: bigint | null;
  /** All of them are listed, each once. */
  readonly exhaustive: boolean;
}

export function planImages(pending: Pending, limits: ImageLimits): ImagePlan {
  const count = countImages(pending);
  return { count, exhaustive: count !== null && count <= BigInt(limits.exhaustUpTo) };
}

/**
 * Legal images. Where there are more than the limit: keep-all, drop-all, those with one unit lost (not at
 * its newest version), those with one unit kept (above its floor), a random sample, those with two units
 * lost, those with two kept; units that atomic writes tie together count as one. These may repeat an image.
 * @returns the same array again and again, changed: copy what is to be kept
 */
export function* images(pending: Pending, limits: ImageLimits): Generator<Int32Array, void> {
  const { exhaustive } = planImages(pending, limits);
  const groups = groupsOf(pending, exhaustive ? Number.POSITIVE_INFINITY : OPTIONS_MAX);
  const choices = new Int32Array(pending.open.length);
  if (exhaustive) yield* allImages(groups, choices);
  else yield* chosenImages(pending, groups, choices, limits);
}

function put(choices: Int32Array, group: Group, option: number): void {
  const values = group.options[option];
  for (const [i, member] of group.members.entries()) choices[member] = values[i];
}

/** Counts through the options of all groups, from drop-all to keep-all. */
function* allImages(groups: readonly Group[], choices: Int32Array): Generator<Int32Array, void> {
  const at = groups.map(() => 0);
  for (const group of groups) put(choices, group, 0);
  while (true) {
    yield choices;
    let nth = 0;
    for (; nth < groups.length; nth++) {
      at[nth] = (at[nth] + 1) % groups[nth].options.length;
      put(choices, groups[nth], at[nth]);
      if (at[nth] > 0) break;
    }
    if (nth === groups.length) return;
  }
}

function* chosenImages(
  pending: Pending,
  groups: readonly Group[],
  choices: Int32Array,
  { sample, seed }: ImageLimits,
): Generator<Int32Array, void> {
  for (const lose of [true, false]) {
    rest(groups, choices, lose);
    yield choices;
  }
  for (const lose of [true, false]) {
    rest(groups, choices, lose);
    for (const group of groups) yield* others(group, choices, lose);
  }
  for (let i = 0; i < sample; i++) {
    choices.set(pickRandom(pending, (seed + i) >>> 0));
    yield choices;
  }
  for (const lose of [true, false]) {
    rest(groups, choices, lose);
    for (const [nth, group] of groups.entries()) {
      for (const _ of others(group, choices, lose)) {
        for (let second = nth + 1; second < groups.length; second++)
          yield* others(groups[second], choices, lose);
      }
    }
  }
}

/** Everything kept, to lose a little of it, or everything lost. */
function rest(groups: readonly Group[], choices: Int32Array, keep: boolean): void {
  for (const group of groups) put(choices, group, keep ? group.options.length - 1 : 0);
}

/** The other options of a group; afterwards it is as it was. */
function* others(group: Group, choices: Int32Array, lose: boolean): Generator<Int32Array, void> {
  const last = group.options.length - 1;
  const rests = lose ? last : 0;
  for (let option = 0; option <= last; option++) {
    if (option === rests) continue;
    put(choices, group, option);
    yield choices;
  }
  put(choices, group, rests);
}
