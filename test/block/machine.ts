// Small machines for tests of the block device and of what stands on it.

import { createMachine, type Machine } from '../../engine/machine.js';
import { type Geometry, GLOBAL } from '../../engine/memory/layout.js';
import { initAllocator } from '../../engine/mm/alloc.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { BlockingDriver } from '../../engine/sched/blocking.js';

export interface SmallMachine {
  readonly m: Machine;
  readonly driver: BlockingDriver;
}

/** A machine of `pages` frames of 4 KiB with lockdep on. */
export function smallMachine(pages: number, pageBytes = 4096): SmallMachine {
  const geometry: Geometry = {
    pageBytes,
    pages,
    cpus: 4,
    mms: 1,
    mmPages: 16,
    vmas: 4,
    inodes: 4,
    nodes: 16,
    framesInState: false,
    extraWords: 0,
  };
  const frames = [new SharedArrayBuffer(pages * pageBytes)];
  const m = createMachine(geometry, profileByName('linux-6.12'), frames, true);
  initAllocator(m);
  return { m, driver: driverOf(m) };
}

/** A driver for this thread. */
export function driverOf(m: Machine): BlockingDriver {
  return new BlockingDriver(m.state.global.subarray(GLOBAL.panic, GLOBAL.panic + 1));
}

/** Words in shared memory, zero. */
export function sharedWords(count: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(count * 4));
}

/** Fills a frame with words that tell frame and place. */
export function stampFrame(m: Machine, pfn: number, stamp: number): void {
  const words = m.frames.wordSegment(pfn);
  const at = m.frames.wordOffset(pfn);
  for (let i = 0; i < m.geometry.pageBytes >>> 2; i++) words[at + i] = (stamp << 10) | i;
}

/** Does a frame hold what stampFrame() wrote? */
export function hasStamp(m: Machine, pfn: number, stamp: number): boolean {
  const words = m.frames.wordSegment(pfn);
  const at = m.frames.wordOffset(pfn);
  for (let i = 0; i < m.geometry.pageBytes >>> 2; i++) {
    if (words[at + i] !== ((stamp << 10) | i)) return false;
  }
  return true;
}
