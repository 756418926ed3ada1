// Slots of a cached disk that wait to be taken again, in the order in which they came: what came together stays together.

import type { CacheState } from './cache-state.js';

/** In the words of a ring. */
const COUNT = 0;
const FIRST = 1;

export class SlotRing {
  private readonly words: Uint32Array;
  private readonly slots: Uint32Array;

  constructor(capacity: number, state: CacheState) {
    this.words = state.uint32(2);
    this.slots = state.uint32(capacity);
  }

  get count(): number {
    return this.words[COUNT];
  }

  /** There is room for it. */
  put(slot: number): void {
    const { words, slots } = this;
    const at = words[FIRST] + words[COUNT]++;
    slots[at < slots.length ? at : at - slots.length] = slot;
  }

  /** put(), of entries `from` to below `until` of an array. */
  putAll(from: Uint32Array, start: number, end: number): void {
    const { words, slots } = this;
    let at = words[FIRST] + words[COUNT];
    if (at >= slots.length) at -= slots.length;
    for (let i = start; i < end; i++) {
      slots[at++] = from[i];
      if (at === slots.length) at = 0;
    }
    words[COUNT] += end - start;
  }

  /** The oldest one. There is one. */
  take(): number {
    const { words, slots } = this;
    const at = words[FIRST];
    words[FIRST] = at + 1 === slots.length ? 0 : at + 1;
    words[COUNT]--;
    return slots[at];
  }

  /** The oldest ones, up to so many that `into` is filled from `start` to below `end`. @returns where they end */
  takeAll(into: Uint32Array, start: number, end: number): number {
    const { words, slots } = this;
    const until = Math.min(start + words[COUNT], end);
    let at = words[FIRST];
    for (let i = start; i < until; i++) {
      into[i] = slots[at++];
      if (at === slots.length) at = 0;
    }
    words[FIRST] = at;
    words[COUNT] -= until - start;
    return until;
  }
}
