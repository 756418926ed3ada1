// A case of the search for volumes that a power cut breaks: a workload by a seed, on a volume of some
// format, on a disk of some unit.

import type { MkfsOptions } from '../../../engine/fs/mkfs.js';
import { Errno } from '../../../engine/sched/errors.js';
import { type ExploreOptions, explore, type Report, replayImage } from './explore.js';
import { type Run, runWorkload } from './workload.js';

/** The formats that are tried. */
export const FORMATS: Readonly<Record<string, MkfsOptions>> = {
  plain: {},
  inline: { inlineData: true },
  all: { inlineData: true, checksums: true, cow: true },
};

export interface CrashCase {
  readonly seed: number;
  readonly operations: number;
  /** A name of FORMATS. */
  readonly format: string;
  readonly unitBytes: 512 | 4096;
  readonly cap: number;
  /** As ExploreOptions. Default: 1,024, and 160. */
  readonly sample?: number;
  readonly pairsUpTo?: number;
}

/** Prepares the run of a case; the same for the same case. */
export function runOf({ seed, operations, format }: CrashCase): Run {
  const mkfs = FORMATS[format];
  return runWorkload({ seed, operations, mkfs });
}

/** Runs a case and searches all its crash points. */
export function searchCase(one: CrashCase): Report {
  return explore(runOf(one), optionsOf(one));
}

function optionsOf({ seed, unitBytes, cap, sample, pairsUpTo }: CrashCase): ExploreOptions {
  return {
    seed,
    unitBytes,
    cap,
    sample: sample ?? 1024,
    pairsUpTo: pairsUpTo ?? 160,
    failuresMax: 10,
  };
}

/** A text that finds an image again: replayText(). */
export function textOf(one: CrashCase, point: number, state: string): string {
  return [one.seed, one.operations, one.format, one.unitBytes, point, state].join('/');
}

/**
 * Looks again at an image that textOf() told.
 * @returns what is wrong with it, or null
 * @throws Errno EINVAL
 */
export function replayText(text: string): string | null {
  const match = /^(\d+)\/(\d+)\/(\w+)\/(512|4096)\/(\d+)\/(\S+)$/.exec(text);
  if (match === null || !(match[3] in FORMATS))
    throw new Errno('EINVAL', `"${text}" is not SEED/OPERATIONS/FORMAT/UNIT/POINT/STATE`);
  const one: CrashCase = {
    seed: Number(match[1]),
    operations: Number(match[2]),
    format: match[3],
    unitBytes: match[4] === '512' ? 512 : 4096,
    cap: 1,
  };
  return replayImage(runOf(one), optionsOf(one), Number(match[5]), match[6]);
}
