// The hazards by name, in the order of kernel.md section 1.

import { Errno } from '../../engine/sched/errors.js';
import type { Hazard } from '../hazard.js';
import { H1C } from './h1-c.js';
import { H4A } from './h4-a.js';
import { H4B } from './h4-b.js';
import { H4C } from './h4-c.js';
import { H4D } from './h4-d.js';
import { H4E } from './h4-e.js';
import { H4F } from './h4-f.js';
import { H4H } from './h4-h.js';
import { H4I } from './h4-i.js';

/** All hazards. */
export const HAZARDS: readonly Hazard[] = [H1C, H4A, H4B, H4C, H4D, H4E, H4F, H4H, H4I];

/** A number of kernel.md that is no hazard. */
export interface NotReal {
  readonly id: string;
  readonly title: string;
  readonly source: string;
  /** Why it cannot happen. */
  readonly why: string;
}

/** What the threads took for a hazard, and is none. */
export const NOT_REAL: readonly NotReal[] = [
  {
    id: 'H4-g',
    title: 'i_rwsem in writepages against enable_verity, which takes i_lock inside i_rwsem',
    source: 'kernel.md H4-g; Baokun Li, June 2023',
    why:
      'As it was drawn, writeback holds i_lock while it calls writepages, so that to take i_rwsem there ' +
      'would close a cycle with enable_verity. But writeback drops i_lock first ' +
      '(wbc_attach_and_unlock_inode, before do_writepages), and a spinlock could not be held around ' +
      'anything that sleeps. What does speak against i_rwsem in writepages is H4-e.',
  },
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
