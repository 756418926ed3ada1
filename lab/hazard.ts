// A hazard: a story of the mailing lists as a program of the lab.

import type { FindingKind } from '../engine/finding.js';
import type { Profile } from '../engine/profile/profile.js';
import type { Program } from './program.js';

export interface Hazard {
  /** Number in kernel.md section 1 (`H2-a`), or a name of its own. */
  readonly id: string;
  /** What happens, in a sentence. */
  readonly title: string;
  /** Thread, and section of kernel.md. */
  readonly source: string;
  /** What it means, in one paragraph, for somebody who was not there. */
  readonly story: string;
  /** What may go wrong, by name. A run that shows anything else is unsafe all the same. */
  readonly mayGoWrong: readonly FindingKind[];
  /** Why the hazard cannot be posed under these rules (no DAX yet, no such call); null if it can. */
  readonly notApplicable?: (profile: Profile) => string | null;
  /**
   * The actors on a machine of their own.
   * @param pageBytes LAB_PAGE_BYTES in the lab, 4096 in real threads (where a hazard runs there at all)
   */
  readonly program: (profile: Profile, pageBytes: number) => Program;
}

/** Page size of the lab: two words, the least that can tear. */
export const LAB_PAGE_BYTES = 8;
