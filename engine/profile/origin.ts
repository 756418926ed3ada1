// Where a profile's answer to a question comes from: the kernel in which it landed, the proposal, or
// nobody yet.

import { KERNELS } from './kernels.js';
import type { Profile, Rules } from './profile.js';
import { profileByName } from './profiles.js';
import { PROPOSALS } from './proposals.js';

/** Where an answer comes from. */
export interface Origin {
  /** `linux-5.18`, `P7-bounce`, `best-known`, or the profile's own name. */
  readonly from: string;
  /** What landed or was proposed, each with its source; what is uncertain says so. */
  readonly sources: readonly string[];
}

/**
 * Who gave a profile its answer to a question.
 * @param under the profile that a user's own rests on: what it answers alike comes from there
 */
export function originOf(
  profile: Profile,
  rule: keyof Rules,
  under: Profile | null = null,
): Origin {
  if (under !== null) {
    return profile[rule] === under[rule]
      ? originOf(under, rule)
      : { from: profile.name, sources: [] };
  }
  const [base, ...ids] = profile.name.split('+');
  const proposal = PROPOSALS.filter(({ id }) => ids.includes(id)).findLast(({ changes }) =>
    Object.hasOwn(changes, rule),
  );
  if (proposal !== undefined) {
    return { from: proposal.id, sources: [`${proposal.what} (${proposal.who})`] };
  }
  if (base === 'best-known') {
    const today = profileByName('linux-6.12');
    return profile[rule] === today[rule] ? originOf(today, rule) : { from: base, sources: [] };
  }
  const last = KERNELS.findIndex(({ version }) => `linux-${version}` === base);
  if (last < 0) return { from: profile.name, sources: [] };
  const kernel = KERNELS.slice(0, last + 1).findLast(({ changes }) => Object.hasOwn(changes, rule));
  // What no kernel changed has been so since the first.
  const { version, landed } = kernel ?? { version: KERNELS[0].version, landed: [] };
  return {
    from: `linux-${version}`,
    sources: landed.map(
      ({ what, source, verified }) => `${what} (${source}${verified ? '' : '; not verified'})`,
    ),
  };
}
