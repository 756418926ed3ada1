// A small seeded random generator (sfc32): the same (seed, epoch, worker) gives the same choices.

export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number, epoch: number, worker: number) {
    this.a = seed | 0;
    this.b = Math.imul(epoch + 1, 0x9e3779b1) | 0;
    this.c = Math.imul(worker + 1, 0x85ebca6b) | 0;
    for (let i = 0; i < 15; i++) this.next();
  }

  /** 32 random bits, as a signed integer. */
  next(): number {
    const sum = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum;
    this.c |= 0;
    return sum;
  }

  /** An integer from 0 to below - 1. */
  below(below: number): number {
    return Math.floor(((this.next() >>> 0) / 2 ** 32) * below);
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
}
