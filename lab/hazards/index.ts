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
import { H4A } from './h4-a.js';
import { H4B } from './h4-b.js';
import { H4C } from './h4-c.js';
import { H4D } from './h4-d.js';
import { H4E } from './h4-e.js';
import { H4F } from './h4-f.js';
import { H4H } from './h4-h.js';
import { H4I } from './h4-i.js';
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
  H4A,
  H4B,
  H4C,
  H4D,
  H4E,
  H4F,
  H4H,
  H4I,
  LEAKED_DIRTY_ACCOUNTING,
  FALSE_PIN,
];

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
