// The fault layers of a disk, as the daemon sees them: they live in the disks' thread, through which all requests of the
// disk go as long as there are any.

import { z } from 'zod';
import type { FaultSpec } from '../../engine/block/faults/index.js';
import type { Command } from '../nbd/messages.js';
import { PinfoldError } from '../protocol/errors.js';
import { type FaultLayer, faultLayerSchema } from '../protocol/methods.js';
import { checkFaultFits, formatFault } from './spec.js';

const REASON = 'faults';

/** What is needed of the disk. */
export interface FaultyDisk {
  readonly name: string;
  readonly label: string;
  readonly sizeBytes: number;
  /** Commands the disks' thread. */
  call<T>(command: Command, result: z.ZodType<T>): Promise<T>;
  enterThread(reason: string): Promise<void>;
  leaveThread(reason: string): void;
}

export class DiskFaults {
  /** Their texts, in the order in which they are asked. */
  #texts: readonly string[] = [];
  /** Ends when the last change was made: one after the other. */
  #changed: Promise<unknown> = Promise.resolve();
  #lastWaiter = 0;

  constructor(private readonly disk: FaultyDisk) {}

  get texts(): readonly string[] {
    return this.#texts;
  }

  /**
   * @param before the number of the layer that is asked right after it; null: it is asked last
   * @throws PinfoldError EINVAL if it does not fit the disk, ENOENT, ENOSPC if there are too many
   */
  async add(spec: FaultSpec, before: number | null): Promise<{ id: number; fault: string }> {
    const { name: disk, label, sizeBytes } = this.disk;
    checkFaultFits(spec, label, sizeBytes);
    const fault = formatFault(spec);
    return await this.#change(async () => {
      await this.disk.enterThread(REASON);
      const id = await this.disk.call({ kind: 'fault-add', disk, fault, before }, z.int());
      return { id, fault };
    });
  }

  async list(): Promise<FaultLayer[]> {
    const { name: disk } = this.disk;
    return await this.disk.call({ kind: 'fault-list', disk }, z.array(faultLayerSchema));
  }

  /** @param id null: all of them. @returns how many @throws PinfoldError ENOENT */
  async clear(id: number | null): Promise<number> {
    const { name: disk } = this.disk;
    return await this.#change(() =>
      this.disk.call({ kind: 'fault-clear', disk, layer: id }, z.int()),
    );
  }

  /**
   * Waits until a layer has fired so many times since it came.
   * @returns how often it has
   * @throws PinfoldError ENOENT, also if it is cleared meanwhile; EINTR
   */
  async wait(id: number, times: number, signal: AbortSignal): Promise<number> {
    const { name: disk } = this.disk;
    const waiter = ++this.#lastWaiter;
    const unwait = (): void => {
      // The answer to the wait is what counts.
      this.disk.call({ kind: 'fault-unwait', disk, waiter }, z.null()).catch(() => undefined);
    };
    signal.throwIfAborted();
    signal.addEventListener('abort', unwait, { once: true });
    try {
      const wait: Command = { kind: 'fault-wait', disk, waiter, layer: id, times };
      const fired = await this.disk.call(wait, z.int());
      if (!signal.aborted || fired >= times) return fired;
      throw new PinfoldError(
        'EINTR',
        `the wait for layer ${id} of ${this.disk.label} was withdrawn`,
      );
    } finally {
      signal.removeEventListener('abort', unwait);
    }
  }

  async #change<T>(change: () => Promise<T>): Promise<T> {
    const before = this.#changed;
    const run = async (): Promise<T> => {
      await before;
      try {
        return await change();
      } finally {
        this.#texts = (await this.list()).map(({ fault }) => fault);
        if (this.#texts.length === 0) this.disk.leaveThread(REASON);
      }
    };
    const running = run();
    this.#changed = running.catch(() => undefined);
    return await running;
  }
}
