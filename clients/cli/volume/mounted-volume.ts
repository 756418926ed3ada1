// A volume mounted in this process: one thread is its only CPU, drives the disk itself and cleans its
// own dirty pages. The command has nothing else to do, so the thread may block.

import { type Disk, openDisk } from '../../../engine/block/disk.js';
import { FileDevice } from '../../../engine/block/file-device.js';
import { readSuperblock } from '../../../engine/fs/superblock.js';
import { Volume, volumeConfig, volumeWords } from '../../../engine/fs/volume.js';
import { createMachine, type Machine } from '../../../engine/machine.js';
import { type Geometry, GLOBAL } from '../../../engine/memory/layout.js';
import { initAllocator } from '../../../engine/mm/alloc.js';
import { initNodes } from '../../../engine/mm/pagecache.js';
import type { Profile } from '../../../engine/profile/profile.js';
import { profileByName } from '../../../engine/profile/profiles.js';
import { BlockingDriver } from '../../../engine/sched/blocking.js';
import { Errno } from '../../../engine/sched/errors.js';
import type { Op, Task } from '../../../engine/sched/op.js';
import { createMemory, type Memory } from '../../../native/index.js';

/** Sizes of the machine: 128 MiB of page frames, 16 MiB of them for metadata at most. */
const PAGE_BYTES = 4096;
const PAGES = 32_768;
const METADATA_BUFFERS = 4096;
const INODE_SLOTS = 4096;
const TREE_NODES = 16_384;
const QUEUE_DEPTH = 64;

/** The rules in force while the command uses a volume: nothing of its own pins pages. */
const PROFILE = 'best-known';

export class MountedVolume {
  readonly m: Machine;
  readonly volume: Volume;
  readonly task: Task;
  /** Transactions of the journal that were replayed when it was mounted: not 0 after a crash. */
  readonly replayed: number;
  private readonly driver: BlockingDriver;
  private readonly memory: Memory;
  private mounted = true;

  /**
   * Locks the image and mounts it.
   * @throws Errno ENOENT, EBUSY (lock held by pid N), EUCLEAN (no volume, or damaged), EIO
   */
  constructor(
    readonly image: string,
    private readonly disk: Disk = openDisk(image),
  ) {
    this.memory = createMemory(PAGES * PAGE_BYTES, { name: 'pinfold-frames' });
    try {
      const sb = readSuperblock(disk.fd, disk.sizeBytes);
      const config = volumeConfig(sb, INODE_SLOTS, METADATA_BUFFERS, QUEUE_DEPTH);
      this.m = newMachine(volumeWords(config), profileByName(PROFILE), this.memory.segments);
      const { global, extra } = this.m.state;
      this.driver = new BlockingDriver(global.subarray(GLOBAL.panic, GLOBAL.panic + 1));
      const device = new FileDevice(this.m, disk.fd, disk.sizeBytes);
      this.volume = new Volume(this.m, { sb, config, words: extra }, device);
      this.volume.init();
      this.task = this.m.newTask('pinfold');
      this.replayed = this.run(this.volume.mount(this.task)).transactions;
    } catch (error) {
      this.memory.close();
      disk.close();
      throw naming(image, error);
    }
  }

  /** Runs an operation to its end. */
  run<T>(op: Op<T>): T {
    return this.driver.run(this.task, op);
  }

  /** Makes everything durable, unmounts, and gives the lock up. */
  close(): void {
    if (!this.mounted) return;
    this.mounted = false;
    try {
      this.run(this.volume.unmount(this.task));
    } catch (error) {
      throw naming(this.image, error);
    } finally {
      this.memory.close();
      this.disk.close();
    }
  }
}

function newMachine(
  extraWords: number,
  profile: Profile,
  frames: readonly SharedArrayBuffer[],
): Machine {
  const geometry: Geometry = {
    pageBytes: PAGE_BYTES,
    pages: PAGES,
    cpus: 1,
    mms: 1,
    mmPages: 16,
    vmas: 4,
    inodes: INODE_SLOTS,
    nodes: TREE_NODES,
    framesInState: false,
    extraWords,
  };
  const m = createMachine(geometry, profile, frames, false);
  initAllocator(m);
  initNodes(m);
  return m;
}

/** Errors of the engine name inodes and blocks; the user also wants to know of which image. */
function naming(image: string, error: unknown): unknown {
  if (!(error instanceof Errno) || error.message.includes(image)) return error;
  return new Errno(error.code, `${image}: ${error.message.replace(`${error.code}: `, '')}`, {
    cause: error,
  });
}
