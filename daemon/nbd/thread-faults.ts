// The fault layers of a disk, as the disks' thread has them: added, listed, taken away, and waited for by the daemon.

import { FaultStack, isOutside, type Layer, makeLayer } from '../../engine/block/faults/index.js';
import { formatFault, parseFault } from '../faults/spec.js';
import { PinfoldError } from '../protocol/errors.js';
import type { FaultLayer } from '../protocol/methods.js';
import type { Answer } from './commands.js';
import { DiskClock } from './disk-clock.js';
import { FAULT_LAYERS_MAX, HELD_BACK_US_MAX } from './limits.js';

interface Waiter {
  readonly id: number;
  readonly layer: number;
  readonly times: number;
  readonly answer: Answer;
}

export class ThreadFaults {
  readonly clock = new DiskClock();
  readonly stack: FaultStack;
  readonly #ids = new Map<Layer, number>();
  #lastId = 0;
  #waiters: readonly Waiter[] = [];

  /** @param changed called when there are other layers than before */
  constructor(
    private readonly disk: string,
    private readonly sizeBytes: number,
    private readonly changed: () => void,
    onFired: () => void,
  ) {
    this.stack = new FaultStack((layer) => {
      onFired();
      if (this.#waiters.length > 0) this.#wake(layer);
    });
  }

  /**
   * @param before the number of the layer that is asked right after it; null: it is asked last
   * @returns the number of the layer
   * @throws PinfoldError ENOENT, ENOSPC if there are too many
   */
  add(fault: string, before: number | null): number {
    const { layers } = this.stack;
    if (layers.length >= FAULT_LAYERS_MAX) {
      throw new PinfoldError(
        'ENOSPC',
        `disk ${this.disk} has ${layers.length} fault layers, which is the most: clear some first`,
      );
    }
    const at = before === null ? layers.length : layers.indexOf(this.#find(before));
    const layer = makeLayer(parseFault(fault, this.disk), this.sizeBytes);
    this.#ids.set(layer, ++this.#lastId);
    this.#set(layers.toSpliced(at, 0, layer));
    return this.#lastId;
  }

  /** In the order in which they are asked. */
  list(): FaultLayer[] {
    return this.stack.layers.map((layer) => ({
      id: this.#ids.get(layer) ?? 0,
      fault: formatFault(layer.spec),
      outside: isOutside(layer.spec),
      seen: layer.seen,
      fired: layer.fired,
      last: layer.firings(),
    }));
  }

  /**
   * What they hold back is answered now.
   * @param id null: all of them
   * @returns how many
   * @throws PinfoldError ENOENT
   */
  clear(id: number | null): number {
    const gone = id === null ? this.stack.layers : [this.#find(id)];
    this.#set(this.stack.layers.filter((layer) => !gone.includes(layer)));
    for (const layer of gone) {
      const number = this.#ids.get(layer);
      this.#ids.delete(layer);
      const waiting = this.#waiters.filter((waiter) => waiter.layer === number);
      this.#waiters = this.#waiters.filter((waiter) => waiter.layer !== number);
      for (const { answer } of waiting) answer.reject(this.#missing(number ?? 0));
    }
    if (gone.length > 0) this.clock.advance(this.clock.nowUs() + HELD_BACK_US_MAX);
    return gone.length;
  }

  /**
   * Answers how often the layer has fired, as soon as that is so many times since it came.
   * @param waiter a number for unwait()
   * @throws PinfoldError ENOENT, also if it is cleared meanwhile
   */
  wait(waiter: number, id: number, times: number, answer: Answer): void {
    const layer = this.#find(id);
    if (layer.fired >= times) answer.resolve(layer.fired);
    else this.#waiters = [...this.#waiters, { id: waiter, layer: id, times, answer }];
  }

  /** Nobody waits any more. */
  unwait(id: number): void {
    const waiter = this.#waiters.find((each) => each.id === id);
    this.#waiters = this.#waiters.filter((each) => each.id !== id);
    waiter?.answer.resolve(0);
  }

  #set(layers: readonly Layer[]): void {
    this.stack.set(layers);
    this.clock.virtual = this.stack.isVirtual;
    this.changed();
  }

  #find(id: number): Layer {
    for (const [layer, number] of this.#ids) if (number === id) return layer;
    throw this.#missing(id);
  }

  #missing(id: number): PinfoldError {
    const ids = [...this.#ids.values()].join(', ');
    return new PinfoldError(
      'ENOENT',
      `disk ${this.disk} has no fault layer ${id}; it has ${ids === '' ? 'none' : ids}`,
    );
  }

  #wake(layer: Layer): void {
    const id = this.#ids.get(layer);
    const ready = this.#waiters.filter((each) => each.layer === id && layer.fired >= each.times);
    this.#waiters = this.#waiters.filter((each) => !ready.includes(each));
    for (const { answer } of ready) answer.resolve(layer.fired);
  }
}
