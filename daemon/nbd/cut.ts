// The power cut of a disk with a volatile cache: chosen first, carried out when its connections are dead.

import { randomInt } from 'node:crypto';
import { checkState, pick } from '../../engine/block/power-cut.js';
import { countImages } from '../../engine/block/power-cut-count.js';
import type { VolatileCache } from '../../engine/block/volatile-cache.js';
import type { Cut } from '../protocol/methods.js';

export interface PlannedCut {
  readonly result: Omit<Cut, 'connections'>;
  /** No connection may be open any more. @throws NativeError if the image can't be stored */
  carryOut(): void;
}

/**
 * Before any connection dies for it: whether the power can be cut so that it leaves such a state.
 * @throws as planCut()
 */
export function checkCut(cache: VolatileCache, wanted: string): void {
  choose(cache, wanted);
}

/**
 * @param wanted a state of power-cut.ts; `random` and `adversarial` may come without a seed, and get one
 * @throws Errno EINVAL for a state that is none, or that does not fit
 */
export function planCut(cache: VolatileCache, wanted: string): PlannedCut {
  const { state, pending, choices } = choose(cache, wanted);
  const lost = pending.open.filter(({ versions }, i) => choices[i] < versions.length);
  return {
    result: {
      state,
      writes: pending.writes.length,
      openUnits: pending.open.length,
      lostUnits: lost.length,
      images: shown(countImages(pending)),
    },
    carryOut: () => cache.lock.hold(() => cache.cut(choices)),
  };
}

function choose(cache: VolatileCache, wanted: string) {
  const state =
    wanted === 'random' || wanted === 'adversarial' ? `${wanted}:${randomInt(2 ** 32)}` : wanted;
  checkState(state);
  const pending = cache.lock.hold(() => cache.pending());
  return { state, pending, choices: pick(pending, state) };
}

/** Exactly, or the order of magnitude of a large number: all its digits would take longer than the cut. */
function shown(count: bigint | null): string | null {
  if (count === null || count < 10n ** 15n) return count?.toString() ?? null;
  const digits = count.toString(16);
  const exponent =
    Math.log10(Number.parseInt(digits.slice(0, 12), 16)) + (digits.length - 12) * Math.log10(16);
  return `1e${Math.floor(exponent)}`;
}
