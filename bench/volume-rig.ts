// A booted machine for benches: a volume on a temporary backing file, one file on it mapped into one
// address space, and a driver on this thread.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Disk, openDisk } from '../engine/block/disk.js';
import { RunningMachine } from '../engine/boot.js';
import { fsync } from '../engine/fs/file.js';
import { iget, iput } from '../engine/fs/inode.js';
import { mkfs } from '../engine/fs/mkfs.js';
import { create } from '../engine/fs/names.js';
import { truncate } from '../engine/fs/truncate.js';
import type { Machine } from '../engine/machine.js';
import { storeUser } from '../engine/mm/access.js';
import { createMm, mmap, munmap, VM } from '../engine/mm/vma.js';
import type { Profile } from '../engine/profile/profile.js';
import { profileByName } from '../engine/profile/profiles.js';
import { BlockingDriver } from '../engine/sched/blocking.js';
import type { Op, Task } from '../engine/sched/op.js';
import { GIB, MIB, PAGE_BYTES, release } from './rig.js';

const ROOT_INO = 1;

/** Pages of one run of neighbours: a batch of writeback. */
export const RUN_PAGES = 256;

export interface VolumeRigOptions {
  /** Length of the file. */
  readonly fileBytes: number;
  readonly profile?: Profile;
  readonly checksums?: boolean;
  /** Start the flusher and kswapd too. */
  readonly kernelThreads?: boolean;
}

export class VolumeRig {
  readonly m: Machine;
  readonly driver: BlockingDriver;
  readonly task: Task;
  readonly mm: number;
  readonly inode: number;
  readonly pages: number;
  readonly vpn: number;

  private constructor(
    readonly folder: string,
    readonly disk: Disk,
    readonly running: RunningMachine,
    fileBytes: number,
  ) {
    const { m, v } = running;
    this.m = m;
    this.driver = new BlockingDriver(m.state.global);
    this.task = m.newTask('bench');
    this.pages = fileBytes / PAGE_BYTES;
    this.run(v.mount(this.task));
    const root = this.run(iget(this.task, v, ROOT_INO));
    this.inode = this.run(create(this.task, v, root, 'bench', 0o644));
    this.run(iput(this.task, v, root));
    this.run(truncate(this.task, v, this.inode, fileBytes));
    this.mm = createMm(m);
    const flags = VM.read | VM.write | VM.shared;
    const request = { pages: this.pages, flags, inode: this.inode, pgoff: 0, vpn: 0 };
    this.vpn = this.run(mmap(this.task, m, this.mm, request));
  }

  /** Boots a machine on a new volume in a temporary folder. */
  static async open(options: VolumeRigOptions): Promise<VolumeRig> {
    const { fileBytes } = options;
    const folder = mkdtempSync(join(tmpdir(), 'pinfold-bench-'));
    try {
      const disk = openDisk(join(folder, 'volume.img'), {
        createBytes: fileBytes + fileBytes / 8 + 256 * MIB,
      });
      mkfs(disk, { checksums: options.checksums ?? false, seed: 1, nowMs: 0 });
      const running = new RunningMachine({
        disk,
        profile: options.profile ?? profileByName('linux-6.12'),
        lockdep: false,
        sizes: {
          memoryBytes: GIB,
          cpus: 8,
          mms: 2,
          mmPages: fileBytes / PAGE_BYTES,
          vmas: 16,
          inodes: 64,
        },
      });
      await running.startDisk();
      const rig = new VolumeRig(folder, disk, running, fileBytes);
      if (options.kernelThreads === true) await running.startKernel();
      return rig;
    } catch (error) {
      rmSync(folder, { recursive: true });
      throw error;
    }
  }

  run<T>(op: Op<T>): T {
    return this.driver.run(this.task, op);
  }

  /** First page of run number `i` of `count`, spread evenly over the file. */
  runStart(i: number, count: number): number {
    return Math.floor(this.pages / RUN_PAGES / count) * RUN_PAGES * i;
  }

  /** Stores to each page of `count` runs: a write fault each, if they are clean. */
  dirtyRuns(count: number): void {
    this.run(dirtyRuns(this, count, STAMP));
  }

  fsync(): void {
    this.run(fsync(this.task, this.running.v, this.inode));
  }

  async close(): Promise<void> {
    const { v } = this.running;
    try {
      await this.running.stopKernel();
      this.run(munmap(this.task, this.m, this.mm, this.vpn));
      this.run(iput(this.task, v, this.inode));
      this.run(v.unmount(this.task));
      await this.running.stop();
    } finally {
      release(this.running.memory);
      this.disk.close();
      rmSync(this.folder, { recursive: true });
    }
  }
}

const STAMP = new Uint8Array(64).fill(0x5a);

function* dirtyRuns(rig: VolumeRig, count: number, data: Uint8Array): Op<void> {
  for (let i = 0; i < count; i++) {
    const start = rig.vpn + rig.runStart(i, count);
    for (let page = 0; page < RUN_PAGES; page++) {
      yield* storeUser(rig.task, rig.m, rig.mm, start + page, 0, data);
    }
  }
}
