// From a page to its mappings: write-protecting them (mkclean) and taking them away (unmap).
// (Linux: mm/rmap.c, page_mkclean_one and try_to_unmap_one.)

import type { Machine } from '../machine.js';
import { PTES_PER_TABLE } from '../memory/layout.js';
import { add, cas, load, read, write } from '../memory/word.js';
import {
  spinUnlock,
  takeRead,
  takeSpinLock,
  upRead,
  waitRead,
  waitSpinLock,
} from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { putFolio } from './alloc.js';
import { markDirty } from './dirty.js';
import { flushTlb, PTE, pteIndex, ptlIndex } from './pte.js';

/**
 * Write-protects and cleans every PTE that maps a file folio (page_mkclean). The caller holds the
 * folio lock. Writeback does this for each page, so it is one generator and not one per mapping.
 * @returns was any of them dirty or writable?
 */
export function* mkclean(task: Task, m: Machine, inode: number, pfn: number): Op<boolean> {
  const s = m.state;
  const { pte, tlb } = s;
  const { notifier } = m;
  const index = read(s.index, pfn);
  let cleaned = false;
  if (lab?.point()) yield STEP;
  if (!takeRead(task, m.iMmapRwsem, inode)) yield* waitRead(task, m.iMmapRwsem, inode);
  for (let vma = read(s.iMmap, inode); vma !== 0; vma = read(s.vmaNextInFile, vma - 1)) {
    const vpn = vpnOf(m, vma - 1, index);
    if (vpn < 0) continue;
    const mm = read(s.vmaMm, vma - 1) - 1;
    const at = pteIndex(m, mm, vpn);
    const lock = ptlIndex(m, mm, vpn);
    if (notifier !== null) yield* notifier.invalidateStart(task, mm, vpn);
    if (lab?.point()) yield STEP;
    if (!takeSpinLock(task, m.ptl, lock)) yield* waitSpinLock(task, m.ptl, lock);
    for (;;) {
      if (lab?.point()) yield STEP;
      const entry = load(pte, at);
      if (entry === 0 || entry >>> PTE.pfnShift !== pfn) break;
      if ((entry & (PTE.write | PTE.dirty)) === 0) break;
      if (lab?.point()) yield STEP;
      // A CPU may set the dirty bit meanwhile, as hardware does: hence the cas.
      if (cas(pte, at, entry, entry & ~(PTE.write | PTE.dirty)) !== entry) continue;
      for (let cpu = 0; cpu < tlb.length; cpu++) {
        if (lab?.point()) yield STEP;
        if (load(tlb, cpu) === at + 1) yield* flushTlb(task, m, at);
      }
      cleaned = true;
      break;
    }
    if (lab?.point()) yield STEP;
    spinUnlock(task, m.ptl, lock);
    if (notifier !== null) yield* notifier.invalidateEnd(task, mm, vpn);
  }
  if (lab?.point()) yield STEP;
  upRead(task, m.iMmapRwsem, inode);
  return cleaned;
}

/** Where VMA `vma` maps page `index` of its file, or -1. */
export function vpnOf(m: Machine, vma: number, index: number): number {
  const s = m.state;
  const offset = index - read(s.vmaPgoff, vma);
  return offset >= 0 && offset < read(s.vmaPages, vma) ? read(s.vmaStart, vma) + offset : -1;
}

/**
 * Takes away every PTE that maps a file folio; dirty ones dirty the folio. The caller holds the
 * folio lock.
 */
export function* unmapFolio(task: Task, m: Machine, inode: number, pfn: number): Op<void> {
  const s = m.state;
  if (lab?.point()) yield STEP;
  if (load(s.mapcount, pfn) === 0) return;
  const index = read(s.index, pfn);
  if (lab?.point()) yield STEP;
  if (!takeRead(task, m.iMmapRwsem, inode)) yield* waitRead(task, m.iMmapRwsem, inode);
  for (let vma = read(s.iMmap, inode); vma !== 0; vma = read(s.vmaNextInFile, vma - 1)) {
    const vpn = vpnOf(m, vma - 1, index);
    if (vpn >= 0) yield* zapPte(task, m, read(s.vmaMm, vma - 1) - 1, vpn, pfn);
  }
  if (lab?.point()) yield STEP;
  upRead(task, m.iMmapRwsem, inode);
}

/**
 * Takes one PTE away, if it maps `pfn` (or, for -1, whatever it maps), and gives up the mapping's
 * reference (zap_pte_range). A dirty PTE dirties its file folio.
 */
export function* zapPte(task: Task, m: Machine, mm: number, vpn: number, pfn: number): Op<void> {
  const { pte, pteCount, mapcount } = m.state;
  const at = pteIndex(m, mm, vpn);
  const lock = ptlIndex(m, mm, vpn);
  const { notifier } = m;
  if (notifier !== null) yield* notifier.invalidateStart(task, mm, vpn);
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.ptl, lock)) yield* waitSpinLock(task, m.ptl, lock);
  let entry: number;
  for (;;) {
    if (lab?.point()) yield STEP;
    entry = load(pte, at);
    if (entry === 0 || (pfn >= 0 && entry >>> PTE.pfnShift !== pfn)) {
      if (lab?.point()) yield STEP;
      spinUnlock(task, m.ptl, lock);
      if (notifier !== null) yield* notifier.invalidateEnd(task, mm, vpn);
      return;
    }
    if (lab?.point()) yield STEP;
    if (cas(pte, at, entry, 0) === entry) break;
  }
  write(pteCount, lock, read(pteCount, lock) - 1);
  yield* flushTlb(task, m, at);
  const mapped = entry >>> PTE.pfnShift;
  if ((entry & PTE.dirty) !== 0) yield* markDirty(task, m, mapped);
  if (lab?.point()) yield STEP;
  add(mapcount, mapped, -1);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.ptl, lock);
  if (notifier !== null) yield* notifier.invalidateEnd(task, mm, vpn);
  yield* putFolio(task, m, mapped);
}

/** Takes away all entries of `pages` pages from `vpn` on (unmap_page_range); empty tables cost nothing. */
export function* zapRange(
  task: Task,
  m: Machine,
  mm: number,
  vpn: number,
  pages: number,
): Op<void> {
  const { pte } = m.state;
  const end = vpn + pages;
  for (let at = vpn; at < end; ) {
    const tableEnd = Math.min(end, (Math.floor(at / PTES_PER_TABLE) + 1) * PTES_PER_TABLE);
    if (yield* isEmptyTable(task, m, ptlIndex(m, mm, at))) {
      at = tableEnd;
      continue;
    }
    for (; at < tableEnd; at++) {
      if (lab?.point()) yield STEP;
      if (load(pte, pteIndex(m, mm, at)) !== 0) yield* zapPte(task, m, mm, at, -1);
    }
  }
}

function* isEmptyTable(task: Task, m: Machine, table: number): Op<boolean> {
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.ptl, table)) yield* waitSpinLock(task, m.ptl, table);
  const empty = read(m.state.pteCount, table) === 0;
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.ptl, table);
  return empty;
}
