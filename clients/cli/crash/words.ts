// An image of a power cut in words: which writes it lost, and where.

import { wordOf } from '../../../engine/block/recording/points.js';
import type { DiskEvent, WriteEvent } from '../../../engine/block/recording/reader.js';
import type { CrashPoint } from '../../../engine/block/recording/replay.js';

const SECTOR_BYTES = 512;
/** So many ranges and writes are named. */
const NAMED_MAX = 8;

export interface ImageWords {
  /** `write #17, sectors 2048-2055`; `nothing`. */
  readonly lost: string;
  /** `everything else, also write #18, which came later`. */
  readonly kept: string;
}

/** Which versions an image lost: those newer than what its units hold. */
export function describeImage(
  point: CrashPoint,
  choices: Int32Array,
  events: readonly DiskEvent[],
  unitBytes: number,
): ImageWords {
  const writes = events.filter((event) => event.kind === 'write');
  const lost = new Map<number, number[]>();
  const kept = new Set<number>();
  const garbage: number[] = [];
  for (const [i, { unit, versions }] of point.pending.open.entries()) {
    const choice = Math.abs(choices[i]);
    if (choices[i] < 0) garbage.push(unit);
    for (const number of versions.slice(choice)) {
      const units = lost.get(number);
      if (units === undefined) lost.set(number, [unit]);
      else units.push(unit);
    }
    if (choice > 0) kept.add(versions[choice - 1]);
  }
  const last = Math.max(...lost.keys());
  const later = [...kept].filter((number) => number > Math.min(...lost.keys()));
  const sentences = [...lost]
    .sort(([a], [b]) => a - b)
    .map(([number, units]) => `${nameOf(writes, number)}, ${sectors(units, unitBytes)}`);
  const reads = garbage.length === 0 ? '' : `; garbage in ${sectors(garbage, unitBytes)}`;
  return {
    lost: lost.size === 0 ? 'nothing' : listed(sentences, '; ', 'writes'),
    kept: `${keptWords(kept.size, lost.size, later, last, writes)}${reads}`,
  };
}

function keptWords(
  kept: number,
  lost: number,
  later: readonly number[],
  last: number,
  writes: readonly WriteEvent[],
): string {
  if (kept === 0) return lost === 0 ? 'everything' : 'nothing that was not durable';
  if (lost === 0) return 'everything';
  if (later.length === 0) return 'everything before';
  const after = later.filter((number) => number > last);
  if (after.length === later.length && after.length > 2) return 'everything after';
  const names = later.toSorted((a, b) => a - b).map((number) => nameOf(writes, number));
  return `everything else, also ${listed(names, ', ', 'writes')}, which came later`;
}

function nameOf(writes: readonly WriteEvent[], number: number): string {
  const event = writes.at(number - 1);
  return event === undefined ? `#${number}` : `${wordOf(event)} #${number}`;
}

function listed(names: readonly string[], separator: string, what: string): string {
  const shown = names.slice(0, NAMED_MAX).join(separator);
  const more = names.length - NAMED_MAX;
  return more > 0 ? `${shown}${separator}and ${more} ${what} more` : shown;
}

/** Units as ranges of sectors of 512 bytes. */
function sectors(units: readonly number[], unitBytes: number): string {
  const each = unitBytes / SECTOR_BYTES;
  const ranges: string[] = [];
  for (let from = 0; from < units.length; ) {
    let end = from + 1;
    while (end < units.length && units[end] === units[end - 1] + 1) end++;
    const first = units[from] * each;
    const last = (units[end - 1] + 1) * each - 1;
    ranges.push(first === last ? `${first}` : `${first}-${last}`);
    from = end;
  }
  const plural = ranges.length > 1 || ranges[0].includes('-');
  return `${plural ? 'sectors' : 'sector'} ${listed(ranges, ', ', 'ranges')}`;
}

/** What the client had been told last, in words. */
export function lastMark(events: readonly DiskEvent[], position: number): string | null {
  const mark = events.slice(0, position).findLast((event) => event.kind === 'mark');
  return mark === undefined ? null : mark.text;
}
