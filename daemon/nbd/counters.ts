// What the NBD server counts, in memory that its threads write, each its own counters, and the daemon reads.

/** Where each is: to look for it by name would cost a request more than to count it. */
export const COUNTER = {
  nbdConnections: 0,
  nbdConnectionsAccepted: 1,
  nbdConnectionsRefused: 2,
  nbdTlsConnections: 3,
  nbdTlsFailures: 4,
  nbdRequests: 5,
  nbdErrors: 6,
  nbdBytesRead: 7,
  nbdBytesWritten: 8,
  faultsFired: 9,
  /** From one thread to another: once for each time. */
  nbdConnectionsMoved: 10,
} as const;
type Counter = (typeof COUNTER)[keyof typeof COUNTER];
const NAMES = Object.keys(COUNTER);

export class NbdCounters {
  readonly #values: Float64Array;

  constructor(readonly shared = new SharedArrayBuffer(NAMES.length * 8)) {
    this.#values = new Float64Array(shared);
  }

  add(counter: Counter, amount: number): void {
    this.#values[counter] += amount;
  }

  /** By name, of all threads together. */
  static sum(threads: readonly NbdCounters[]): Record<string, number> {
    const sum = (at: number): number => threads.reduce((all, each) => all + each.#values[at], 0);
    return Object.fromEntries(NAMES.map((name, at) => [name, sum(at)]));
  }
}
