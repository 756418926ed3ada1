// The fault layers of one disk, in their order: the first one is asked first.

import type { Layer } from './layer.js';
import type { FaultOp } from './spec.js';
import { type FaultRequest, Verdict } from './verdict.js';

export class FaultStack {
  #layers: readonly Layer[] = [];
  readonly #verdict = new Verdict();
  readonly #request: FaultRequest = { op: 'read', offset: 0, length: 0, fua: false, nowUs: 0 };
  #changesReads = false;

  /** @param onFired called after each firing of a layer */
  constructor(private readonly onFired: (layer: Layer) => void = () => undefined) {}

  get layers(): readonly Layer[] {
    return this.#layers;
  }

  /** Data has to be shown to read(), and no hole may be told. */
  get changesReads(): boolean {
    return this.#changesReads;
  }

  /** Its delays are in time that may be skipped: one layer that says so is enough, since a disk has one clock. */
  get isVirtual(): boolean {
    return this.#layers.some(({ spec }) => 'time' in spec && spec.time === 'virtual');
  }

  set(layers: readonly Layer[]): void {
    this.#layers = layers;
    for (const layer of layers) layer.onFired = () => this.onFired(layer);
    this.#changesReads = layers.some((layer) => layer.changesReads);
  }

  /** How often all layers together have acted. */
  get fired(): number {
    let fired = 0;
    for (const layer of this.#layers) fired += layer.fired;
    return fired;
  }

  /**
   * Asks the layers about a request that is about to be done. A layer that lets it fail ends the question: those below
   * don't see it. A delay above that stays, since it was met first.
   * @param nowUs the disk's clock
   * @returns good until the next request
   */
  decide(op: FaultOp, offset: number, length: number, fua: boolean, nowUs: number): Verdict {
    const verdict = this.#verdict;
    const request = this.#request;
    verdict.reset(offset);
    request.op = op;
    request.length = length;
    request.fua = fua;
    request.nowUs = nowUs;
    for (const layer of this.#layers) {
      request.offset = verdict.offset;
      layer.decide(request, verdict);
      if (verdict.error !== 0) break;
    }
    return verdict;
  }

  /** Data that was read, on its way up: the last layer is the nearest to the medium. */
  read(bytes: Uint8Array, offset: number): void {
    for (let i = this.#layers.length - 1; i >= 0; i--) this.#layers[i]?.read(bytes, offset);
  }

  /** What has been done to the medium, where it was really done: without what was lost. */
  changed(op: FaultOp, offset: number, length: number): void {
    for (const layer of this.#layers) layer.changed(op, offset, length);
  }
}
