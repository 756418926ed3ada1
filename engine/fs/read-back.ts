// Reading back what was just written and comparing it with the checksum sampled before: tells at once,
// and with the page still at hand, that somebody stored into it meanwhile (kernel.md H1-b, H1-c; 4.4
// steps 5 to 9). For stress and debugging: it doubles the reads. A mount option (VolumeShared.readBack).

import { allocPage, putFolio } from '../mm/alloc.js';
import { checksumFrame } from '../mm/content.js';
import type { Op, Task } from '../sched/op.js';
import type { WriteBatch } from './batch.js';
import { inodeName, type Vol } from './core.js';

/** Frames taken for it at one time. */
const FRAMES_MAX = 16;

/**
 * Reports each page of a written batch whose payload on the device differs from its checksum. The
 * pages are still under writeback, so nothing else is written to these blocks. Without free memory
 * nothing is compared.
 * @throws Errno EIO
 */
export function* readBack(task: Task, v: Vol, inode: number, batch: WriteBatch): Op<void> {
  const { m } = v;
  const frames = new Int32Array(Math.min(FRAMES_MAX, batch.count));
  let taken = 0;
  try {
    while (taken < frames.length) {
      const frame = yield* allocPage(task, m);
      if (frame === 0) break;
      frames[taken++] = frame;
    }
    for (let done = 0; taken > 0 && done < batch.count; done += taken) {
      const count = Math.min(taken, batch.count - done);
      const block = batch.block + done;
      yield* v.queue.transfer(task, { op: 'read', block, frames, count, fua: false });
      for (let i = 0; i < count; i++) {
        const found = yield* checksumFrame(m, frames[i]);
        if (found !== batch.sums[done + i]) reportTear(task, v, inode, batch, done + i, found);
      }
    }
  } finally {
    for (let i = 0; i < taken; i++) yield* putFolio(task, m, frames[i]);
  }
}

function reportTear(
  task: Task,
  v: Vol,
  inode: number,
  batch: WriteBatch,
  i: number,
  found: number,
): void {
  const index = batch.indices[i];
  const hex = (sum: number): string => `0x${(sum >>> 0).toString(16)}`;
  v.m.report({
    kind: 'torn-write',
    hazard: null,
    task: task.name,
    message:
      `page ${String(index)} of ${inodeName(v.m, inode)} (block ${String(batch.block + i)}) changed while it was ` +
      `written: checksum ${hex(batch.sums[i])} sampled, ${hex(found)} on the device`,
    page: { ino: v.m.state.ino[inode], index, pfn: batch.pfns[i] },
  });
}
