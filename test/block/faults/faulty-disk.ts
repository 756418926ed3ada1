// A disk of a few sectors in plain memory under fault layers: what a served one does, without any server.

import {
  type FaultOp,
  type FaultSpec,
  FaultStack,
  makeLayer,
} from '../../../engine/block/faults/index.js';

export const SECTOR = 512;

export class FaultyDisk {
  readonly stack = new FaultStack();
  readonly medium: Uint8Array;
  nowUs = 0;
  /** Flushes that really were. */
  flushes = 0;
  delayUs = 0;

  constructor(sectors: number, specs: readonly FaultSpec[]) {
    this.medium = new Uint8Array(sectors * SECTOR);
    this.stack.set(specs.map((spec) => makeLayer(spec, this.medium.length)));
  }

  /** @returns the bytes, or an errno */
  read(offset: number, length: number): Uint8Array | number {
    const { error } = this.#decide('read', offset, length, false);
    if (error !== 0) return error;
    const bytes = this.medium.slice(offset, offset + length);
    this.stack.read(bytes, offset);
    return bytes;
  }

  /** @returns an errno, or 0 */
  write(offset: number, bytes: Uint8Array, fua = false): number {
    const verdict = this.#decide('write', offset, bytes.length, fua);
    if (verdict.error !== 0) return verdict.error;
    for (let i = 0, from = 0; from < bytes.length; i += 2) {
      const until = verdict.lost[i] ?? bytes.length;
      if (until > from) {
        this.medium.set(bytes.subarray(from, until), verdict.offset + from);
        this.stack.changed('write', verdict.offset + from, until - from);
      }
      from = verdict.lost[i + 1] ?? bytes.length;
    }
    if (fua && !verdict.lie) this.flushes++;
    return 0;
  }

  zero(op: 'zero' | 'trim', offset: number, length: number): number {
    const { error } = this.#decide(op, offset, length, false);
    if (error !== 0) return error;
    this.medium.fill(0, offset, offset + length);
    this.stack.changed(op, offset, length);
    return 0;
  }

  flush(): number {
    const { error, lie } = this.#decide('flush', 0, 0, false);
    if (error === 0 && !lie) this.flushes++;
    return error;
  }

  #decide(op: FaultOp, offset: number, length: number, fua: boolean) {
    const verdict = this.stack.decide(op, offset, length, fua, this.nowUs);
    this.delayUs = verdict.delayUs;
    return verdict;
  }
}

/** What every triggered layer needs, and fires at each request unless it is changed. */
export const ALWAYS = { range: [], rate: null, nth: null, once: false, seed: 1 } as const;

export function sectors(count: number, fill: number): Uint8Array {
  return new Uint8Array(count * SECTOR).fill(fill);
}
