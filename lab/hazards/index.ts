// The hazards by name, in the order of kernel.md section 1.

import { Errno } from '../../engine/sched/errors.js';
import type { Hazard } from '../hazard.js';
import { H1C } from './h1-c.js';
import { H2A } from './h2-a.js';
import { H2B } from './h2-b.js';
import { H2C, H2C_REMOVAL } from './h2-c.js';
import { H2D } from './h2-d.js';
import { H2E } from './h2-e.js';
import { H2F } from './h2-f.js';
import { H2G } from './h2-g.js';
import { H2H } from './h2-h.js';
import { H2I } from './h2-i.js';
import { H2J } from './h2-j.js';
import { H2K } from './h2-k.js';
import { H2M } from './h2-m.js';

/** All hazards. */
export const HAZARDS: readonly Hazard[] = [
  H1C,
  H2A,
  H2B,
  H2C,
  H2C_REMOVAL,
  H2D,
  H2E,
  H2F,
  H2G,
  H2H,
  H2I,
  H2J,
  H2K,
  H2M,
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
