// The profiles by name: `linux-VERSION`, `linux-VERSION+PROPOSAL...`, `best-known`.

import { Errno } from '../sched/errors.js';
import { kernelProfiles } from './kernels.js';
import type { Profile, Rules } from './profile.js';
import { PROPOSALS } from './proposals.js';

const BASES = new Map(kernelProfiles().map((profile) => [profile.name, profile]));

/**
 * Our own answer to the question that Linux's documentation still marks as open: the combination
 * that passes the most of the matrix at the least cost (docs/matrix.md).
 */
const BEST_KNOWN: Partial<Rules> = {
  pinnedSyncNone: 'skip',
  pinnedSyncAll: 'bounce',
  pinnedStaysDirty: true,
  pinnedKeepsReservation: true,
  longtermFilePin: 'lease',
  invalidatesPinned: false,
  unpinDirtiesThroughMkwrite: true,
  pinnedPageReplacement: 'wait',
  dropLeaksAccounting: false,
  inlineConversion: 'mkwrite-retry',
  plainGupMayRetry: true,
  inlineGrowth: 'at-once',
};

const bestKnown: Profile = {
  ...base('linux-6.12'),
  ...BEST_KNOWN,
  name: 'best-known',
  description:
    'Our own answer: long-term writable file pins are refused unless leased; a pinned page keeps ' +
    'its buffers, its reservation and its dirty bit; background writeback skips it, fsync bounces ' +
    'it (tested after mkclean); page replacement waits; every clean-to-dirty transition goes ' +
    'through page_mkwrite; an inline file is converted under i_rwsem by a fault that drops ' +
    'mmap_lock for it, and gives up its inline data at once when it grows.',
};

/** Names of the shipped profiles: the kernels, each proposal on its base, and on older kernels where it has more to fix, and best-known. */
export function profileNames(): string[] {
  return [
    ...BASES.keys(),
    ...PROPOSALS.flatMap(({ id, base, alsoOn = [] }) =>
      [base, ...alsoOn].map((kernel) => `${kernel}+${id}`),
    ),
    bestKnown.name,
  ];
}

/**
 * The profile of that name. Proposals may be put on any kernel, and combined:
 * `linux-5.2+P3-skip+P8-no-replacement`; where two answer one question, the later one counts.
 * @throws Errno EINVAL that says which part is unknown, and lists what there is
 */
export function profileByName(name: string): Profile {
  if (name === bestKnown.name) return bestKnown;
  const [kernel, ...ids] = name.split('+');
  let profile = base(kernel);
  for (const id of ids) {
    const proposal = PROPOSALS.find((p) => p.id === id);
    if (proposal === undefined) {
      throw new Errno(
        'EINVAL',
        `no proposal "${id}"; there are: ${PROPOSALS.map((p) => p.id).join(', ')}`,
      );
    }
    profile = {
      ...profile,
      ...proposal.changes,
      name,
      description: `${profile.description} ${proposal.id}: ${proposal.what}.`,
    };
  }
  return profile;
}

function base(kernel: string): Profile {
  if (kernel === 'best-known') return bestKnown;
  const profile = BASES.get(kernel);
  if (profile === undefined) {
    throw new Errno(
      'EINVAL',
      `no profile "${kernel}"; there are: best-known, ${[...BASES.keys()].join(', ')}`,
    );
  }
  return profile;
}
