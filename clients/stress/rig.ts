// One life of the emulated machine: its memory, its kernel threads, and its volume.

import type { Disk } from '../../engine/block/disk.js';
import { type Kblockd, startKblockd } from '../../engine/block/start.js';
import type { Superblock } from '../../engine/fs/layout.js';
import { startVolumeThreads } from '../../engine/fs/threads.js';
import { Volume, volumeConfig, volumeWords } from '../../engine/fs/volume.js';
import { createMachine, type Machine } from '../../engine/machine.js';
import type { Geometry } from '../../engine/memory/layout.js';
import { initAllocator } from '../../engine/mm/alloc.js';
import type { KernelThreads } from '../../engine/mm/kernel-threads.js';
import { initNodes } from '../../engine/mm/pagecache.js';
import type { Profile } from '../../engine/profile/profile.js';
import { ANONYMOUS_PAGES, BUFFER_PAGES } from './limits.js';
import type { Plan } from './plan.js';
import { PAGE_BYTES } from './stamp.js';

/** Tasks besides the jobs that may store through page tables. */
const OTHER_CPUS = 4;
/** Inode slots besides those of the files. */
const OTHER_INODES = 16;

export class Rig {
  readonly m: Machine;
  readonly v: Volume;
  private kblockd: Kblockd | null = null;
  private threads: KernelThreads | null = null;

  /** @param frames memory of earlier lives, whatever is in it */
  constructor(
    plan: Plan,
    profile: Profile,
    sb: Superblock,
    private readonly disk: Disk,
    frames: SharedArrayBuffer,
  ) {
    const inodes = plan.files.length + OTHER_INODES;
    const config = volumeConfig(sb, inodes);
    const geometry = geometryOf(plan, inodes, volumeWords(config));
    this.m = createMachine(geometry, profile, [frames], true);
    initAllocator(this.m);
    initNodes(this.m);
    this.v = new Volume(this.m, { sb, config, words: this.m.state.extra });
    this.v.init();
  }

  async startDisk(): Promise<void> {
    const { fd, sizeBytes } = this.disk;
    const queue = this.v.queue.words;
    this.kblockd = await startKblockd({ machine: this.m.shared, queue, fd, sizeBytes });
  }

  async startKernel(): Promise<void> {
    this.threads = await startVolumeThreads(this.m, this.v.shared);
  }

  async stopKernel(): Promise<void> {
    const { threads } = this;
    this.threads = null;
    await threads?.stop();
  }

  /** Stops what runs; after this the machine is only memory. */
  async stop(): Promise<void> {
    await this.stopKernel();
    const { kblockd } = this;
    this.kblockd = null;
    await kblockd?.stop();
  }
}

function geometryOf(plan: Plan, inodes: number, extraWords: number): Geometry {
  const shared = plan.files.filter((file) => file.use === 'shared');
  const mapped = shared.reduce((sum, file) => sum + file.pages, 0);
  const pages = plan.pages;
  return {
    pageBytes: PAGE_BYTES,
    pages: plan.frames,
    cpus: plan.writers + OTHER_CPUS,
    mms: plan.writers,
    mmPages: mapped + BUFFER_PAGES + ANONYMOUS_PAGES,
    vmas: plan.writers * (shared.length + 2),
    inodes,
    // One leaf per 64 pages, as many again above and for trees in the making.
    nodes: Math.ceil(pages / 64) * 2 + inodes * 8 + 64,
    framesInState: false,
    extraWords,
  };
}
