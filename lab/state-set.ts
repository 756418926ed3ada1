// The set of states that a search has entered, as 64-bit hashes in one open-addressed table.

const INITIAL = 1 << 12;

export class StateSet {
  size = 0;
  private slots = new Int32Array(INITIAL * 2);
  private mask = INITIAL - 1;

  /** Adds a hash of two halves; false if it was there. */
  add(low: number, high: number): boolean {
    // The pair (0, 0) marks an empty slot.
    const first = low === 0 && high === 0 ? 1 : low;
    let slot = first & this.mask;
    for (;;) {
      const a = this.slots[slot * 2];
      const b = this.slots[slot * 2 + 1];
      if (a === 0 && b === 0) break;
      if (a === first && b === high) return false;
      slot = (slot + 1) & this.mask;
    }
    this.slots[slot * 2] = first;
    this.slots[slot * 2 + 1] = high;
    if (++this.size * 2 > this.mask) this.grow();
    return true;
  }

  private grow(): void {
    const old = this.slots;
    this.mask = this.mask * 2 + 1;
    this.slots = new Int32Array((this.mask + 1) * 2);
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] === 0 && old[i + 1] === 0) continue;
      let slot = old[i] & this.mask;
      while (this.slots[slot * 2] !== 0 || this.slots[slot * 2 + 1] !== 0)
        slot = (slot + 1) & this.mask;
      this.slots[slot * 2] = old[i];
      this.slots[slot * 2 + 1] = old[i + 1];
    }
  }
}
