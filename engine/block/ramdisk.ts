// A disk in shared words, served by whoever submits. In the lab its payload moves word by word, so
// that a store of somebody else can fall in between, as it can during a device's DMA.

import type { Machine } from '../machine.js';
import { copyWords } from '../mm/content.js';
import type { Op, Task } from '../sched/op.js';
import { lab } from '../sched/step.js';
import type { BlockDevice } from './request.js';

/** Shared words of a ramdisk. */
export function ramdiskWords(m: Machine, blocks: number): number {
  return blocks * (m.geometry.pageBytes >>> 2);
}

export class Ramdisk implements BlockDevice {
  readonly blocks: number;
  private readonly pageWords: number;

  /** @param words a whole number of blocks */
  constructor(
    private readonly m: Machine,
    private readonly words: Int32Array,
  ) {
    this.pageWords = m.geometry.pageBytes >>> 2;
    this.blocks = Math.floor(words.length / this.pageWords);
  }

  check(): number {
    return 0;
  }

  *read(_task: Task, block: number, frames: Int32Array, count: number): Op<number> {
    const f = this.m.frames;
    for (let i = 0; i < count; i++) {
      const pfn = frames[i];
      yield* move(
        f.wordSegment(pfn),
        f.wordOffset(pfn),
        this.words,
        (block + i) * this.pageWords,
        this.pageWords,
      );
    }
    return 0;
  }

  *write(_task: Task, block: number, frames: Int32Array, count: number): Op<number> {
    const f = this.m.frames;
    for (let i = 0; i < count; i++) {
      const pfn = frames[i];
      yield* move(
        this.words,
        (block + i) * this.pageWords,
        f.wordSegment(pfn),
        f.wordOffset(pfn),
        this.pageWords,
      );
    }
    return 0;
  }

  *flush(_task: Task): Op<number> {
    return 0;
  }

  *discard(_task: Task, _block: number, _count: number): Op<number> {
    return 0;
  }
}

function* move(
  target: Int32Array,
  targetIndex: number,
  source: Int32Array,
  sourceIndex: number,
  count: number,
): Op<void> {
  if (lab === null) target.set(source.subarray(sourceIndex, sourceIndex + count), targetIndex);
  else yield* copyWords(target, targetIndex, source, sourceIndex, count);
}
