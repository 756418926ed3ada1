// The queue of one device in shared memory: a CPU that has pinned a page hands it over, the device
// stores into it, and the CPU takes it back and unpins it.
//
//   bell | slots of SLOT.words each: state, pfn, file, page, cuts, sequence, accountable
//
// A slot belongs to the CPU while it is free, claimed or done, to the device while submitted.

import { wake } from '../../engine/sched/wait.js';
import { DMA_SLOTS } from './limits.js';

export const SLOT = {
  state: 0,
  pfn: 1,
  file: 2,
  page: 3,
  /** Cuts of the page that had ended when the pin began. */
  cuts: 4,
  /** The last sequence that the device stored. */
  sequence: 5,
  /** 1: no cut had begun when it stored it, so it must be found. */
  accountable: 6,
  words: 8,
} as const;

const STATE = { free: 0, claimed: 1, submitted: 2, done: 3 } as const;
const BELL = 0;
const FIRST = 16;

export class DmaQueue {
  readonly words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
  }

  /** A device sleeps on words[0] while it is what it was. */
  get bell(): number {
    return Atomics.load(this.words, BELL);
  }

  /** A free slot for the calling CPU, or -1. */
  claim(): number {
    for (let slot = 0; slot < DMA_SLOTS; slot++) {
      const at = this.at(slot, SLOT.state);
      if (Atomics.compareExchange(this.words, at, STATE.free, STATE.claimed) === STATE.free) {
        return slot;
      }
    }
    return -1;
  }

  /** Hands a pinned page over to the device. */
  submit(slot: number, pfn: number, file: number, page: number, cuts: number): void {
    this.words[this.at(slot, SLOT.pfn)] = pfn;
    this.words[this.at(slot, SLOT.file)] = file;
    this.words[this.at(slot, SLOT.page)] = page;
    this.words[this.at(slot, SLOT.cuts)] = cuts;
    Atomics.store(this.words, this.at(slot, SLOT.state), STATE.submitted);
    Atomics.add(this.words, BELL, 1);
    wake(this.words, BELL);
  }

  /** The next slot that the device has to serve, from `after` on, or -1. */
  pending(after: number): number {
    for (let i = 0; i < DMA_SLOTS; i++) {
      const slot = (after + i) % DMA_SLOTS;
      if (Atomics.load(this.words, this.at(slot, SLOT.state)) === STATE.submitted) return slot;
    }
    return -1;
  }

  /** The device is done with a slot. */
  complete(slot: number, sequence: number, accountable: boolean): void {
    this.words[this.at(slot, SLOT.sequence)] = sequence;
    this.words[this.at(slot, SLOT.accountable)] = accountable ? 1 : 0;
    Atomics.store(this.words, this.at(slot, SLOT.state), STATE.done);
    Atomics.notify(this.words, this.at(slot, SLOT.state));
  }

  isDone(slot: number): boolean {
    return Atomics.load(this.words, this.at(slot, SLOT.state)) === STATE.done;
  }

  /** Waits a moment for a slot of the calling thread to be done. */
  await(slot: number, timeoutMs: number): void {
    Atomics.wait(this.words, this.at(slot, SLOT.state), STATE.submitted, timeoutMs);
  }

  release(slot: number): void {
    Atomics.store(this.words, this.at(slot, SLOT.state), STATE.free);
  }

  field(slot: number, field: number): number {
    return this.words[this.at(slot, field)];
  }

  private at(slot: number, field: number): number {
    return FIRST + slot * SLOT.words + field;
  }
}

export function dmaQueueBuffer(): SharedArrayBuffer {
  return new SharedArrayBuffer((FIRST + DMA_SLOTS * SLOT.words) * 4);
}
