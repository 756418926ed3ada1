// The loop that the pin benches time.

import type { Machine } from '../engine/machine.js';
import { PIN_BIAS } from '../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../engine/mm/gup.js';
import type { Op, Task } from '../engine/sched/op.js';

export const BATCH_PAGES = 512;

/** From one batch to the next: a prime, so that each is far from the last and none is left out. */
export const STRIDE = 7919;

/** Pins `batches` batches, each at another place of the region, and gives each back. */
export function* pinBatches(
  task: Task,
  m: Machine,
  mm: number,
  firstBatch: number,
  regionBatches: number,
  batches: number,
  pfns: Int32Array,
): Op<void> {
  let at = 0;
  for (let i = 0; i < batches; i++) {
    const vpn = (firstBatch + at) * BATCH_PAGES;
    yield* pinUserPagesFast(task, m, mm, vpn, BATCH_PAGES, FOLL.write | FOLL.pin, pfns);
    yield* unpinUserPages(task, m, pfns, BATCH_PAGES, PIN_BIAS, false);
    at = (at + STRIDE) % regionBatches;
  }
}
