// Bench `footprint`: bytes of emulated state per page frame, against Linux's struct page and PTE.

import { type Geometry, NODE_SLOTS, stateBytes } from '../engine/memory/layout.js';
import { type BenchResult, summarise } from './measure.js';
import { PAGE_BYTES } from './rig.js';

const LINUX_BYTES = 72;
const REACH_BYTES = 96;

/** `footprint`: the growth of the shared state from one machine to one of twice the pages. */
export function benchFootprint(): BenchResult {
  const pages = 1 << 18;
  const value = (stateBytes(geometry(pages * 2)) - stateBytes(geometry(pages))) / pages;
  return summarise(
    {
      name: 'footprint',
      unit: 'B/page',
      againstWhat: 'Linux: struct page and PTE',
      reach: `<= ${String(REACH_BYTES)} B/page`,
      isReached: () => value <= REACH_BYTES,
    },
    [{ value, against: LINUX_BYTES }],
  );
}

/** A machine whose every page is a file's and is mapped once, its page-cache trees full. */
function geometry(pages: number): Geometry {
  return {
    pageBytes: PAGE_BYTES,
    pages,
    cpus: 2,
    mms: 1,
    mmPages: pages,
    vmas: 64,
    inodes: 256,
    nodes: Math.ceil((pages / NODE_SLOTS) * (1 + 1 / NODE_SLOTS)),
    framesInState: false,
    extraWords: 0,
  };
}
