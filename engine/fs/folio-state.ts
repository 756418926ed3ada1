// The file system's side of a folio: reserving a block before it is dirtied, letting go of it, and
// filling it from the file (Linux: fs/ext4/inode.c, ext4_da_write_begin, ext4_read_folio).

import { load, read, write } from '../memory/word.js';
import { checksumFrame, zeroTail } from '../mm/content.js';
import { PG } from '../mm/folio.js';
import { attachBuffers, detachBuffers } from '../mm/writeback.js';
import { Errno } from '../sched/errors.js';
import { downRead, upRead } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { reserve, unreserve } from './alloc.js';
import { loadChecksum } from './checksums.js';
import { inodeName, isInline, type Vol } from './core.js';
import { sizeOf } from './dinode.js';
import { lookupExtent, type Mapping } from './extents.js';
import { readInline } from './inline.js';
import { BUFFER_STATE } from './layout.js';

/**
 * As FileSystem.prepareWrite: reserves a block for the locked folio, unless it has one to be written
 * over, and attaches buffers.
 * @throws Errno ENOSPC, EUCLEAN, EIO
 */
export function* prepareWrite(
  task: Task,
  v: Vol,
  inode: number,
  index: number,
  pfn: number,
): Op<void> {
  const { m } = v;
  if (lab?.point()) yield STEP;
  const attached = (load(m.state.flags, pfn) & PG.private) !== 0;
  const before = attached ? read(m.state.private, pfn) : 0;
  if ((before & BUFFER_STATE.reserved) !== 0) return;
  let mapped = (before & BUFFER_STATE.mapped) !== 0;
  if (!mapped) mapped = (yield* mapBlock(task, v, inode, index)).phys !== 0;
  const needsBlock = !mapped || v.noOverwrite;
  if (needsBlock && !(yield* reserve(v, 1, v.heldBack))) {
    throw new Errno(
      'ENOSPC',
      `the volume has no block left for page ${String(index)} of ${inodeName(m, inode)}: delete files, or make a larger volume`,
    );
  }
  write(
    m.state.private,
    pfn,
    (needsBlock ? BUFFER_STATE.reserved : 0) | (mapped ? BUFFER_STATE.mapped : 0),
  );
  if (!attached) yield* attachBuffers(m, pfn);
}

/** As FileSystem.releaseFolio and invalidateFolio: gives the reservation back and takes buffers off. */
export function* dropBuffers(task: Task, v: Vol, pfn: number): Op<void> {
  const { m } = v;
  if ((read(m.state.private, pfn) & BUFFER_STATE.reserved) !== 0) {
    if (lab?.point()) yield STEP;
    unreserve(v, 1);
  }
  write(m.state.private, pfn, 0);
  yield* detachBuffers(task, m, pfn);
}

/** Where page `index` of a file is, looked up under i_data_sem. */
export function* mapBlock(task: Task, v: Vol, inode: number, index: number): Op<Mapping> {
  const map: Mapping = { phys: 0, length: 0 };
  yield* downRead(task, v.m.iDataSem, inode);
  try {
    yield* lookupExtent(task, v, inode, index, map);
  } finally {
    if (lab?.point()) yield STEP;
    upRead(task, v.m.iDataSem, inode);
  }
  return map;
}

/** As FileSystem.readFolio. @throws Errno EIO (also for a wrong checksum), EUCLEAN */
export function* fillFolio(
  task: Task,
  v: Vol,
  inode: number,
  index: number,
  pfn: number,
): Op<void> {
  const { m } = v;
  if (lab?.point()) yield STEP;
  if (isInline(v, inode) && (yield* readInline(task, v, inode, index, pfn))) return;
  const { phys } = yield* mapBlock(task, v, inode, index);
  if (phys === 0) {
    yield* zeroTail(m, pfn, 0);
    return;
  }
  const frames = new Int32Array(1);
  frames[0] = pfn;
  yield* v.queue.transfer(task, { op: 'read', block: phys, frames, count: 1, fua: false });
  if (v.checksums) yield* verifyChecksum(task, v, inode, index, phys, pfn);
  if (lab?.point()) yield STEP;
  const within = sizeOf(v, inode) - index * m.geometry.pageBytes;
  if (within > 0 && within < m.geometry.pageBytes) yield* zeroTail(m, pfn, within);
}

/** @throws Errno EIO if the block is not what was checksummed when it was written */
export function* verifyChecksum(
  task: Task,
  v: Vol,
  inode: number,
  index: number,
  block: number,
  pfn: number,
): Op<void> {
  const expected = yield* loadChecksum(task, v, block);
  const found = yield* checksumFrame(v.m, pfn);
  if (found === expected) return;
  const where = `page ${String(index)} of ${inodeName(v.m, inode)} (block ${String(block)})`;
  const sums = `checksum 0x${(found >>> 0).toString(16)}, expected 0x${(expected >>> 0).toString(16)}`;
  v.m.report({
    kind: 'torn-write',
    hazard: null,
    task: task.name,
    message: `what the device holds is not what was checksummed before it was written: ${where}: ${sums}`,
    page: { ino: read(v.m.state.ino, inode), index, pfn },
  });
  throw new Errno('EIO', `${where}: ${sums}: restore the file from a copy`);
}
