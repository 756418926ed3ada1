// A disk that remembers every write and flush, and the images that a power cut may leave of it
// (block devices with a volatile cache: each block on its own keeps any version since its last flush).

import { BlockQueue, blockQueueWords } from '../../engine/block/queue.js';
import { Ramdisk, ramdiskWords } from '../../engine/block/ramdisk.js';
import type { BlockRequest } from '../../engine/block/request.js';
import type { Machine } from '../../engine/machine.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { sharedWords } from '../block/machine.js';

/** One thing that the disk was asked for and has answered. */
export type DiskEvent =
  | {
      readonly kind: 'write';
      readonly block: number;
      readonly pages: readonly Int32Array[];
      readonly fua: boolean;
    }
  | { readonly kind: 'flush' };

const DEPTH = 8;

/** A block queue over a ramdisk that its submitters serve, with a record. */
export class RecordingQueue extends BlockQueue {
  readonly events: DiskEvent[] = [];
  /** Blocks that only the test may write, until it takes them off. */
  readonly dataBlocks = new Set<number>();
  readonly trespasses: number[] = [];
  byTest = false;
  /** The first contents of the disk. */
  readonly disk: Int32Array;

  constructor(m: Machine, blocks: number) {
    const disk = sharedWords(ramdiskWords(m, blocks));
    super(m, sharedWords(blockQueueWords(DEPTH)), new Ramdisk(m, disk));
    this.disk = disk;
    this.init(DEPTH);
  }

  override *submit(task: Task, request: BlockRequest): Op<number> {
    const ticket = yield* super.submit(task, request);
    const { op, block, count, frames, fua } = request;
    if (op === 'flush') this.events.push({ kind: 'flush' });
    if (op === 'write') {
      const pages = Array.from(frames.subarray(0, count), (pfn) => {
        const at = this.m.frames.wordOffset(pfn);
        return this.m.frames.wordSegment(pfn).slice(at, at + (this.m.geometry.pageBytes >>> 2));
      });
      this.events.push({ kind: 'write', block, pages, fua });
      for (let i = 0; i < count; i++) {
        if (!this.byTest && this.dataBlocks.has(block + i)) this.trespasses.push(block + i);
      }
    }
    return ticket;
  }
}

/** What may be left of each block after a power cut. */
export class CrashImages {
  /** Per written block: versions from the last durable one on. */
  private readonly versions = new Map<number, Int32Array[]>();

  /** @param before the contents before the first event, which were durable */
  constructor(
    private readonly before: Int32Array,
    private readonly pageWords: number,
  ) {}

  /** One more event was answered before the cut. */
  add(event: DiskEvent): void {
    if (event.kind === 'flush') {
      for (const versions of this.versions.values()) versions.splice(0, versions.length - 1);
      return;
    }
    for (const [i, page] of event.pages.entries()) {
      const block = event.block + i;
      const at = block * this.pageWords;
      const versions = this.versions.get(block) ?? [this.before.slice(at, at + this.pageWords)];
      versions.push(page);
      if (event.fua) versions.splice(0, versions.length - 1);
      this.versions.set(block, versions);
    }
  }

  /** An image; `pick` gets how many versions a block has and says which one was left (0: the oldest). */
  image(pick: (versions: number) => number): Int32Array {
    const image = this.before.slice();
    for (const [block, versions] of this.versions) {
      const left = versions.at(pick(versions.length));
      if (left !== undefined) image.set(left, block * this.pageWords);
    }
    return image;
  }
}

/** A small generator of numbers, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
