// What all fault layers have in common: the requests that a layer acts on, what it counts, and what it remembers.

import { Chance, Random } from './random.js';
import { Ranges } from './ranges.js';
import { FAULT_OPS, type FaultOp, type FaultSpec, type TriggerSpec } from './spec.js';
import type { FaultRequest, Verdict } from './verdict.js';

/** How many of its last firings a layer can tell. */
export const FIRINGS_KEPT = 16;
/** A firing: | number of the request | operation | offset | length | detail | */
const FIRING_NUMBERS = 5;

/**
 * A layer is asked once a request, in the order of its stack. Its draws are its own, and it makes them in the order of
 * the requests that it sees: the same requests meet the same faults.
 */
export abstract class Layer {
  abstract readonly spec: FaultSpec;
  /** Requests that it could have acted on, and how often it has acted. */
  seen = 0;
  fired = 0;
  /** Data has to be shown to read(), and where it lies must not be told as a hole. */
  readonly changesReads: boolean = false;
  /** Called after each firing. */
  onFired = (): void => undefined;
  readonly #firings = new Float64Array(FIRINGS_KEPT * FIRING_NUMBERS);

  abstract decide(request: FaultRequest, verdict: Verdict): void;

  /** Data that was read, before it is sent. */
  read(_bytes: Uint8Array, _offset: number): void {
    // Most layers leave it as it is.
  }

  /** A write, zero or trim has been done here. */
  changed(_op: FaultOp, _offset: number, _length: number): void {
    // Most layers remember nothing of the medium.
  }

  /** The last firings in words, the oldest first. */
  firings(): string[] {
    const words: string[] = [];
    for (let i = Math.max(0, this.fired - FIRINGS_KEPT); i < this.fired; i++) {
      const at = (i % FIRINGS_KEPT) * FIRING_NUMBERS;
      const [seen = 0, op = 0, offset = 0, length = 0, detail = 0] = this.#firings.subarray(at);
      const name = FAULT_OPS.at(op) ?? '';
      const where = name === 'flush' ? '' : ` of ${length} bytes at ${offset}`;
      words.push(`request ${seen}, ${name}${where}: ${this.words(detail)}`);
    }
    return words;
  }

  /** What happened, by the number that fire() was given. */
  protected abstract words(detail: number): string;

  protected fire({ op, offset, length }: FaultRequest, detail = 0): void {
    const at = (this.fired % FIRINGS_KEPT) * FIRING_NUMBERS;
    this.#firings[at] = this.seen;
    this.#firings[at + 1] = FAULT_OPS.indexOf(op);
    this.#firings[at + 2] = offset;
    this.#firings[at + 3] = length;
    this.#firings[at + 4] = detail;
    this.fired++;
    this.onFired();
  }
}

/** A layer that acts on some of the requests of some operations, as TriggerSpec says. */
export abstract class TriggeredLayer extends Layer {
  protected readonly random: Random;
  protected readonly ranges: Ranges;
  readonly #ops: readonly FaultOp[];
  readonly #chance: Chance;
  readonly #once: boolean;

  constructor({ op, range, rate, nth, once, seed }: TriggerSpec) {
    super();
    this.random = new Random(seed);
    this.ranges = new Ranges(range);
    this.#ops = op;
    this.#chance = new Chance(rate, nth, this.random);
    this.#once = once;
  }

  override decide(request: FaultRequest, verdict: Verdict): void {
    if (!this.#ops.includes(request.op) || !this.applies(request)) return;
    this.seen++;
    if (this.#once && this.fired > 0) return;
    if (this.#chance.take(1) > 0) this.act(request, verdict);
  }

  /** Whether the request, of one of the layer's operations, is one that it may act on. A flush lies in no range. */
  protected applies({ op, offset, length }: FaultRequest): boolean {
    if (op === 'flush') return this.ranges.everywhere;
    return this.ranges.touches(offset, offset + length);
  }

  protected abstract act(request: FaultRequest, verdict: Verdict): void;
}
