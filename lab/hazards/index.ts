// The hazards by name, in the order of kernel.md section 1.

import { Errno } from '../../engine/sched/errors.js';
import type { Hazard } from '../hazard.js';
import { FALSE_PIN } from './false-pin.js';
import { H0A } from './h0-a.js';
import { H0B } from './h0-b.js';
import { H0C } from './h0-c.js';
import { H1A } from './h1-a.js';
import { H1B } from './h1-b.js';
import { H1C } from './h1-c.js';
import { H1D } from './h1-d.js';
import { H1E } from './h1-e.js';
import { H1F } from './h1-f.js';
import { H3A } from './h3-a.js';
import { H3B } from './h3-b.js';
import { H3C } from './h3-c.js';
import { H3C_READV } from './h3-c-readv.js';
import { H3D } from './h3-d.js';
import { LEAKED_DIRTY_ACCOUNTING } from './leaked-dirty-accounting.js';

/** All hazards. */
export const HAZARDS: readonly Hazard[] = [
  H0A,
  H0B,
  H0C,
  H1A,
  H1B,
  H1C,
  H1D,
  H1E,
  H1F,
  H3A,
  H3B,
  H3C,
  H3C_READV,
  H3D,
  LEAKED_DIRTY_ACCOUNTING,
  FALSE_PIN,
];

/** Names of all hazards. */
export function hazardNames(): string[] {
  return HAZARDS.map((hazard) => hazard.id);
}

/** The hazard of that name. @throws Errno EINVAL that lists the names */
export function hazardByName(name: string): Hazard {
  const hazard = HAZARDS.find((h) => h.id === name);
  if (hazard === undefined) {
    throw new Errno('EINVAL', `no hazard "${name}"; there are: ${hazardNames().join(', ')}`);
  }
  return hazard;
}
