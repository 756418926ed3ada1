// Shrinks a failing image to the fewest units that must be lost, and says in words which those are.

import type { Pending } from '../../../engine/block/power-cut.js';

export interface Minimal {
  readonly choices: Int32Array;
  /** Units that are not at their newest version. */
  readonly lost: number;
  readonly words: string;
}

/** @param fails does an image fail? It must for `choices` */
export function minimise(
  pending: Pending,
  choices: Int32Array,
  fails: (choices: Int32Array) => boolean,
): Minimal {
  const best = choices.slice();
  const newest = pending.open.map(({ versions }) => versions.length);
  let lost = lostIn(best, newest);
  for (let piece = Math.ceil(lost.length / 2); piece >= 1; ) {
    let smaller = false;
    for (let from = 0; from < lost.length; from += piece) {
      const tried = best.slice();
      for (const nth of lost.slice(from, from + piece)) tried[nth] = newest[nth];
      if (!fails(tried)) continue;
      best.set(tried);
      smaller = true;
    }
    lost = lostIn(best, newest);
    if (!smaller) piece = piece === 1 ? 0 : Math.ceil(piece / 2);
    else piece = Math.min(piece, Math.max(1, lost.length));
  }
  return { choices: best, lost: lost.length, words: inWords(pending, best) };
}

function lostIn(choices: Int32Array, newest: readonly number[]): number[] {
  return newest.flatMap((most, nth) => (choices[nth] === most ? [] : [nth]));
}

/** "lost: write #17, units 256-263; kept: everything else" */
function inWords({ open, writes }: Pending, choices: Int32Array): string {
  const lost = new Map<number, number[]>();
  for (const [nth, { unit, versions }] of open.entries())
    for (const id of versions.slice(choices[nth])) lost.set(id, [...(lost.get(id) ?? []), unit]);
  if (lost.size === 0) return 'lost: nothing';
  const parts = [...lost.keys()]
    .sort((a, b) => a - b)
    .map((id) => {
      const units = lost.get(id) ?? [];
      const whole = writes.find((write) => write.id === id)?.units === units.length;
      return `write #${id}, ${whole ? 'all of it: ' : ''}${ranges(units)}`;
    });
  return `lost: ${parts.join('; ')}; kept: everything else`;
}

function ranges(units: readonly number[]): string {
  const parts: string[] = [];
  for (let from = 0; from < units.length; ) {
    let end = from + 1;
    while (end < units.length && units[end] === units[end - 1] + 1) end++;
    parts.push(end - from === 1 ? `${units[from]}` : `${units[from]}-${units[end - 1]}`);
    from = end;
  }
  return `unit${units.length === 1 ? '' : 's'} ${parts.join(', ')}`;
}
