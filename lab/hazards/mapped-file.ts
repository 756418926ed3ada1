// What the hazards of one mapped file have in common: a machine of a few pages, a process that has
// the file mapped, a device that it lets write there, and what must hold at the end.

import { deviceStore } from '../../engine/dma/device.js';
import { dropPages, holdPages } from '../../engine/dma/hold.js';
import { ODP_WORDS, OdpPage } from '../../engine/dma/odp.js';
import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import type { Geometry } from '../../engine/memory/layout.js';
import { read } from '../../engine/memory/word.js';
import { storeUser } from '../../engine/mm/access.js';
import type { FileSystem } from '../../engine/mm/address-space.js';
import { PG } from '../../engine/mm/folio.js';
import { FOLL } from '../../engine/mm/gup.js';
import { cacheLookup } from '../../engine/mm/pagecache.js';
import { PTE } from '../../engine/mm/pte.js';
import { createMm, mmap, pinBalance, VM } from '../../engine/mm/vma.js';
import { Errno, InvariantError } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { PageStore } from '../../engine/tinyfs/page-store.js';

/** Slot of the file, and the address space that maps it from virtual page 0 on. */
export const FILE = 0;
export const MM = 0;

/**
 * A machine for one file and one process, with `frames` page frames for their pages.
 * @param fsWords words of `extra` that the file system takes; a device's own follow
 */
export function geometryOf(pageBytes: number, frames: number, fsWords: number): Geometry {
  return {
    pageBytes,
    pages: frames + 1,
    cpus: 1,
    mms: 1,
    mmPages: 1,
    vmas: 1,
    inodes: 1,
    nodes: 2,
    framesInState: pageBytes < 4096,
    extraWords: fsWords + ODP_WORDS,
  };
}

/** A file of `pages` pages, the first of them mapped shared and writable. */
export function* mapFile(task: Task, m: Machine, pages = 1): Op<void> {
  m.state.ino[FILE] = 1;
  m.state.iSize[FILE] = BigInt(pages * m.geometry.pageBytes);
  createMm(m);
  const flags = VM.read | VM.write | VM.shared;
  yield* mmap(task, m, MM, { pages: 1, flags, inode: FILE, pgoff: 0, vpn: 0 });
}

/** The process stores `value` to a word of the mapped page. */
export function* storeWord(task: Task, m: Machine, word: number, value: number): Op<void> {
  yield* storeUser(task, m, MM, 0, word * 4, bytesOf(value));
}

/** Tells the MMU of the device, if it is one that pins nothing (P9). When the program is attached. */
export function attachDevice(m: Machine): void {
  if (m.profile.dmaReference === 'odp') m.notifier = odpPage(m);
}

/**
 * The recipe of a driver, and of direct I/O that reads into the mapping: get the page for writing,
 * let the device store `value` to a word of it, mark it dirty, and let it go. A device that follows
 * the page tables just stores.
 */
export function* deviceWrite(task: Task, m: Machine, word: number, value: number): Op<void> {
  if (m.profile.dmaReference === 'odp') {
    yield* odpPage(m).store(task, word * 4, bytesOf(value));
    return;
  }
  const pfns = new Int32Array(1);
  const reference = m.profile.directIoReference;
  yield* holdPages(task, m, MM, 0, 1, FOLL.write, reference, pfns);
  yield* deviceStore(m, pfns, 1, word * 4, bytesOf(value));
  yield* dropPages(task, m, pfns, 1, reference, true, FOLL.write);
}

function odpPage(m: Machine): OdpPage {
  return new OdpPage(m, MM, 0, m.state.extra, m.geometry.extraWords - ODP_WORDS);
}

function bytesOf(value: number): Uint8Array {
  return new Uint8Array(new Int32Array([value]).buffer);
}

/** No space, or no such page: whoever asked for it is told so in time, and nothing is wrong. */
export function* unlessRefused(op: Op<void>): Op<void> {
  try {
    yield* op;
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
  }
}

/** The frame that holds page `index` of the file; 0 if none is cached. After a run. */
export function cachedPage(m: Machine, index = 0): number {
  return cacheLookup(m, FILE, index);
}

/** The machine's file system, which is a `kind`. */
export function fsOf<T extends FileSystem>(m: Machine, kind: new (...args: never[]) => T): T {
  const { fs } = m;
  if (fs instanceof kind) return fs;
  throw new InvariantError(`the file system is no ${kind.name}`);
}

/** A word of a page frame. After a run. */
export function frameWord(m: Machine, pfn: number, word: number): number {
  return read(m.frames.wordSegment(pfn), m.frames.wordOffset(pfn) + word);
}

/** A page that nobody will write any more must be on the disk as it is in memory. After a run. */
export function* cleanIsWritten(m: Machine, hazard: string): Generator<Finding> {
  const store = fsOf(m, PageStore);
  const pfn = cachedPage(m);
  const isDirty = (m.state.flags[pfn] & PG.dirty) !== 0 || (m.state.pte[0] & PTE.dirty) !== 0;
  if (pfn === 0 || isDirty) return;
  for (let word = 0; word < m.geometry.pageBytes >>> 2; word++) {
    const inMemory = frameWord(m, pfn, word);
    const onDisk = store.payloadWord(0, word);
    if (inMemory === onDisk) continue;
    yield {
      kind: 'lost-write',
      hazard,
      task: 'all',
      message: `word ${String(word)} of the clean page is ${String(inMemory)}, and ${String(onDisk)} on the disk`,
    };
  }
}

/** At rest nr_foll_pin_acquired equals nr_foll_pin_released. */
export function* pinsBalance(m: Machine, hazard: string): Generator<Finding> {
  const { acquired, released } = pinBalance(m);
  if (acquired === released) return;
  const message = `${String(acquired)} pins acquired, ${String(released)} released`;
  yield { kind: 'leak', hazard, task: 'all', message };
}
