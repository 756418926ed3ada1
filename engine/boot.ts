// A whole machine that runs: memory, a mounted volume on an opened disk, kblockd, the flusher and
// kswapd in threads of their own. Daemon, command, stress and benches start theirs here.

import { createMemory, type Memory } from '../native/index.js';
import type { Disk } from './block/disk.js';
import { type Kblockd, startKblockd } from './block/start.js';
import type { Recovery } from './fs/recovery.js';
import { readSuperblock } from './fs/superblock.js';
import { startVolumeThreads } from './fs/threads.js';
import { Volume, volumeConfig, volumeWords } from './fs/volume.js';
import { createMachine, type Machine } from './machine.js';
import { NODE_SLOTS } from './memory/layout.js';
import { initAllocator } from './mm/alloc.js';
import type { KernelThreads } from './mm/kernel-threads.js';
import { initNodes } from './mm/pagecache.js';
import type { Profile } from './profile/profile.js';
import type { Op, Task } from './sched/op.js';

const PAGE_BYTES = 4096;

/** How large a machine is. */
export interface BootSizes {
  /** Memory for page frames: a multiple of 4096. */
  readonly memoryBytes: number;
  /** Tasks that may store through page tables at one time. */
  readonly cpus: number;
  readonly mms: number;
  /** Virtual pages of each address space. */
  readonly mmPages: number;
  readonly vmas: number;
  /** Inode slots: files that can be in use at one time. */
  readonly inodes: number;
  /** Blocks of metadata kept in memory. */
  readonly buffers?: number;
}

export interface BootOptions {
  readonly disk: Disk;
  readonly profile: Profile;
  readonly sizes: BootSizes;
  readonly lockdep: boolean;
  /** Read each write back and compare it with its checksum: VolumeShared.readBack. */
  readonly readBack?: boolean;
  /** Frames of an earlier life of the machine, to be used again whatever is in them. */
  readonly memory?: Memory;
}

/** One life of a machine. Start it, mount() with any driver, and stop() it after unmount(). */
export class RunningMachine {
  readonly m: Machine;
  readonly v: Volume;
  readonly memory: Memory;
  private readonly disk: Disk;
  private kblockd: Kblockd | null = null;
  private threads: KernelThreads | null = null;

  /** @throws Errno EUCLEAN if there is no volume on the disk, ENOMEM */
  constructor(options: BootOptions) {
    const { disk, profile, sizes } = options;
    const sb = readSuperblock(disk.fd, disk.sizeBytes);
    const config = volumeConfig(sb, sizes.inodes, sizes.buffers);
    const pages = Math.floor(sizes.memoryBytes / PAGE_BYTES);
    this.memory = options.memory ?? createMemory(pages * PAGE_BYTES, { name: 'pinfold-memory' });
    this.disk = disk;
    this.m = createMachine(
      {
        pageBytes: PAGE_BYTES,
        pages,
        cpus: sizes.cpus,
        mms: sizes.mms,
        mmPages: sizes.mmPages,
        vmas: sizes.vmas,
        inodes: sizes.inodes,
        nodes: nodesFor(pages, sizes.inodes),
        framesInState: false,
        extraWords: volumeWords(config),
      },
      profile,
      this.memory.segments,
      options.lockdep,
    );
    initAllocator(this.m);
    initNodes(this.m);
    const readBack = options.readBack === true;
    this.v = new Volume(this.m, { sb, config, words: this.m.state.extra, readBack });
    this.v.init();
  }

  /** Starts the thread that serves the disk: from now on mount() can run. */
  async startDisk(): Promise<void> {
    const { fd, sizeBytes } = this.disk;
    const queue = this.v.queue.words;
    this.kblockd = await startKblockd({ machine: this.m.shared, queue, fd, sizeBytes });
  }

  /** Recovers the journal and mounts the volume. @throws Errno EUCLEAN, EIO */
  mount(task: Task): Op<Recovery> {
    return this.v.mount(task);
  }

  /** Starts the flusher and kswapd. After mount(). */
  async startKernel(): Promise<void> {
    this.threads = await startVolumeThreads(this.m, this.v.shared);
  }

  /** Stops the flusher and kswapd. Before unmount(). */
  async stopKernel(): Promise<void> {
    const { threads } = this;
    this.threads = null;
    await threads?.stop();
  }

  /** Stops every thread; after this the machine is only memory. The disk stays open. */
  async stop(): Promise<void> {
    await this.stopKernel();
    const { kblockd } = this;
    this.kblockd = null;
    await kblockd?.stop();
  }
}

/** Tree nodes for a page cache that fills memory: leaves, as many above, and trees in the making. */
function nodesFor(pages: number, inodes: number): number {
  return Math.ceil((pages / NODE_SLOTS) * 2) + inodes * 2 + NODE_SLOTS;
}
