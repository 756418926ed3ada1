// A machine with a memory file system, one process and one file, driven on this thread: the ground
// that tests of mm, dma and syscall stand on.

import type { ExecutionContext } from 'ava';
import { createMachine, type Machine } from '../../engine/machine.js';
import { type Geometry, GLOBAL } from '../../engine/memory/layout.js';
import { storeLong } from '../../engine/memory/long.js';
import { loadUser, storeUser } from '../../engine/mm/access.js';
import { initAllocator } from '../../engine/mm/alloc.js';
import { FREE } from '../../engine/mm/folio.js';
import { initNodes } from '../../engine/mm/pagecache.js';
import { truncatePages, unmapRange } from '../../engine/mm/truncate.js';
import { createMm, mmap, munmap, pinBalance, VM } from '../../engine/mm/vma.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { BlockingDriver } from '../../engine/sched/blocking.js';
import { downWrite, upWrite } from '../../engine/sched/lock.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { MemoryFs, type MemoryStore, memoryStore } from './memory-fs.js';

export const PAGE = 4096;

/** What a machine of these tests is made of, where it differs from the small default. */
export interface RigOptions extends Partial<Geometry> {
  readonly profile?: string;
  readonly filePages?: number;
}

export class Rig {
  readonly driver: BlockingDriver;
  readonly task: Task;
  readonly fs: MemoryFs;
  readonly mm: number;

  constructor(
    readonly m: Machine,
    readonly store: MemoryStore,
    task: Task = m.newTask('test'),
  ) {
    this.driver = new BlockingDriver(m.state.global);
    this.task = task;
    this.fs = new MemoryFs(m, store);
    m.fs = this.fs;
    this.mm = createMm(m);
  }

  run<T>(op: Op<T>): T {
    return this.driver.run(this.task, op);
  }

  /** Opens a file of so many pages in an inode slot. */
  file(inode: number, pages: number): number {
    this.m.state.ino[inode] = inode + 10;
    this.m.state.iCount[inode] = 1;
    storeLong(this.m.state.iSize, inode, pages * PAGE);
    return inode;
  }

  map(inode: number, pages: number, flags: number = VM.read | VM.write | VM.shared): number {
    const request = { pages, flags, inode, pgoff: 0, vpn: -1 };
    return this.run(mmap(this.task, this.m, this.mm, request));
  }

  store32(vpn: number, value: number): void {
    const data = new Uint8Array(Int32Array.of(value).buffer);
    this.run(storeUser(this.task, this.m, this.mm, vpn, 0, data));
  }

  load32(vpn: number): number {
    const target = new Uint8Array(4);
    this.run(loadUser(this.task, this.m, this.mm, vpn, 0, target));
    return new Int32Array(target.buffer)[0];
  }

  /** The pfn that a page is mapped to, or 0. */
  pfnAt(vpn: number): number {
    return this.m.state.pte[this.mm * this.m.geometry.mmPages + vpn] >>> 8;
  }

  unmap(vpn: number): void {
    this.run(munmap(this.task, this.m, this.mm, vpn));
  }

  /** Truncates a file to whole pages, as a file system does: locks, size, unmap, pages, unmap. */
  truncate(inode: number, pages: number): void {
    this.run(truncateFile(this.task, this.m, inode, pages));
  }

  fsync(inode: number): void {
    this.run(this.fs.writepages(this.task, inode, 'all', 0, 2 ** 30 - 1));
  }

  get free(): number {
    return this.m.state.global[GLOBAL.freeCount];
  }
}

export function* truncateFile(task: Task, m: Machine, inode: number, pages: number): Op<void> {
  yield* downWrite(task, m.iRwsem, inode);
  yield* downWrite(task, m.invalidateLock, inode);
  storeLong(m.state.iSize, inode, pages * PAGE);
  yield* unmapRange(task, m, inode, pages, 2 ** 30 - 1);
  yield* truncatePages(task, m, inode, pages, 2 ** 30 - 1);
  yield* unmapRange(task, m, inode, pages, 2 ** 30 - 1);
  upWrite(task, m.invalidateLock, inode);
  upWrite(task, m.iRwsem, inode);
}

export function rig(options: RigOptions = {}): Rig {
  const geometry: Geometry = {
    pageBytes: PAGE,
    pages: 64,
    cpus: 4,
    mms: 4,
    mmPages: 2048,
    vmas: 16,
    inodes: 4,
    nodes: 32,
    framesInState: false,
    extraWords: 0,
    ...options,
  };
  const frames = new SharedArrayBuffer(geometry.pages * PAGE);
  const profile = profileByName(options.profile ?? 'linux-6.12');
  const m = createMachine(geometry, profile, [frames], true);
  initAllocator(m);
  initNodes(m);
  return new Rig(m, memoryStore(geometry.inodes, options.filePages ?? 256, PAGE));
}

/** All at rest: every frame free again, no dirty or written page on the account, pins in balance. */
export function assertAtRest(t: ExecutionContext, m: Machine): void {
  const { global, refcount, nrPages } = m.state;
  const pins = pinBalance(m);
  t.is(pins.acquired, pins.released, 'pins are out of balance');
  t.is(global[GLOBAL.nrDirty], 0, 'nr_dirty');
  t.is(global[GLOBAL.nrWriteback], 0, 'nr_writeback');
  t.is(global[GLOBAL.nrFilePages], 0, 'nr_file_pages');
  t.is(
    nrPages.reduce((sum, n) => sum + n, 0),
    0,
    'pages are cached',
  );
  t.is(global[GLOBAL.freeCount], m.geometry.pages - 1, 'page frames leaked');
  t.is(global[GLOBAL.nodeFreeCount], m.geometry.nodes, 'tree nodes leaked');
  const odd = [...refcount.keys()].filter((pfn) => pfn > 0 && refcount[pfn] !== FREE);
  t.deepEqual(odd, [], 'frames with references left');
}
