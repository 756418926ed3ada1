// How many images a power cut may leave, exactly, without listing them.

import { type Pending, writesById } from './power-cut.js';
import { type Decision, decisionsOf, memberships } from './power-cut-groups.js';

/** Sets of undecided units that the count of one group follows at most. */
const STATES_MAX = 1 << 14;

/**
 * The number of images: the product over units of one more than their versions (B7), and for units that
 * atomic writes tie together, what is left when torn ones are taken out. A kept trim counts twice where
 * garbage is allowed.
 * @returns null where atomic and other writes overlap in too many ways to be counted
 */
export function countImages(pending: Pending): bigint | null {
  const byId = writesById(pending);
  // Many units have equally many versions: powers are quicker than products.
  const factors = new Map<number, number>();
  let product = 1n;
  for (const members of memberships(pending)) {
    if (members.length > 1) {
      const ways = countGroup(decisionsOf(pending, members), members.length);
      if (ways === null) return null;
      product *= ways;
      continue;
    }
    let ways = 1;
    for (const id of pending.open[members[0]].versions)
      ways += pending.garbage && byId.of(id).kind === 'trim' ? 2 : 1;
    factors.set(ways, (factors.get(ways) ?? 0) + 1);
  }
  for (const [ways, times] of factors) product *= BigInt(ways) ** BigInt(times);
  return product;
}

/**
 * From the newest decision to the oldest: how many ways lead to each set of members that have no version
 * yet. An atomic write gives itself to all undecided of its members, or to none.
 */
function countGroup(decisions: readonly Decision[], size: number): bigint | null {
  let ways = new Map<bigint, bigint>([[(1n << BigInt(size)) - 1n, 1n]]);
  for (const decision of decisions) {
    const mask = decision.members.reduce((bits, member) => bits | (1n << BigInt(member)), 0n);
    const next = new Map<bigint, bigint>();
    const add = (undecided: bigint, count: bigint): void => {
      next.set(undecided, (next.get(undecided) ?? 0n) + count);
    };
    for (const [undecided, count] of ways) {
      add(undecided, count);
      if ((undecided & mask) !== 0n) add(undecided & ~mask, decision.garbage ? 2n * count : count);
    }
    if (next.size > STATES_MAX) return null;
    ways = next;
  }
  return [...ways.values()].reduce((sum, count) => sum + count, 0n);
}
