// Files on persistent memory outside the lab: faults, pins, truncate, and the end of an inode.

import test from 'ava';
import { createMachine, type Machine } from '../../engine/machine.js';
import { GLOBAL } from '../../engine/memory/layout.js';
import { loadUser, storeUser } from '../../engine/mm/access.js';
import { initAllocator } from '../../engine/mm/alloc.js';
import { PIN_BIAS } from '../../engine/mm/folio.js';
import { FOLL, pinUserPagesFast, unpinUserPages } from '../../engine/mm/gup.js';
import { giveLease, takeLease } from '../../engine/mm/lease.js';
import { initNodes } from '../../engine/mm/pagecache.js';
import { PTE } from '../../engine/mm/pte.js';
import { createMm, mmap, munmap, pinBalance, VM } from '../../engine/mm/vma.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { AsyncDriver } from '../../engine/sched/async.js';
import { BlockingDriver } from '../../engine/sched/blocking.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { DaxStore, daxStoreWords } from '../../engine/tinyfs/dax-store.js';

const PAGE = 4096;
const PAGES = 4;
const STORE = { blocks: 1, files: 2, objects: 4 };
const F = 0;
const OTHER = 1;

/** A machine whose last frame is the media of a file system with one block. */
class Ground {
  readonly m: Machine;
  readonly fs: DaxStore;
  readonly task: Task;
  readonly mm: number;
  private readonly driver: BlockingDriver;

  constructor(profile: string) {
    const m = createMachine(
      {
        pageBytes: PAGE,
        pages: PAGES,
        cpus: 1,
        mms: 1,
        mmPages: 4,
        vmas: 2,
        inodes: STORE.files,
        nodes: 2,
        framesInState: false,
        extraWords: daxStoreWords(STORE),
      },
      profileByName(profile),
      [new SharedArrayBuffer(PAGES * PAGE)],
      true,
    );
    initAllocator(m);
    initNodes(m);
    this.m = m;
    this.fs = new DaxStore(m, STORE);
    m.fs = this.fs;
    this.fs.format();
    this.task = m.newTask('test');
    this.driver = new BlockingDriver(m.state.global);
    this.mm = createMm(m);
  }

  run<T>(op: Op<T>): T {
    return this.driver.run(this.task, op);
  }

  /** Maps a file, which the mapping alone refers to. */
  map(inode: number): number {
    this.m.state.iCount[inode]++;
    const flags = VM.read | VM.write | VM.shared;
    return this.run(
      mmap(this.task, this.m, this.mm, { pages: 1, flags, inode, pgoff: 0, vpn: -1 }),
    );
  }

  store(vpn: number, value: number): void {
    this.run(storeUser(this.task, this.m, this.mm, vpn, 0, Uint8Array.of(value)));
  }

  load(vpn: number): number {
    const data = new Uint8Array(1);
    this.run(loadUser(this.task, this.m, this.mm, vpn, 0, data));
    return data[0];
  }

  pin(vpn: number, flags: number): Int32Array {
    const pfns = new Int32Array(1);
    this.run(pinUserPagesFast(this.task, this.m, this.mm, vpn, 1, flags | FOLL.pin, pfns));
    return pfns;
  }

  unpin(pfns: Int32Array): void {
    this.run(unpinUserPages(this.task, this.m, pfns, 1, PIN_BIAS, true));
  }
}

for (const [profile, idle, mapped] of [
  ['linux-6.12', 1, 1],
  ['linux-6.15', 0, 1],
] as const) {
  test(`${profile}: a mapped page is the media itself, and its count says so`, (t) => {
    const g = new Ground(profile);
    const { state, mediaFirst } = g.m;
    t.is(state.global[GLOBAL.freeCount], PAGES - 1 - STORE.blocks, 'the allocator has no media');
    t.is(state.refcount[mediaFirst], idle);
    const vpn = g.map(F);
    t.is(g.load(vpn), 0);
    t.is(state.pte[vpn] & PTE.write, 0, 'a read fault maps it read-only');
    g.store(vpn, 42);
    t.is(g.m.frames.view(mediaFirst)[0], 42);
    t.is(state.refcount[mediaFirst], mapped);
    const pfns = g.pin(vpn, FOLL.write);
    t.deepEqual([...pfns], [mediaFirst]);
    t.is(state.refcount[mediaFirst], mapped + PIN_BIAS);
    g.unpin(pfns);
    t.is(g.run(munmap(g.task, g.m, g.mm, vpn)), F);
    t.is(state.refcount[mediaFirst], idle);
    t.deepEqual(pinBalance(g.m), { acquired: 1, released: 1 });
    t.is(g.m.findings().count, 0);
  });
}

test('fsync write-protects the mappings of a DAX file, and background writeback does nothing', (t) => {
  const g = new Ground('linux-6.12');
  const vpn = g.map(F);
  g.store(vpn, 1);
  const { pte } = g.m.state;
  t.is(g.run(g.fs.writepages(g.task, F, 'none', 0, 0)), 0);
  t.not(pte[vpn] & PTE.write, 0);
  t.is(g.run(g.fs.writepages(g.task, F, 'all', 0, 0)), 1);
  t.is(pte[vpn] & (PTE.write | PTE.dirty), 0);
  g.store(vpn, 2);
  t.is(g.run(g.fs.writepages(g.task, F, 'all', 0, 0)), 1);
  t.is(g.run(g.fs.writepages(g.task, F, 'all', 0, 0)), 0);
});

test('a store into a full file system is ENOSPC, and succeeds when there is room', (t) => {
  const g = new Ground('linux-6.15');
  g.run(g.fs.writeWord(g.task, OTHER, 7));
  const vpn = g.map(F);
  t.throws(
    () => {
      g.store(vpn, 1);
    },
    { code: 'ENOSPC' },
  );
  g.run(g.fs.truncate(g.task, OTHER));
  g.store(vpn, 1);
  t.is(g.load(vpn), 1);
});

test('a store past the end of a truncated DAX file is a SIGBUS', (t) => {
  for (const profile of ['linux-4.17', 'linux-6.12', 'linux-6.15']) {
    const g = new Ground(profile);
    const vpn = g.map(F);
    g.store(vpn, 1);
    g.run(g.fs.truncate(g.task, F));
    t.throws(() => g.load(vpn), { code: 'EIO' }, profile);
    t.is(g.m.findings().count, 0, profile);
  }
});

test('long-term pins of DAX pages are refused by name, or need a lease', (t) => {
  const flags = FOLL.write | FOLL.longterm;
  for (const profile of ['linux-4.17', 'linux-6.12', 'linux-6.15']) {
    const g = new Ground(profile);
    const vpn = g.map(F);
    g.store(vpn, 1);
    const message = new RegExp(`refused by ${profile}`);
    t.throws(() => g.pin(vpn, flags), { code: 'EOPNOTSUPP', message }, profile);
    t.throws(() => g.pin(vpn, FOLL.longterm), { code: 'EOPNOTSUPP' }, 'for reading as well');
  }
  const g = new Ground('linux-6.12+P21-layout-lease');
  const vpn = g.map(F);
  t.throws(() => g.pin(vpn, flags), { code: 'EOPNOTSUPP', message: /lease/ });
  g.run(takeLease(g.m, F, g.mm));
  g.unpin(g.pin(vpn, flags));
  g.run(giveLease(g.m, F, g.mm));
  const old = new Ground('linux-4.11');
  const there = old.map(F);
  old.unpin(old.pin(there, flags));
});

test('truncate waits for a pin, and ends when that is given back', async (t) => {
  for (const profile of ['linux-6.12', 'linux-6.15']) {
    const g = new Ground(profile);
    const vpn = g.map(F);
    const pfns = g.pin(vpn, FOLL.write);
    const driver = new AsyncDriver(g.m.state.global);
    const cutter = g.m.newTask('truncate');
    let cut = false;
    const cutting = driver.run(cutter, g.fs.truncate(cutter, F)).then(() => {
      cut = true;
    });
    t.is(g.m.state.pte[vpn], 0, 'unmapped first');
    t.is(g.fs.blockOf(F), 0);
    t.false(cut);
    g.unpin(pfns);
    await cutting;
    t.is(g.fs.blockOf(F), -1);
    driver.close();
  }
});

test('an unlinked inode gives its block back with its last reference; another one stays in the cache', (t) => {
  const g = new Ground('linux-6.12');
  const vpn = g.map(F);
  g.store(vpn, 1);
  g.run(munmap(g.task, g.m, g.mm, vpn));
  g.run(g.fs.inodes.iput(g.task, F));
  t.is(g.fs.blockOf(F), 0);
  t.true(g.run(g.fs.reclaim(g.task)));
  t.false(g.run(g.fs.reclaim(g.task)), 'only once');
  t.is(g.fs.blockOf(F), 0, 'evicted, but not deleted');
  g.run(g.fs.inodes.iget(g.task, F));
  g.m.state.iNlink[F] = 0;
  g.run(g.fs.inodes.iput(g.task, F));
  t.is(g.fs.blockOf(F), -1);
  t.false(g.run(g.fs.inodes.igrab(g.task, F)), 'gone');
});

test('an unmount that finds an inode in use complains of it by number', (t) => {
  const g = new Ground('linux-6.12');
  g.run(g.fs.inodes.iget(g.task, OTHER));
  t.is(g.run(g.fs.unmount(g.task)), 1);
  t.regex(g.m.findings().kept[0].message, /busy inodes after unmount: inode 2/);
});
