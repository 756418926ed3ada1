// The hazards by name, in the order of kernel.md section 1.

import { Errno } from '../../engine/sched/errors.js';
import type { Hazard } from '../hazard.js';
import { H1C } from './h1-c.js';
import { H4A } from './h4-a.js';
import { H4B } from './h4-b.js';
import { H4C } from './h4-c.js';
import { H4D } from './h4-d.js';

/** All hazards. */
export const HAZARDS: readonly Hazard[] = [H1C, H4A, H4B, H4C, H4D];

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
