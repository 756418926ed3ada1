// A machine with a mounted volume on a disk in memory, driven by this thread, for tests.

import { type Disk, memoryDisk } from '../../engine/block/disk.js';
import { FileDevice } from '../../engine/block/file-device.js';
import type { BlockDevice } from '../../engine/block/request.js';
import { type FsckReport, fsck } from '../../engine/fs/fsck.js';
import { iget, iput } from '../../engine/fs/inode.js';
import { ROOT_INO } from '../../engine/fs/layout.js';
import { type MkfsOptions, mkfs } from '../../engine/fs/mkfs.js';
import { readSuperblock } from '../../engine/fs/superblock.js';
import { Volume, type VolumeShared, volumeConfig, volumeWords } from '../../engine/fs/volume.js';
import { createMachine, type Machine } from '../../engine/machine.js';
import { GLOBAL } from '../../engine/memory/layout.js';
import { initAllocator } from '../../engine/mm/alloc.js';
import { initNodes } from '../../engine/mm/pagecache.js';
import { profileByName } from '../../engine/profile/profiles.js';
import { BlockingDriver } from '../../engine/sched/blocking.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { preadInto, pwriteFrom } from '../../native/index.js';

export interface RigOptions {
  readonly pages?: number;
  readonly inodes?: number;
  readonly buffers?: number;
  readonly profile?: string;
  /** Address spaces. */
  readonly mms?: number;
  readonly device?: (m: Machine, disk: Disk) => BlockDevice;
  /** Makes the volume, over a queue of its own. */
  readonly volume?: (m: Machine, shared: VolumeShared) => Volume;
}

/** A mounted volume. `run` drives one operation to its end. */
export class Rig {
  readonly m: Machine;
  readonly v: Volume;
  readonly task: Task;
  readonly root: number;
  private readonly driver: BlockingDriver;
  private clock = 1000;

  constructor(
    readonly disk: Disk,
    options: RigOptions = {},
  ) {
    const { pages = 2048, inodes = 64, buffers = 512, mms = 2, profile = 'linux-6.12' } = options;
    const sb = readSuperblock(disk.fd, disk.sizeBytes);
    const config = volumeConfig(sb, inodes, buffers, 16);
    const geometry = {
      pageBytes: 4096,
      pages,
      cpus: 4,
      mms,
      mmPages: 64,
      vmas: 8,
      inodes,
      nodes: 4096,
      framesInState: false,
      extraWords: volumeWords(config),
    };
    const frames = [new SharedArrayBuffer(pages * 4096)];
    this.m = createMachine(geometry, profileByName(profile), frames, true);
    initAllocator(this.m);
    initNodes(this.m);
    this.driver = new BlockingDriver(this.m.state.global.subarray(GLOBAL.panic, GLOBAL.panic + 1));
    const device = options.device ?? ((m, d) => new FileDevice(m, d.fd, d.sizeBytes));
    const shared = { sb, config, words: this.m.state.extra };
    this.v = options.volume?.(this.m, shared) ?? new Volume(this.m, shared, device(this.m, disk));
    this.v.now = () => this.clock++;
    this.v.init();
    this.task = this.m.newTask('test');
    this.run(this.v.mount(this.task));
    this.root = this.run(iget(this.task, this.v, ROOT_INO));
  }

  run<T>(op: Op<T>): T {
    return this.driver.run(this.task, op);
  }

  unmount(): void {
    this.run(iput(this.task, this.v, this.root));
    this.run(this.v.unmount(this.task));
  }
}

/** A disk with an empty volume. */
export function newDisk(sizeBytes: number, options: MkfsOptions = {}): Disk {
  const disk = memoryDisk(sizeBytes);
  mkfs(disk, { seed: 1, nowMs: 1, ...options });
  return disk;
}

/** A disk with this content. */
export function diskOf(image: Int32Array): Disk {
  const disk = memoryDisk(image.byteLength);
  pwriteFrom(disk.fd, new Uint8Array(image.buffer, image.byteOffset, image.byteLength), 0);
  return disk;
}

/** What a disk holds. */
export function imageOf(disk: Disk): Int32Array {
  const image = new Int32Array(disk.sizeBytes / 4);
  preadInto(disk.fd, new Uint8Array(image.buffer), 0);
  return image;
}

/** What fsck finds, as sentences. */
export function check(disk: Disk): string[] {
  const report: FsckReport = fsck(disk, { repair: false });
  return report.damages.map((damage) => `${damage.code}: ${damage.message}`);
}

/** Bytes that tell their place and a seed. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Are two byte arrays equal? */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
