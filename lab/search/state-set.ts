// The states that a search has entered, as 64-bit hashes in one open-addressed table, each with the
// fewest preemptions after which it was entered.

const INITIAL = 1 << 12;
/** Words of a slot: two halves of the hash, and the preemptions. */
const SLOT = 3;

export class StateSet {
  size = 0;
  private slots = new Int32Array(INITIAL * SLOT);
  private mask = INITIAL - 1;

  /** Adds a hash of two halves; false if it was there with `spent` or less. */
  add(low: number, high: number, spent: number): boolean {
    // The pair (0, 0) marks an empty slot.
    const first = low === 0 && high === 0 ? 1 : low;
    const slot = this.find(first, high);
    const { slots } = this;
    if (slots[slot] !== 0 || slots[slot + 1] !== 0) {
      if (slots[slot + 2] <= spent) return false;
      slots[slot + 2] = spent;
      return true;
    }
    slots[slot] = first;
    slots[slot + 1] = high;
    slots[slot + 2] = spent;
    if (++this.size * 2 > this.mask) this.grow();
    return true;
  }

  private find(low: number, high: number): number {
    const { slots, mask } = this;
    let slot = low & mask;
    for (;;) {
      const a = slots[slot * SLOT];
      const b = slots[slot * SLOT + 1];
      if ((a === 0 && b === 0) || (a === low && b === high)) return slot * SLOT;
      slot = (slot + 1) & mask;
    }
  }

  private grow(): void {
    const old = this.slots;
    this.mask = this.mask * 2 + 1;
    this.slots = new Int32Array((this.mask + 1) * SLOT);
    for (let i = 0; i < old.length; i += SLOT) {
      if (old[i] === 0 && old[i + 1] === 0) continue;
      this.slots.set(old.subarray(i, i + SLOT), this.find(old[i], old[i + 1]));
    }
  }
}
