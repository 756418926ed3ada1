// A hash of the whole state of a lab run, kept up to date access by access.
//
// Shared memory is hashed as the exclusive-or of one value per changed word (so that a write costs
// the same wherever it lies). An actor's private state follows from the program and from what it has
// read so far, so it is hashed as its history of values read and steps taken. Two runs with equal
// hashes are in the same state, up to collisions of 64 bits: with a million states the odds of one
// are below 1 in 10^7.

const ACTORS = 8;

export class StateHash {
  private memoryLow = 0;
  private memoryHigh = 0;
  private blocked = 0;
  private actors = 0;
  private readonly low = new Int32Array(ACTORS);
  private readonly high = new Int32Array(ACTORS);
  private readonly steps = new Int32Array(ACTORS);

  /** Both halves of the hash as of the last digest(). */
  digestLow = 0;
  digestHigh = 0;

  /** A new run of `actors` actors from the initial state. */
  reset(actors: number): void {
    this.memoryLow = 0;
    this.memoryHigh = 0;
    this.blocked = 0;
    this.actors = actors;
    for (let i = 0; i < actors; i++) {
      this.low[i] = i + 1;
      this.high[i] = ~i;
      this.steps[i] = 0;
    }
  }

  /** The actor has passed a step, fallen asleep, or ended. */
  point(actor: number): void {
    this.steps[actor]++;
  }

  /** The actor has seen a value of shared memory. */
  read(actor: number, value: number): void {
    this.low[actor] = mix(this.low[actor] ^ value, 0x85ebca6b);
    this.high[actor] = mix(this.high[actor] ^ value, 0x27d4eb2f);
  }

  /** A word has changed. */
  write(address: number, before: number, after: number): void {
    if (before === after) return;
    const low = Math.imul(address, 0x9e3779b1);
    const high = Math.imul(address, 0x7feb352d);
    this.memoryLow ^= mix(low ^ before, 0x42b2ae35) ^ mix(low ^ after, 0x42b2ae35);
    this.memoryHigh ^= mix(high + before, 0x165667b1) ^ mix(high + after, 0x165667b1);
  }

  setBlocked(actor: number, isBlocked: boolean): void {
    if (isBlocked) this.blocked |= 1 << actor;
    else this.blocked &= ~(1 << actor);
  }

  /** Brings digestLow and digestHigh up to date. */
  digest(): void {
    let low = this.memoryLow ^ Math.imul(this.blocked, 0x2c1b3c6d);
    let high = (this.memoryHigh + this.blocked) | 0;
    for (let i = 0; i < this.actors; i++) {
      low = (mix(low ^ this.low[i], 0x297a2d39) + this.steps[i]) | 0;
      high = (mix(high ^ this.high[i], 0x85ebca77) - this.steps[i]) | 0;
    }
    this.digestLow = low | 0;
    this.digestHigh = high | 0;
  }
}

function mix(value: number, factor: number): number {
  const h = Math.imul(value ^ (value >>> 15), factor);
  return h ^ (h >>> 13);
}
