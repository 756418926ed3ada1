// Slots of a cached disk that wait to be taken again, in the order in which they came: what came together stays together.

export class SlotRing {
  count = 0;
  private first = 0;
  private readonly slots: Uint32Array;

  constructor(capacity: number) {
    this.slots = new Uint32Array(capacity);
  }

  /** There is room for it. */
  put(slot: number): void {
    const at = this.first + this.count++;
    this.slots[at < this.slots.length ? at : at - this.slots.length] = slot;
  }

  /** put(), of entries `from` to below `until` of an array. */
  putAll(from: Uint32Array, start: number, end: number): void {
    const { slots } = this;
    let at = this.first + this.count;
    if (at >= slots.length) at -= slots.length;
    for (let i = start; i < end; i++) {
      slots[at++] = from[i];
      if (at === slots.length) at = 0;
    }
    this.count += end - start;
  }

  /** The oldest one. There is one. */
  take(): number {
    const slot = this.slots[this.first++];
    if (this.first === this.slots.length) this.first = 0;
    this.count--;
    return slot;
  }

  /** The oldest ones, up to so many that `into` is filled from `start` to below `end`. @returns where they end */
  takeAll(into: Uint32Array, start: number, end: number): number {
    const { slots } = this;
    const until = Math.min(start + this.count, end);
    let at = this.first;
    for (let i = start; i < until; i++) {
      into[i] = slots[at++];
      if (at === slots.length) at = 0;
    }
    this.first = at;
    this.count -= until - start;
    return until;
  }
}
