// A volume mounted in this process, with a machine of its own. This thread is its only CPU and may
// block; the disk, the flusher and kswapd have threads of their own.

import { type Disk, openDisk } from '../../../engine/block/disk.js';
import { RunningMachine } from '../../../engine/boot.js';
import type { Volume } from '../../../engine/fs/volume.js';
import { GLOBAL } from '../../../engine/memory/layout.js';
import { profileByName } from '../../../engine/profile/profiles.js';
import { BlockingDriver } from '../../../engine/sched/blocking.js';
import { Errno } from '../../../engine/sched/errors.js';
import type { Op, Task } from '../../../engine/sched/op.js';

/** The rules in force while the command uses a volume: nothing of its own pins pages. */
const PROFILE = 'best-known';

const SIZES = {
  memoryBytes: 128 * 2 ** 20,
  cpus: 1,
  mms: 1,
  mmPages: 16,
  vmas: 4,
  inodes: 4096,
  /** 16 MiB of the frames, at most. */
  buffers: 4096,
};

export class MountedVolume {
  private readonly driver: BlockingDriver;
  private mounted = false;

  private constructor(
    readonly image: string,
    private readonly disk: Disk,
    private readonly machine: RunningMachine,
    readonly task: Task,
  ) {
    const { global } = machine.m.state;
    this.driver = new BlockingDriver(global.subarray(GLOBAL.panic, GLOBAL.panic + 1));
  }

  /**
   * Locks the image and mounts it.
   * @throws Errno ENOENT, EBUSY (lock held by pid N), EUCLEAN (no volume, or damaged), EIO
   */
  static async open(image: string): Promise<MountedVolume> {
    const disk = openDisk(image);
    try {
      const profile = profileByName(PROFILE);
      const machine = new RunningMachine({ disk, profile, sizes: SIZES, lockdep: false });
      const task = machine.m.newTask('pinfold');
      const mounted = new MountedVolume(image, disk, machine, task);
      await mounted.mount();
      return mounted;
    } catch (error) {
      disk.close();
      throw naming(image, error);
    }
  }

  get m(): RunningMachine['m'] {
    return this.machine.m;
  }

  get volume(): Volume {
    return this.machine.v;
  }

  /** Runs an operation to its end. */
  run<T>(op: Op<T>): T {
    return this.driver.run(this.task, op);
  }

  /** Makes everything durable, unmounts, and gives the lock up. */
  async close(): Promise<void> {
    try {
      await this.machine.stopKernel();
      if (this.mounted) this.run(this.volume.unmount(this.task));
      this.mounted = false;
    } catch (error) {
      throw naming(this.image, error);
    } finally {
      await this.machine.stop();
      this.machine.memory.close();
      this.disk.close();
    }
  }

  private async mount(): Promise<void> {
    await this.machine.startDisk();
    try {
      this.run(this.machine.mount(this.task));
      await this.machine.startKernel();
      this.mounted = true;
    } catch (error) {
      await this.machine.stop();
      throw error;
    }
  }
}

/** Errors of the engine name inodes and blocks; the user also wants to know of which image. */
function naming(image: string, error: unknown): unknown {
  if (!(error instanceof Errno) || error.message.includes(image)) return error;
  return new Errno(error.code, `${image}: ${error.message.replace(`${error.code}: `, '')}`, {
    cause: error,
  });
}
