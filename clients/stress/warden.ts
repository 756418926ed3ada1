// The warden: what is done while no CPU and no device runs. It formats the volume, mounts it, makes
// the files, judges what is on the disk, unmounts, and looks for what was left behind.

import type { Disk } from '../../engine/block/disk.js';
import { type FsckReport, fsck } from '../../engine/fs/fsck.js';
import { iget, iput } from '../../engine/fs/inode.js';
import { ROOT_INO, type Superblock } from '../../engine/fs/layout.js';
import { mkfs } from '../../engine/fs/mkfs.js';
import { create, lookup } from '../../engine/fs/names.js';
import { punchHole, truncate } from '../../engine/fs/truncate.js';
import { Volume, type VolumeShared } from '../../engine/fs/volume.js';
import { Machine, type MachineShared } from '../../engine/machine.js';
import { GLOBAL } from '../../engine/memory/layout.js';
import { pinBalance } from '../../engine/mm/vma.js';
import { BlockingDriver } from '../../engine/sched/blocking.js';
import { Errno, KernelBug } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { joinDoorbells } from '../../engine/sched/wait.js';
import { JOURNAL_BLOCKS } from './limits.js';
import type { FilePlan, Plan } from './plan.js';
import { PAGE_BYTES } from './stamp.js';
import { Tables, type TablesShared } from './tables.js';
import { type Counted, Verifier, type VerifyMode } from './verify.js';

interface Common {
  readonly kind: 'warden';
  readonly bells: Int32Array;
}

interface OnDisk extends Common {
  readonly fd: number;
  readonly sizeBytes: number;
}

interface OnMachine extends Common {
  readonly machine: MachineShared;
  readonly volume: VolumeShared;
  readonly tables: TablesShared;
}

/** Writes an empty volume. */
export interface FormatTask extends OnDisk {
  readonly what: 'format';
  readonly seed: number;
}

/** Checks the volume offline. */
export interface FsckTask extends OnDisk {
  readonly what: 'fsck';
}

/** Mounts, judges what is there unless it is new, and makes all files whole. */
export interface BeginTask extends OnMachine {
  readonly what: 'begin';
  readonly verify: VerifyMode | null;
}

/** Unmounts. */
export interface EndTask extends OnMachine {
  readonly what: 'end';
  readonly inodes: readonly number[];
}

export type WardenShared = FormatTask | FsckTask | BeginTask | EndTask;

export interface Begun {
  /** Inode slot and number of each file. */
  readonly inodes: number[];
  readonly inos: number[];
  readonly cells: number;
  readonly findings: Counted[];
  readonly replayed: number;
}

export interface Ended {
  readonly findings: Counted[];
}

/** What each of its tasks comes to; null if the machine panicked meanwhile. */
export type WardenResult = Superblock | FsckReport | Begun | Ended | null;

export function runWarden(shared: WardenShared): WardenResult {
  joinDoorbells(shared.bells);
  switch (shared.what) {
    case 'format':
      return mkfs(diskOf(shared), {
        journal: true,
        checksums: true,
        journalBlocks: JOURNAL_BLOCKS,
        seed: shared.seed,
      });
    case 'fsck':
      return fsck(diskOf(shared), { repair: false });
    case 'begin':
      return onMachine(shared, (task, v) => begin(task, v, shared));
    case 'end':
      return onMachine(shared, (task, v) => end(task, v, shared));
  }
}

function diskOf({ fd, sizeBytes }: OnDisk): Disk {
  return { fd, sizeBytes, name: 'the backing file', close: () => undefined };
}

function onMachine<T>(shared: OnMachine, work: (task: Task, v: Volume) => Op<T>): T | null {
  const m = new Machine(shared.machine);
  const v = new Volume(m, shared.volume);
  const task = m.newTask('warden', m.geometry.cpus - 1);
  try {
    const { panic } = GLOBAL;
    return new BlockingDriver(m.state.global.subarray(panic, panic + 1)).run(task, work(task, v));
  } catch (error) {
    if (error instanceof KernelBug) m.oops(task, error);
    else if (!(error instanceof Errno && m.panicked)) throw error;
    return null;
  }
}

function* begin(task: Task, v: Volume, shared: BeginTask): Op<Begun> {
  const tables = new Tables(shared.tables);
  const { plan } = tables;
  const recovery = yield* v.mount(task);
  const root = yield* iget(task, v, ROOT_INO);
  const verifier = shared.verify === null ? null : new Verifier(v, tables, shared.verify);
  const inodes: number[] = [];
  for (const file of plan.files) {
    const inode = yield* openFile(task, v, root, file, verifier === null);
    if (verifier !== null) yield* verifier.file(task, file, inode);
    inodes.push(inode >= 0 ? inode : yield* openFile(task, v, root, file, true));
  }
  yield* iput(task, v, root);
  verifier?.reseed();
  yield* makeWhole(task, v, plan, inodes, verifier?.spoiled ?? new Set());
  yield* v.sync(task);
  return {
    inodes,
    inos: inodes.map((inode) => v.m.state.ino[inode]),
    cells: verifier?.cells ?? 0,
    findings: verifier?.findings ?? [],
    replayed: recovery.transactions,
  };
}

/** The slot of a file, with a reference; -1 if it is not there and is not to be made. */
function* openFile(task: Task, v: Volume, root: number, file: FilePlan, make: boolean): Op<number> {
  try {
    return yield* lookup(task, v, root, file.name);
  } catch (error) {
    if (!(error instanceof Errno) || error.code !== 'ENOENT') throw error;
  }
  return make ? yield* create(task, v, root, file.name, 0o644) : -1;
}

/** Every file has its size, and pages that nobody can vouch for are holes. */
function* makeWhole(
  task: Task,
  v: Volume,
  plan: Plan,
  inodes: readonly number[],
  spoiled: ReadonlySet<number>,
): Op<void> {
  for (const file of plan.files) {
    const inode = inodes[file.number];
    yield* truncate(task, v, inode, file.pages * PAGE_BYTES);
    for (let page = 0; page < file.pages; page++) {
      if (!spoiled.has(file.firstPage + page)) continue;
      yield* punchHole(task, v, inode, page * PAGE_BYTES, PAGE_BYTES);
    }
  }
}

function* end(task: Task, v: Volume, shared: EndTask): Op<Ended> {
  const { m } = v;
  for (const inode of shared.inodes) yield* iput(task, v, inode);
  yield* v.unmount(task);
  const leaks: string[] = [];
  const { acquired, released } = pinBalance(m);
  if (acquired !== released) leaks.push(`${acquired} pins acquired, ${released} released`);
  const free = Atomics.load(m.state.global, GLOBAL.freeCount);
  const frames = m.geometry.pages - 1;
  if (free !== frames) leaks.push(`${frames - free} of ${frames} frames are still in use`);
  const dirty = Atomics.load(m.state.global, GLOBAL.nrDirty);
  if (dirty !== 0) leaks.push(`nr_dirty is ${dirty}`);
  const writeback = Atomics.load(m.state.global, GLOBAL.nrWriteback);
  if (writeback !== 0) leaks.push(`nr_writeback is ${writeback}`);
  const findings = leaks.map((leak) => ({
    finding: {
      kind: 'leak' as const,
      hazard: null,
      task: task.name,
      message: `at rest, after unmount: ${leak}`,
    },
    count: 1,
  }));
  return { findings };
}
