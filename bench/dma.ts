// Bench `dma`: one device writes 4 KiB at a time to pinned pages, against a bare copy of the same
// pattern to the same places in the same thread.

import { deviceStoreChain } from '../engine/dma/device.js';
import type { Machine } from '../engine/machine.js';
import { PIN_BIAS } from '../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../engine/mm/gup.js';
import type { Op } from '../engine/sched/op.js';
import { type BenchOptions, type BenchResult, summarise } from './measure.js';
import { anonymousRig, MIB, PAGE_BYTES, sizeName } from './rig.js';

/** Pages written in one timed run, from the pages that are pinned. */
const RUN_WRITES = 400_000;
const PINNED_PAGES = 2 ** 18;

/** Descriptors that the device is given with one doorbell: a usual submission queue. */
const CHAIN = 32;

/** `dma`: over a region of `bytes`. */
export function benchDma(options: BenchOptions, bytes = 64 * MIB, name = 'dma'): BenchResult {
  options.onProgress(`${name}: preparing ${sizeName(bytes)}`);
  const rig = anonymousRig(bytes);
  const pinned = Math.min(PINNED_PAGES, rig.pages);
  const pfns = new Int32Array(pinned);
  const taken = rig.driver.run(
    rig.task,
    pinUserPagesFast(rig.task, rig.machine, rig.mm, 0, pinned, FOLL.write | FOLL.pin, pfns),
  );
  const pattern = new Uint8Array(PAGE_BYTES).fill(0x5a);
  const deviceRate = (): number =>
    rate(() => {
      rig.driver.run(rig.task, deviceWrites(rig.machine, pfns, pattern, RUN_WRITES));
    });
  const copyRate = (): number =>
    rate(() => {
      bareCopies(rig.machine, pfns, pattern, RUN_WRITES);
    });
  deviceRate();
  copyRate();
  const runs = [];
  for (let i = 0; i < options.runs; i++) {
    options.onProgress(`${name}: run ${String(i + 1)} of ${String(options.runs)}`);
    const against = copyRate();
    runs.push({ value: deviceRate(), against });
  }
  rig.driver.run(rig.task, unpinUserPages(rig.task, rig.machine, pfns, taken, PIN_BIAS, true));
  rig.close();
  return summarise(
    {
      name,
      unit: 'GB/s',
      againstWhat: 'a bare copy of the same pattern',
      reach: '>= 0.85 of the copy',
      isReached: (ratio) => ratio !== null && ratio >= 0.85,
    },
    runs,
  );
}

/** The device rings through the pages, one chain of descriptors after the other. */
function* deviceWrites(
  m: Machine,
  pfns: Int32Array,
  pattern: Uint8Array,
  writes: number,
): Op<void> {
  const chain = new Int32Array(CHAIN);
  let at = 0;
  for (let done = 0; done < writes; done += CHAIN) {
    for (let i = 0; i < CHAIN; i++) {
      chain[i] = at;
      at = at + 1 === pfns.length ? 0 : at + 1;
    }
    yield* deviceStoreChain(m, pfns, chain, CHAIN, pattern);
  }
}

function bareCopies(m: Machine, pfns: Int32Array, pattern: Uint8Array, writes: number): void {
  let at = 0;
  for (let i = 0; i < writes; i++) {
    const segment = m.frames.segment(pfns[at]);
    segment.set(pattern, m.frames.offset(pfns[at]));
    at = at + 1 === pfns.length ? 0 : at + 1;
  }
}

function rate(work: () => void): number {
  const start = performance.now();
  work();
  return (RUN_WRITES * PAGE_BYTES) / ((performance.now() - start) * 1e6);
}
