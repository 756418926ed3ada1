// Address spaces and their VMAs: mmap and munmap (Linux: mm/mmap.c).

import type { Machine } from '../machine.js';
import { GLOBAL } from '../memory/layout.js';
import { cas, read, store, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { downRead, downWrite, spinLock, spinUnlock, upRead, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { zapRange } from './rmap.js';

/** VMA flags (VM_*). */
export const VM = { read: 1, write: 2, shared: 4 } as const;

/** Takes a free address space. @throws Errno ENOMEM if all are in use */
export function createMm(m: Machine): number {
  for (let mm = 0; mm < m.geometry.mms; mm++) {
    if (cas(m.state.mmUsers, mm, 0, 1) === 0) return mm;
  }
  throw new Errno('ENOMEM', `all ${String(m.geometry.mms)} address spaces are in use`);
}

/** Gives an address space back, in which nothing is mapped any more. */
export function* freeMm(m: Machine, mm: number): Op<void> {
  if (lab?.point()) yield STEP;
  store(m.state.mmUsers, mm, 0);
}

/**
 * Where the VMAs start that lie in the range.
 * @throws Errno EINVAL if one of them reaches beyond it: mappings are unmapped as a whole
 */
export function* mappingsIn(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  pages: number,
): Op<number[]> {
  const s = m.state;
  const starts: number[] = [];
  let cut = -1;
  yield* downRead(task, m.mmapLock, mm);
  for (let vma = read(s.mmMmap, mm); vma !== 0; vma = read(s.vmaNextInMm, vma - 1)) {
    const start = read(s.vmaStart, vma - 1);
    const end = start + read(s.vmaPages, vma - 1);
    if (end <= vpn || start >= vpn + pages) continue;
    if (start < vpn || end > vpn + pages) cut = start;
    starts.push(start);
  }
  if (lab?.point()) yield STEP;
  upRead(task, m.mmapLock, mm);
  if (cut < 0) return starts;
  throw new Errno(
    'EINVAL',
    `the mapping from page ${String(cut)} on reaches beyond the range: unmap it as a whole`,
  );
}

/** The VMA that covers `vpn`, or -1. Caller holds mmap_lock. */
export function findVma(m: Machine, mm: number, vpn: number): number {
  const s = m.state;
  for (let vma = read(s.mmMmap, mm); vma !== 0; vma = read(s.vmaNextInMm, vma - 1)) {
    const offset = vpn - read(s.vmaStart, vma - 1);
    if (offset >= 0 && offset < read(s.vmaPages, vma - 1)) return vma - 1;
  }
  return -1;
}

/** What to map. */
export interface MapRequest {
  readonly pages: number;
  /** VM flags. */
  readonly flags: number;
  /** Inode slot, or -1 for anonymous memory. The caller holds a reference, which the VMA takes over. */
  readonly inode: number;
  /** First page of the file. */
  readonly pgoff: number;
  /** Where to map; -1 for the first gap that is large enough. */
  readonly vpn: number;
  /** What the file system does in its ->mmap(), under mmap_lock; an Errno of it fails the call. */
  readonly fileMmap?: () => Op<void>;
}

/**
 * Maps pages into `mm`.
 * @returns the first virtual page number
 * @throws Errno ENOMEM (no gap, no VMA slot), EINVAL; as request.fileMmap()
 */
export function* mmap(task: Task, m: Machine, mm: number, request: MapRequest): Op<number> {
  const s = m.state;
  if (!(request.pages > 0)) {
    throw new Errno('EINVAL', `a mapping of ${String(request.pages)} pages: it has at least one`);
  }
  if (request.pages > m.geometry.mmPages) throw noRoom(m, mm, request.pages);
  const vma = yield* takeVma(task, m, mm);
  yield* downWrite(task, m.mmapLock, mm);
  const vpn = request.vpn >= 0 ? request.vpn : findGap(m, mm, request.pages);
  const fits =
    vpn >= 0 && vpn + request.pages <= m.geometry.mmPages && isFree(m, mm, vpn, request.pages);
  if (fits && request.fileMmap !== undefined) {
    try {
      yield* request.fileMmap();
    } catch (error) {
      yield* giveUp(task, m, mm, vma);
      throw error;
    }
  }
  if (fits) {
    write(s.vmaStart, vma, vpn);
    write(s.vmaPages, vma, request.pages);
    write(s.vmaInode, vma, request.inode + 1);
    write(s.vmaPgoff, vma, request.pgoff);
    write(s.vmaFlags, vma, request.flags);
    write(s.vmaNextInMm, vma, read(s.mmMmap, mm));
    write(s.mmMmap, mm, vma + 1);
    if (request.inode >= 0) {
      yield* downWrite(task, m.iMmapRwsem, request.inode);
      write(s.vmaNextInFile, vma, read(s.iMmap, request.inode));
      write(s.iMmap, request.inode, vma + 1);
      if (lab?.point()) yield STEP;
      upWrite(task, m.iMmapRwsem, request.inode);
    }
  }
  if (!fits) {
    yield* giveUp(task, m, mm, vma);
    throw noRoom(m, mm, request.pages);
  }
  if (lab?.point()) yield STEP;
  upWrite(task, m.mmapLock, mm);
  return vpn;
}

/** An mmap() that fails: unlocks the address space, and frees the VMA slot. */
function* giveUp(task: Task, m: Machine, mm: number, vma: number): Op<void> {
  if (lab?.point()) yield STEP;
  upWrite(task, m.mmapLock, mm);
  if (lab?.point()) yield STEP;
  store(m.state.vmaMm, vma, 0);
}

function noRoom(m: Machine, mm: number, pages: number): Errno {
  const size = String(m.geometry.mmPages);
  return new Errno(
    'ENOMEM',
    `no room for ${String(pages)} pages in address space ${String(mm)} (${size} pages): unmap something first`,
  );
}

/**
 * Unmaps the VMA that starts at `vpn`: its page-table entries, then the VMA.
 * @returns the inode slot whose reference the VMA held, or -1; the caller drops it (iput)
 * @throws Errno EINVAL if no VMA starts there
 */
export function* munmap(task: Task, m: Machine, mm: number, vpn: number): Op<number> {
  const s = m.state;
  yield* downWrite(task, m.mmapLock, mm);
  const vma = findVma(m, mm, vpn);
  if (vma < 0 || read(s.vmaStart, vma) !== vpn) {
    if (lab?.point()) yield STEP;
    upWrite(task, m.mmapLock, mm);
    throw new Errno(
      'EINVAL',
      `no mapping starts at page ${String(vpn)} of address space ${String(mm)}`,
    );
  }
  const inode = read(s.vmaInode, vma) - 1;
  const pages = read(s.vmaPages, vma);
  yield* zapRange(task, m, mm, vpn, pages);
  unlink(s.mmMmap, mm, s.vmaNextInMm, vma);
  if (inode >= 0) {
    yield* downWrite(task, m.iMmapRwsem, inode);
    unlink(s.iMmap, inode, s.vmaNextInFile, vma);
    if (lab?.point()) yield STEP;
    upWrite(task, m.iMmapRwsem, inode);
  }
  if (lab?.point()) yield STEP;
  store(s.vmaMm, vma, 0);
  if (lab?.point()) yield STEP;
  upWrite(task, m.mmapLock, mm);
  return inode;
}

function* takeVma(task: Task, m: Machine, mm: number): Op<number> {
  const { vmaMm } = m.state;
  yield* spinLock(task, m.vmaLock, 0);
  let vma = 0;
  while (vma < m.geometry.vmas) {
    if (lab?.point()) yield STEP;
    if (cas(vmaMm, vma, 0, mm + 1) === 0) break;
    vma++;
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.vmaLock, 0);
  if (vma === m.geometry.vmas)
    throw new Errno('ENOMEM', `all ${String(m.geometry.vmas)} VMAs are in use`);
  return vma;
}

function unlink(heads: Int32Array, head: number, next: Int32Array, vma: number): void {
  const after = read(next, vma);
  let at = read(heads, head);
  if (at === vma + 1) {
    write(heads, head, after);
    return;
  }
  while (read(next, at - 1) !== vma + 1) at = read(next, at - 1);
  write(next, at - 1, after);
}

function isFree(m: Machine, mm: number, vpn: number, pages: number): boolean {
  return overlapping(m, mm, vpn, pages) < 0;
}

/** The end of a VMA that overlaps [vpn, vpn + pages), or -1. */
function overlapping(m: Machine, mm: number, vpn: number, pages: number): number {
  const s = m.state;
  for (let vma = read(s.mmMmap, mm); vma !== 0; vma = read(s.vmaNextInMm, vma - 1)) {
    const start = read(s.vmaStart, vma - 1);
    const end = start + read(s.vmaPages, vma - 1);
    if (start < vpn + pages && vpn < end) return end;
  }
  return -1;
}

function findGap(m: Machine, mm: number, pages: number): number {
  let vpn = 0;
  while (vpn + pages <= m.geometry.mmPages) {
    const end = overlapping(m, mm, vpn, pages);
    if (end < 0) return vpn;
    vpn = end;
  }
  return -1;
}

/** Statistics of the machine's pins at rest: acquired and released must be equal (kernel.md C1). */
export function pinBalance(m: Machine): { readonly acquired: number; readonly released: number } {
  const { global } = m.state;
  return {
    acquired: Atomics.load(global, GLOBAL.pinAcquired) >>> 0,
    released: Atomics.load(global, GLOBAL.pinReleased) >>> 0,
  };
}
