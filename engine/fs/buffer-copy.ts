// Copies of buffers' contents: to the frames that are written home or to the journal, and back.

import type { Machine } from '../machine.js';
import { read, write } from '../memory/word.js';
import { lab } from '../sched/step.js';

/** Copies frame `source` to frame `target`; the caller holds the mutex of what changes them. One step. */
export function copyContents(m: Machine, target: number, source: number): void {
  const f = m.frames;
  const count = m.geometry.pageBytes >>> 2;
  const to = f.wordSegment(target);
  const toAt = f.wordOffset(target);
  const from = f.wordSegment(source);
  const fromAt = f.wordOffset(source);
  if (lab === null) to.set(from.subarray(fromAt, fromAt + count), toAt);
  else for (let i = 0; i < count; i++) write(to, toAt + i, read(from, fromAt + i));
}
