// Which findings each profile may show, and why: kernel.md, the digest of the mailing-list threads
// and of the kernels that the profiles stand for. Anything else makes a run fail.

import type { FindingKind } from '../../engine/finding.js';

/** A finding that the rules in force are known to let through. */
export interface Expectation {
  /** Hazard of kernel.md section 1; null: none of them explains it. */
  readonly hazard: string | null;
  readonly kind: FindingKind;
  /** Where it comes from. */
  readonly source: string;
}

const H1C_MAINLINE: Expectation = {
  hazard: 'H1-c',
  kind: 'torn-write',
  source:
    'kernel.md H1-c and 4.4: GUP takes a page just before mkclean, the device stores during the ' +
    'writeback; nothing in 6.12 looks at pins in writeback (section 3, "what pin counting is used for")',
};

const LINUX_52: readonly Expectation[] = [
  {
    hazard: 'H1-b',
    kind: 'torn-write',
    source:
      'kernel.md H1-b: a long-term pin (RDMA) is allowed before 6.5, and its device stores while ' +
      'checksum and payload are taken',
  },
  {
    hazard: 'H1-c',
    kind: 'torn-write',
    source: 'kernel.md H1-c: the same with the short pin of direct I/O',
  },
  {
    hazard: 'H0-a',
    kind: 'warn',
    source:
      'kernel.md H0-a step 6, 4.7: reclaim has taken the buffers off a page that only a reference ' +
      'keeps (before 6.4), and the unpin dirties it: ext4_dirty_folio warns',
  },
  {
    hazard: 'H0-a',
    kind: 'bug',
    source: 'kernel.md H0-a step 7, H1-a, 4.14: writeback of that page is a BUG before 5.18',
  },
  {
    hazard: 'H0-c',
    kind: 'lost-write',
    source:
      'kernel.md H0-c, 4.4: what a device stores after the payload copy and before the unpin is ' +
      'neither on the disk nor dirty, so an fsync does not write it, and a crash loses it',
  },
];

const P3_SKIP: readonly Expectation[] = [
  {
    hazard: 'P3',
    kind: 'lost-write',
    source:
      'kernel.md section 2, P3 (Hubbard, Glisse): fsync skips a pinned dirty page and returns OK; ' +
      'what it promised is lost on a power failure',
  },
];

const EXPECTATIONS: ReadonlyMap<string, readonly Expectation[]> = new Map([
  ['linux-5.2', LINUX_52],
  ['linux-6.12', [H1C_MAINLINE]],
  ['linux-6.12+P3-skip', P3_SKIP],
  ['linux-6.12+P7-bounce', []],
  ['best-known', []],
]);

/** What a profile may show; a profile that is not in the table may show nothing. */
export function expectationsOf(profile: string): readonly Expectation[] {
  return EXPECTATIONS.get(profile) ?? [];
}

export function isExpected(profile: string, hazard: string | null, kind: FindingKind): boolean {
  return expectationsOf(profile).some((line) => line.hazard === hazard && line.kind === kind);
}

/** The profiles that have a table: those that the stress and its benches run under. */
export function stressProfiles(): string[] {
  return [...EXPECTATIONS.keys()];
}
