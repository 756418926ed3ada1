// Memory that a program has registered with a device for long, as the rules in force have it: held by
// references, pinned, leased, copied, followed by the device (ODP), or refused.
//
//   extra, from `at`:  pfn that the device writes to; 0: refused, or ODP | ODP_WORDS words

import { dmaReference, dropPages, holdPages } from '../../engine/dma/hold.js';
import { ODP_WORDS, OdpPage } from '../../engine/dma/odp.js';
import type { Machine } from '../../engine/machine.js';
import { read } from '../../engine/memory/word.js';
import { FOLL } from '../../engine/mm/gup.js';
import { takeLease } from '../../engine/mm/lease.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { FILE, fillPage, MM, VPN } from './pinned-page.js';

/** Words of `extra` that a region takes. */
export const REGION_WORDS = 1 + ODP_WORDS;

/** What word `word` of those is, for diagrams; null if it is none of them. */
export function regionWordName(word: number): string | null {
  if (word < 0 || word >= REGION_WORDS) return null;
  return word === 0 ? 'registered pfn' : `state ${String(word - 1)} of the ODP device`;
}

/** Tells the MMU of the device, if it is one that pins nothing. */
export function attachRegion(m: Machine, at: number): void {
  if (m.profile.dmaReference === 'odp') m.notifier = odpPage(m, at);
}

/**
 * Registers the page, in set-up: with a lease where the rules ask for one.
 * @param longterm false for the old recipe of drivers, which said nothing of how long
 */
export function* registerRegion(task: Task, m: Machine, at: number, longterm = true): Op<void> {
  if (m.profile.dmaReference === 'odp') return;
  if (m.profile.longtermFilePin === 'lease') yield* takeLease(m, FILE, MM);
  const pfns = new Int32Array(1);
  try {
    yield* holdPages(task, m, MM, VPN, 1, flagsOf(longterm), dmaReference(m), pfns);
    m.state.extra[at] = pfns[0];
  } catch (error) {
    if (!(error instanceof Errno)) throw error; // refused: the device never hears of the page
  }
}

function flagsOf(longterm: boolean): number {
  return longterm ? FOLL.write | FOLL.longterm : FOLL.write;
}

/** Has the device anything to write to? */
export function isRegistered(m: Machine, at: number): boolean {
  return m.profile.dmaReference === 'odp' || read(m.state.extra, at) !== 0;
}

/** The peer writes `value` to every word of the page. */
export function* peerWrites(task: Task, m: Machine, at: number, value: number): Op<void> {
  if (m.profile.dmaReference === 'odp') {
    const data = new Int32Array(m.geometry.pageBytes >>> 2).fill(value);
    yield* odpPage(m, at).store(task, 0, new Uint8Array(data.buffer));
  } else {
    yield* fillPage(m, read(m.state.extra, at), value);
  }
}

/**
 * Ends the registration: what the device may have written is marked dirty, and let go.
 * @param longterm as in registerRegion()
 */
export function* deregisterRegion(task: Task, m: Machine, at: number, longterm = true): Op<void> {
  if (m.profile.dmaReference === 'odp') return;
  const pfns = new Int32Array(1).fill(read(m.state.extra, at));
  yield* dropPages(task, m, pfns, 1, dmaReference(m), true, flagsOf(longterm));
}

function odpPage(m: Machine, at: number): OdpPage {
  return new OdpPage(m, MM, VPN, m.state.extra, at + 1);
}
