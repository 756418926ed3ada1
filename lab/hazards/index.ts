// The hazards by name.

import { Errno } from '../../engine/sched/errors.js';
import type { Program } from '../program.js';
import { h1c } from './h1-c.js';

const HAZARDS: Readonly<Record<string, (pageBytes: number) => Program>> = { 'H1-c': h1c };

/** Page size of the lab: two words, the least that can tear. */
export const LAB_PAGE_BYTES = 8;

/** Names of all hazards. */
export function hazardNames(): string[] {
  return Object.keys(HAZARDS);
}

/**
 * The hazard of that name.
 * @param pageBytes LAB_PAGE_BYTES in the lab, 4096 in real threads
 * @throws Errno EINVAL that lists the names
 */
export function hazardByName(name: string, pageBytes: number): Program {
  if (!Object.hasOwn(HAZARDS, name)) {
    throw new Errno('EINVAL', `no hazard "${name}"; there are: ${hazardNames().join(', ')}`);
  }
  return HAZARDS[name](pageBytes);
}
