// A power cut of a disk with a volatile cache: which units are open, and what pages hold afterwards.

import { FLOOR } from './cache-pages.js';
import { SLOT_BYTES } from './cache-slots.js';
import type { OpenUnit, Pending, PendingWrite } from './power-cut.js';
import { SKIP, type WriteLog } from './write-log.js';

/** In the order of KIND. */
const KINDS = ['data', 'zeroes', 'trim'] as const;

/** For each page that the log names, in order: the writes that touch it, oldest first. */
function writesOfPages(log: WriteLog): Map<number, number[]> {
  const pages = new Map<number, number[]>();
  for (let seq = log.head; seq < log.tail; seq++) {
    const first = Math.floor(log.start(seq) / SLOT_BYTES);
    for (let i = 0; i < log.entries(seq); i++) {
      if (log.entry(seq, i) === SKIP) continue;
      const writes = pages.get(first + i);
      if (writes === undefined) pages.set(first + i, [seq]);
      else writes.push(seq);
    }
  }
  return new Map([...pages].sort(([a], [b]) => a - b));
}

/** The writes that touch a unit, from the newest durable one on: [0] is null where the floor itself is. */
function versionsOf(
  log: WriteLog,
  writes: readonly number[],
  unit: number,
  unitBytes: number,
): { floor: number | null; above: number[] } {
  let floor: number | null = null;
  let above: number[] = [];
  for (const seq of writes) {
    if (log.start(seq) >= (unit + 1) * unitBytes || log.end(seq) <= unit * unitBytes) continue;
    if (log.isDurable(seq)) {
      floor = seq;
      above = [];
    } else {
      above.push(seq);
    }
  }
  return { floor, above };
}

export function pendingOf(log: WriteLog, unitBytes: number): Pending {
  const perPage = SLOT_BYTES / unitBytes;
  const open: OpenUnit[] = [];
  for (const [page, writes] of writesOfPages(log)) {
    for (let unit = page * perPage; unit < (page + 1) * perPage; unit++) {
      const { above } = versionsOf(log, writes, unit, unitBytes);
      if (above.length > 0) open.push({ unit, versions: above });
    }
  }
  const writes: PendingWrite[] = [];
  for (let seq = log.head; seq < log.tail; seq++) {
    const firstUnit = Math.floor(log.start(seq) / unitBytes);
    writes.push({
      id: seq,
      firstUnit,
      units: Math.ceil(log.end(seq) / unitBytes) - firstUnit,
      kind: KINDS[log.kind(seq)],
      atomic: log.isAtomic(seq),
    });
  }
  return { writes, open, garbage: false };
}

/**
 * What each page of the log holds in an image: one entry for each of its units. The array is reused.
 * @param choices for the open units of pendingOf(), in their order
 */
export function* imageOf(
  log: WriteLog,
  unitBytes: number,
  choices: Int32Array,
): Generator<readonly [number, Uint32Array], void> {
  const perPage = SLOT_BYTES / unitBytes;
  const entries = new Uint32Array(perPage);
  let next = 0;
  for (const [page, writes] of writesOfPages(log)) {
    for (let i = 0; i < perPage; i++) {
      const unit = page * perPage + i;
      const { floor, above } = versionsOf(log, writes, unit, unitBytes);
      let seq = floor;
      if (above.length > 0) {
        const choice = choices[next++];
        if (choice > 0) seq = above[choice - 1];
      }
      const first = seq === null ? 0 : Math.floor(log.start(seq) / SLOT_BYTES);
      entries[i] = seq === null ? FLOOR : log.entry(seq, page - first);
    }
    yield [page, entries];
  }
}
