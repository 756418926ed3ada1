// The stage of the hazards about one pinned page: a file of one page, mapped shared and stored to by
// a CPU, and the oracle that compares what the file holds with what its writers wrote.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import type { Geometry } from '../../engine/memory/layout.js';
import { storeUser } from '../../engine/mm/access.js';
import { storeWords } from '../../engine/mm/content.js';
import { PG } from '../../engine/mm/folio.js';
import { cacheLookup } from '../../engine/mm/pagecache.js';
import { PTE } from '../../engine/mm/pte.js';
import { createMm, mmap, VM } from '../../engine/mm/vma.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { PageStore, pageStoreWords } from '../../engine/tinyfs/page-store.js';

export const FILE = 0;
export const MM = 0;
export const VPN = 0;

/** The frame of the file's page: the first that set-up takes. */
export const PFN = 1;

/** What the CPU stored before the hazard begins, and what the device stores: in every word. */
const BEFORE = 1;
export const BY_DEVICE = 2;

/** Words of `extra` that the file takes; a hazard's own follow. */
export function stageWords(pageBytes: number): number {
  return pageStoreWords(1, pageBytes);
}

/** A machine with one file of one page, one mapping and one CPU. */
export function stageGeometry(pageBytes: number, ownWords: number): Geometry {
  return {
    pageBytes,
    pages: 4,
    cpus: 1,
    mms: 1,
    mmPages: 1,
    vmas: 1,
    inodes: 1,
    nodes: 2,
    framesInState: pageBytes < 4096,
    extraWords: stageWords(pageBytes) + ownWords,
  };
}

/** Mounts a file system without checksums, for hazards that are not about torn writes. */
export function attachPlain(m: Machine): void {
  m.fs = new PageStore(m, FILE, 1, null);
}

/** Mounts a file system with checksums. */
export function attachChecksummed(m: Machine, hazard: string): void {
  m.fs = new PageStore(m, FILE, 1, (task, index) => {
    m.report({
      kind: 'torn-write',
      hazard,
      task: task.name,
      message: `page ${String(index)}: payload on the disk differs from the checksum sampled for it`,
    });
  });
}

/** Maps the file and stores to it: its page is dirty, and its PTE writable. */
export function* mapAndStore(task: Task, m: Machine): Op<void> {
  const { pageBytes } = m.geometry;
  m.state.ino[FILE] = 1;
  m.state.iSize[FILE] = BigInt(pageBytes);
  createMm(m);
  yield* mmap(task, m, MM, {
    pages: 1,
    flags: VM.read | VM.write | VM.shared,
    inode: FILE,
    pgoff: 0,
    vpn: VPN,
  });
  const words = new Int32Array(pageBytes >>> 2).fill(BEFORE);
  yield* storeUser(task, m, MM, VPN, 0, new Uint8Array(words.buffer));
}

/** A device fills a page that it was given: each word is a store of its own. */
export function* fillPage(m: Machine, pfn: number, value: number): Op<void> {
  const data = new Int32Array(m.geometry.pageBytes >>> 2).fill(value);
  yield* storeWords(m.frames.wordSegment(pfn), m.frames.wordOffset(pfn), data);
}

/** fsync, sync or the flusher: writes what is dirty of the file. */
export function* writeFile(task: Task, m: Machine, mode: 'none' | 'all'): Op<void> {
  yield* m.fs.writepages(task, FILE, mode, 0, 0);
}

/**
 * Long before the hazard begins the flusher has written the pinned page; unless the rules make it wait
 * for the pin: then the page is dirty still.
 */
export function* writtenOnce(task: Task, m: Machine): Op<void> {
  const { pinnedSyncNone, shortPinHolds } = m.profile;
  if (pinnedSyncNone !== 'wait' && shortPinHolds === 'nothing') yield* writeFile(task, m, 'none');
}

/**
 * Is a word of the file lost? What counts is the page while a writeback is still to come for it,
 * and else the disk. A dirty page without buffers is left to the writeback that trips over it; and a
 * private copy, if the process maps one, is what fsync will write.
 */
export function lostWord(m: Machine, word: number, wrote: number): string | null {
  const { flags, pte } = m.state;
  const copy = pte[VPN] >>> PTE.pfnShift;
  if ((flags[copy] & PG.anon) !== 0) return differs(frameWord(m, copy, word), wrote, word);
  const pfn = cacheLookup(m, FILE, 0);
  const state = pfn === 0 ? 0 : flags[pfn];
  if ((state & PG.dirty) === 0) return differs(diskWord(m, word), wrote, word);
  if ((state & PG.private) === 0) return null;
  return differs(frameWord(m, pfn, word), wrote, word);
}

function differs(found: number, wrote: number, word: number): string | null {
  if (found === wrote) return null;
  return `word ${String(word)} of the file stays ${String(found)}, where ${String(wrote)} was written last`;
}

function frameWord(m: Machine, pfn: number, word: number): number {
  return m.frames.wordSegment(pfn)[m.frames.wordOffset(pfn) + word];
}

/** A word of the file's block on the disk: after its checksum in `extra`. */
function diskWord(m: Machine, word: number): number {
  return m.state.extra[1 + word];
}

/**
 * With the power gone now: does the disk have what was promised to be on it, in every word?
 * @param promise the word of `extra` that has the promised value; 0 if there was no promise
 */
export function brokenPromise(m: Machine, hazard: string, who: string, promise: number): Finding[] {
  const promised = m.state.extra[promise];
  const words = m.geometry.pageBytes >>> 2;
  for (let word = 0; promised !== 0 && word < words; word++) {
    const found = diskWord(m, word);
    if (found === promised) continue;
    const message = `${who} answered that ${String(promised)} is on the disk, which has ${String(found)} when the power goes`;
    return lostWrite(hazard, who, message);
  }
  return [];
}

/** A finding of a lost write, or none. */
export function lostWrite(hazard: string, writer: string, message: string | null): Finding[] {
  return message === null ? [] : [{ kind: 'lost-write', hazard, task: writer, message }];
}
