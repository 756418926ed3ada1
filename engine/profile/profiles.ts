// The profiles that ship with the machine, by name. A proposal is written on a base kernel.

import { Errno } from '../sched/errors.js';
import type { PinnedRule, Profile } from './profile.js';

const PROCEED: PinnedRule = { action: 'proceed', staysDirty: false };
const SKIP: PinnedRule = { action: 'skip', staysDirty: true };
const BOUNCE: PinnedRule = { action: 'bounce', staysDirty: true };

const linux52: Profile = {
  name: 'linux-5.2',
  description:
    'Linux 5.2, as when the put_user_page series was posted: pins are plain references that ' +
    'nobody can tell, reclaim strips buffers, and ext4 BUGs on a dirty page without them.',
  mkwriteReturnsLocked: true,
  pinnedWriteback: { syncNone: PROCEED, syncAll: PROCEED },
  pinnedTest: 'after-mkclean',
  dirtyWithoutBuffers: 'bug',
  reclaimStripsPinned: true,
  invalidatesPinned: true,
  reclaimWritesPages: true,
  longtermFilePin: 'allow',
  dmaReference: 'get',
  unpinDirtiesThroughMkwrite: false,
  pinnedPageReplacement: 'proceed',
};

const linux612: Profile = {
  name: 'linux-6.12',
  description:
    'Linux 6.12: pins are counted, long-term writable pins of file pages are refused, reclaim ' +
    'leaves pinned folios alone, a dirty folio without buffers is warned about and dropped; ' +
    'writeback itself still ignores pins.',
  mkwriteReturnsLocked: true,
  pinnedWriteback: { syncNone: PROCEED, syncAll: PROCEED },
  pinnedTest: 'after-mkclean',
  dirtyWithoutBuffers: 'warn-drop',
  reclaimStripsPinned: false,
  invalidatesPinned: true,
  reclaimWritesPages: false,
  longtermFilePin: 'refuse',
  dmaReference: 'pin',
  unpinDirtiesThroughMkwrite: false,
  pinnedPageReplacement: 'proceed',
};

const p3Skip: Profile = {
  ...linux612,
  name: 'linux-6.12+P3-skip',
  description: 'Linux 6.12, but the cleaner skips pinned dirty pages, for fsync too (P3).',
  pinnedWriteback: { syncNone: SKIP, syncAll: SKIP },
};

const p7Bounce: Profile = {
  ...linux612,
  name: 'linux-6.12+P7-bounce',
  description: 'Linux 6.12, but pinned pages are written through a bounce page (P7).',
  pinnedWriteback: { syncNone: BOUNCE, syncAll: BOUNCE },
};

const bestKnown: Profile = {
  ...linux612,
  name: 'best-known',
  description:
    'Our own answer: long-term writable file pins are refused unless leased; a pinned page keeps ' +
    'its buffers, its reservation and its dirty bit; background writeback skips it, fsync bounces ' +
    'it (tested after mkclean); page replacement waits; every clean-to-dirty transition goes ' +
    'through page_mkwrite.',
  pinnedWriteback: { syncNone: SKIP, syncAll: BOUNCE },
  longtermFilePin: 'lease',
  invalidatesPinned: false,
  unpinDirtiesThroughMkwrite: true,
  pinnedPageReplacement: 'wait',
};

const PROFILES: readonly Profile[] = [linux52, linux612, p3Skip, p7Bounce, bestKnown];

/** Names of the shipped profiles. */
export function profileNames(): string[] {
  return PROFILES.map((profile) => profile.name);
}

/** The shipped profile of that name. @throws Errno EINVAL that lists the names */
export function profileByName(name: string): Profile {
  const profile = PROFILES.find((p) => p.name === name);
  if (profile === undefined) {
    throw new Errno('EINVAL', `no profile "${name}"; there are: ${profileNames().join(', ')}`);
  }
  return profile;
}
