// What the NBD server counts, in memory that its threads write, each its own counters, and the daemon reads.

export const COUNTERS = [
  'nbdConnections',
  'nbdConnectionsAccepted',
  'nbdConnectionsRefused',
  'nbdTlsConnections',
  'nbdTlsFailures',
  'nbdRequests',
  'nbdErrors',
  'nbdBytesRead',
  'nbdBytesWritten',
  'faultsFired',
] as const;

export type NbdCounter = (typeof COUNTERS)[number];

export class NbdCounters {
  readonly #values: Float64Array;

  constructor(readonly shared = new SharedArrayBuffer(COUNTERS.length * 8)) {
    this.#values = new Float64Array(shared);
  }

  add(counter: NbdCounter, amount: number): void {
    const index = COUNTERS.indexOf(counter);
    this.#values[index] = (this.#values[index] ?? 0) + amount;
  }

  read(): Record<string, number> {
    return Object.fromEntries(COUNTERS.map((name, i) => [name, this.#values[i] ?? 0]));
  }
}
