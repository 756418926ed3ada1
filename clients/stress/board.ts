// The notice board of a run, in shared memory: the stop word, and what each job has done so far.

import { handedOver } from '../../engine/memory/layout.js';

/** What CPUs and devices do, as the report names it. */
export const OPERATIONS = [
  'mmap-store',
  'mmap-load',
  'write',
  'read',
  'short-pin',
  'dma-write',
  'process_vm_writev',
  'vmsplice',
  'direct-write',
  'direct-read',
  'fsync',
  'writeback',
  'truncate',
  'punch',
  'reclaim',
  'long-pin',
  'long-pin-refused',
  'long-unpin',
  'sigbus',
  'no-memory',
] as const;

export type Operation = (typeof OPERATIONS)[number];

/** Counters beside the operations. */
const TOTALS = ['storeBytes', 'dmaBytes', 'pagesPinned', 'cellsRead'] as const;
export type Total = (typeof TOTALS)[number];

const NAMES: readonly (Operation | Total)[] = [...OPERATIONS, ...TOTALS];
const INDEX: ReadonlyMap<string, number> = new Map(NAMES.map((name, i) => [name, i]));

/** Words of `control`. */
const CONTROL = { stop: 0, words: 16 } as const;

export interface BoardShared {
  readonly control: SharedArrayBuffer;
  readonly counts: SharedArrayBuffer;
  readonly workers: number;
}

/** The board as one thread sees it. */
export class Board {
  /** [0] not 0: stop. Sleepers of the jobs wait for it. */
  readonly control: Int32Array;
  private readonly counts: Float64Array;

  constructor(readonly shared: BoardShared) {
    this.control = new Int32Array(shared.control);
    this.counts = new Float64Array(shared.counts);
  }

  get stopping(): boolean {
    return Atomics.load(this.control, CONTROL.stop) !== 0;
  }

  stop(): void {
    Atomics.store(this.control, CONTROL.stop, 1);
    Atomics.notify(this.control, CONTROL.stop);
  }

  /** Ready for another epoch. */
  goOn(): void {
    Atomics.store(this.control, CONTROL.stop, 0);
  }

  /** Adds to a counter of this worker: nobody else writes there, so a plain addition will do. */
  add(worker: number, name: Operation | Total, amount = 1): void {
    this.counts[worker * NAMES.length + indexOf(name)] += amount;
  }

  total(name: Operation | Total): number {
    let sum = 0;
    for (let worker = 0; worker < this.shared.workers; worker++) {
      sum += this.counts[worker * NAMES.length + indexOf(name)];
    }
    return sum;
  }
}

export function newBoard(workers: number): Board {
  return new Board({
    control: new SharedArrayBuffer(CONTROL.words * 4),
    counts: new SharedArrayBuffer(workers * NAMES.length * 8),
    workers,
  });
}

export function attachBoard(shared: unknown): Board {
  return new Board(handedOver<BoardShared>(shared));
}

function indexOf(name: string): number {
  return INDEX.get(name) ?? 0;
}
