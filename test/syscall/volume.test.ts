// Processes on a whole machine: a volume on a disk, kblockd, the flusher and kswapd in threads of
// their own, and files larger than memory. At the end the volume is sound and holds what was written.

import test, { type ExecutionContext } from 'ava';
import { type Disk, memoryDisk } from '../../engine/block/disk.js';
import { RunningMachine } from '../../engine/boot.js';
import { rdmaWrite } from '../../engine/dma/rdma.js';
import { VolumeFiles } from '../../engine/fs/files.js';
import { fsck } from '../../engine/fs/fsck.js';
import { type MkfsOptions, mkfs } from '../../engine/fs/mkfs.js';
import { pinBalance } from '../../engine/mm/vma.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { BlockingDriver } from '../../engine/sched/blocking.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { O } from '../../engine/syscall/file-table.js';
import { Process } from '../../engine/syscall/process.js';

const PAGE = 4096;
const MEMORY_PAGES = 512;
const FILE_PAGES = 2048;
const SHARED = { read: true, write: true, shared: true, offsetBytes: 0, address: null } as const;
const RW = O.rdwr | O.creat;

const CASES: readonly (readonly [string, MkfsOptions])[] = [
  ['linux-6.12', {}],
  ['linux-6.12', { journal: false }],
  ['best-known', { checksums: true }],
  ['best-known', { cow: true, inlineData: true }],
  ['linux-6.12+P7-bounce', { checksums: true }],
  ['linux-6.12+P3-skip', {}],
];

class Life {
  readonly task: Task;
  private readonly driver: BlockingDriver;

  constructor(readonly machine: RunningMachine) {
    this.task = machine.m.newTask('test');
    this.driver = new BlockingDriver(machine.m.state.global);
  }

  run<T>(op: Op<T>): T {
    return this.driver.run(this.task, op);
  }
}

async function boot(t: ExecutionContext, disk: Disk, profile: string): Promise<Life> {
  const machine = new RunningMachine({
    disk,
    profile: profileByName(profile),
    sizes: {
      memoryBytes: MEMORY_PAGES * PAGE,
      cpus: 2,
      mms: 4,
      mmPages: 8192,
      vmas: 16,
      inodes: 32,
    },
    lockdep: true,
  });
  await machine.startDisk();
  const life = new Life(machine);
  life.run(machine.mount(life.task));
  await machine.startKernel();
  t.teardown(() => machine.stop());
  return life;
}

for (const [profile, options] of CASES) {
  const mkfsName = Object.keys(options).join(', ') || 'defaults';
  test.serial(`${profile}, ${mkfsName}: files larger than memory, by all ways in`, async (t) => {
    const disk = memoryDisk(64 * 2 ** 20);
    mkfs(disk, options);
    const life = await boot(t, disk, profile);
    const { task, machine } = life;
    const { m } = machine;
    const p = new Process(m, new VolumeFiles(machine.v));
    const word = new Int32Array(2);
    const bytes = new Uint8Array(word.buffer);

    // Through a mapping, twice the same page with a flush in between.
    const mapped = life.run(p.open(task, '/mapped', RW));
    life.run(p.ftruncate(task, mapped, FILE_PAGES * PAGE));
    const at = life.run(p.mmap(task, { ...SHARED, fd: mapped, lengthBytes: FILE_PAGES * PAGE }));
    for (let round = 1; round <= 2; round++) {
      for (let i = 0; i < FILE_PAGES; i++) {
        word[0] = i;
        word[1] = round;
        life.run(p.store(task, at + i * PAGE + 8, bytes));
      }
    }
    // Through write(2).
    const written = life.run(p.open(task, '/written', RW));
    const page = new Uint8Array(PAGE);
    for (let i = 0; i < FILE_PAGES; i++) life.run(p.write(task, written, page.fill(i & 0xff)));
    // Direct I/O of one file into the mapping of another, and a registration of it.
    t.is(life.run(p.directRead(task, written, at, 300 * PAGE, 100 * PAGE)), 300 * PAGE);
    const registers = profile === 'best-known';
    if (registers) life.run(p.takeLayoutLease(mapped));
    if (registers) {
      const mr = life.run(p.register(task, at + 1000 * PAGE, 16));
      for (let i = 0; i < 16; i++) {
        life.run(rdmaWrite(m, mr, i, 100, Uint8Array.of(200 + i)));
        if (i === 8) life.run(p.fsync(task, mapped));
      }
      life.run(p.deregister(task, mr));
    }
    if (registers) life.run(p.giveLayoutLease(mapped));
    life.run(p.punchHole(task, mapped, 1500 * PAGE, 10 * PAGE));

    const check = (q: Process, fd: number, other: number, t0: Task): void => {
      const back = new Uint8Array(PAGE);
      for (let i = 0; i < FILE_PAGES; i++) {
        life2.run(q.pread(t0, fd, back, i * PAGE));
        if (i < 300) {
          t.is(back[77], (100 + i) & 0xff, `direct I/O, page ${String(i)}`);
        } else if (i >= 1500 && i < 1510) {
          t.is(back[8], 0);
        } else {
          const seen = new Int32Array(back.slice(8, 16).buffer);
          t.deepEqual([...seen], [i, 2], `mapped page ${String(i)}`);
        }
        if (i >= 1000 && i < 1016 && registers) t.is(back[100], 200 + i - 1000);
        life2.run(q.pread(t0, other, back, i * PAGE));
        t.is(back[5], i & 0xff, `written page ${String(i)}`);
      }
    };
    let life2 = life;
    check(p, mapped, written, task);
    t.deepEqual(life.run(p.exit(task)).registeredPages, 0);
    t.deepEqual(m.findings().kept, []);
    const pins = pinBalance(m);
    t.is(pins.acquired, pins.released);
    await machine.stopKernel();
    life.run(machine.v.unmount(task));
    await machine.stop();

    const report = fsck(disk, { repair: false });
    t.deepEqual(report.damages, []);

    life2 = await boot(t, disk, profile);
    const q = new Process(life2.machine.m, new VolumeFiles(life2.machine.v));
    const fd = life2.run(q.open(life2.task, '/mapped', O.rdonly));
    const other = life2.run(q.open(life2.task, '/written', O.rdonly));
    check(q, fd, other, life2.task);
    life2.run(q.exit(life2.task));
    await life2.machine.stopKernel();
    life2.run(life2.machine.v.unmount(life2.task));
    await life2.machine.stop();
    disk.close();
  });
}

test.serial('W3: fsync and sync bring what a registration received into the file', async (t) => {
  const disk = memoryDisk(16 * 2 ** 20);
  mkfs(disk, { checksums: true, inlineData: true });
  const life = await boot(t, disk, 'linux-6.12+W3-copy-on-fsync');
  const { task, machine } = life;
  const p = new Process(machine.m, new VolumeFiles(machine.v));
  const fd = life.run(p.open(task, '/received', RW));
  life.run(p.ftruncate(task, fd, 2 * PAGE));
  const at = life.run(p.mmap(task, { ...SHARED, fd, lengthBytes: 2 * PAGE }));
  const mr = life.run(p.register(task, at, 2));
  const page = new Uint8Array(PAGE);
  const inFile = (index: number): number => {
    life.run(p.pread(task, fd, page, index * PAGE));
    return page[9];
  };
  life.run(rdmaWrite(machine.m, mr, 0, 9, Uint8Array.of(1)));
  t.is(inFile(0), 0);
  life.run(p.fsync(task, fd));
  t.is(inFile(0), 1);
  life.run(rdmaWrite(machine.m, mr, 1, 9, Uint8Array.of(2)));
  life.run(machine.v.sync(task));
  t.deepEqual([inFile(0), inFile(1)], [1, 2]);
  life.run(p.exit(task));
  t.deepEqual(machine.m.findings().kept, []);
  await machine.stopKernel();
  life.run(machine.v.unmount(task));
  await machine.stop();
  t.deepEqual(fsck(disk, { repair: false }).damages, []);
  disk.close();
});
