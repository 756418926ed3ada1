// What the hazards of inline data have in common: a machine with a tiny ext4 and small files in it.

import type { Finding } from '../../engine/finding.js';
import type { Machine } from '../../engine/machine.js';
import type { Geometry } from '../../engine/memory/layout.js';
import { loadLong } from '../../engine/memory/long.js';
import { storeUser } from '../../engine/mm/access.js';
import { putFolio } from '../../engine/mm/alloc.js';
import { readFolio } from '../../engine/mm/filemap.js';
import { PG, unlockFolio } from '../../engine/mm/folio.js';
import { cacheLookup } from '../../engine/mm/pagecache.js';
import { createMm, type MapRequest, mmap, VM } from '../../engine/mm/vma.js';
import type { Profile } from '../../engine/profile/profile.js';
import { Errno, type ErrnoCode, InvariantError } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
import {
  type InlineOptions,
  inlineStoreWords,
  inlineWords,
} from '../../engine/tinyfs/inline-disk.js';
import { InlineStore } from '../../engine/tinyfs/inline-store.js';
import { writeInline } from '../../engine/tinyfs/inline-write.js';

/** The file that it is all about, and the address space of all actors. */
export const FILE = 0;
export const MM = 0;

/** Where the file is mapped, and where the anonymous buffer of write(2) is. */
export const FILE_VPN = 0;
export const BUFFER_VPN = 1;

/** What is in the file at first, what a store through the mapping puts there, and what write(2) does. */
export const OLD = 1;
export const MAPPED = 2;
export const WRITTEN = 3;

/** Why a hazard of inline data cannot be posed. */
export function withoutInlineData(profile: Profile): string | null {
  return profile.hasInlineData ? null : 'files have no inline data yet';
}

/** A machine for files of one page each, with what a hazard needs more of. */
export function inlineGeometry(
  pageBytes: number,
  more: Partial<Geometry> & { readonly files?: number } = {},
): Geometry {
  const { files = 1, ...rest } = more;
  return {
    pageBytes,
    pages: 3,
    cpus: 1,
    mms: 1,
    mmPages: 2,
    vmas: 2,
    inodes: files,
    nodes: 1 + files,
    framesInState: pageBytes < 4096,
    extraWords: inlineStoreWords(files, pageBytes),
    ...rest,
  };
}

/** Mounts the tiny file system. */
export function attachInline(m: Machine, options: Partial<InlineOptions> = {}): void {
  m.fs = new InlineStore(m, { files: 1, freeBlocks: 1, ...options });
}

/** The machine's file system. */
export function fsOf(m: Machine): InlineStore {
  if (m.fs instanceof InlineStore) return m.fs;
  throw new InvariantError('the hazards of inline data need their own file system');
}

/** A small file, in its inode or in a block, in the page cache, clean; somebody has it open. */
export function* makeFile(
  task: Task,
  m: Machine,
  inode = FILE,
  where: 'inode' | 'block' = 'inode',
): Op<void> {
  const words = inlineWords(m.geometry.pageBytes);
  fsOf(m).disk.format(inode, new Int32Array(words).fill(OLD), where === 'inode');
  m.state.ino[inode] = inode + 1;
  m.state.iCount[inode] = 1;
  m.state.iSize[inode] = BigInt(words * 4);
  const pfn = yield* readFolio(task, m, inode, 0);
  unlockFolio(task, m, pfn);
  yield* putFolio(task, m, pfn);
}

/** A first address space. */
export function makeMm(m: Machine): void {
  createMm(m);
}

/** How a file is mapped: shared, and for writing. */
export function sharedMapping(inode = FILE, vpn = FILE_VPN): MapRequest {
  return { pages: 1, flags: VM.read | VM.write | VM.shared, inode, pgoff: 0, vpn };
}

/** mmap(2) of the file, which the mapping keeps open. @throws Errno */
export function* mapFile(task: Task, m: Machine): Op<void> {
  const fs = fsOf(m);
  yield* fs.grabInode(task, FILE);
  yield* fs.mmapFile(task, MM, sharedMapping());
}

/** Anonymous memory, not present yet: as the buffer of write(2), unless it is said where. */
export function* mapAnonymous(task: Task, m: Machine, vpn = BUFFER_VPN): Op<void> {
  yield* mmap(task, m, MM, { pages: 1, flags: VM.read | VM.write, inode: -1, pgoff: 0, vpn });
}

/** A CPU's store to the first word of the mapped file. @throws Errno */
export function* storeMapped(task: Task, m: Machine, vpn = FILE_VPN): Op<void> {
  yield* storeUser(task, m, MM, vpn, 0, new Uint8Array(new Int32Array([MAPPED]).buffer));
}

/** write(2) of one word, from a buffer that is present or not. @throws Errno */
export function* writeWord(
  task: Task,
  m: Machine,
  word: number,
  isPresent: boolean,
  coldInode = -1,
): Op<void> {
  yield* writeInline(task, m, fsOf(m), {
    inode: FILE,
    word,
    data: new Int32Array([WRITTEN]),
    buffer: isPresent ? null : { mm: MM, vpn: BUFFER_VPN },
    coldInode,
  });
}

/** Runs `op`; these errors are what a program has to expect of it. */
export function* expecting(codes: readonly ErrnoCode[], op: Op<void>): Op<void> {
  try {
    yield* op;
  } catch (error) {
    if (!(error instanceof Errno) || !codes.includes(error.code)) throw error;
  }
}

/**
 * At rest each word of the file is on the disk, or in a page that is marked dirty. A dirty PTE alone
 * is not enough: no fsync looks for it.
 */
export function lostWords(m: Machine, hazard: string): Finding[] {
  const pfn = cacheLookup(m, FILE, 0);
  if (pfn === 0 || (m.state.flags[pfn] & PG.dirty) !== 0) return [];
  const at = m.frames.wordOffset(pfn);
  const findings: Finding[] = [];
  for (let word = 0; word * 4 < loadLong(m.state.iSize, FILE); word++) {
    const inMemory = m.frames.wordSegment(pfn)[at + word];
    const onDisk = fsOf(m).disk.wordOnDisk(FILE, word);
    if (inMemory === onDisk) continue;
    findings.push({
      kind: 'lost-write',
      hazard,
      task: 'all',
      message:
        `word ${String(word)} is ${String(inMemory)} in a page that is not marked dirty, but ` +
        `${String(onDisk)} on the disk: no fsync would write it`,
    });
  }
  return findings;
}
