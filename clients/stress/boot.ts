// One life of the emulated machine of a run, as large as its plan asks for.

import type { Disk } from '../../engine/block/disk.js';
import { type BootOptions, RunningMachine } from '../../engine/boot.js';
import type { Profile } from '../../engine/profile/profile.js';
import { ANONYMOUS_PAGES, BUFFER_PAGES } from './limits.js';
import type { Plan } from './plan.js';
import { PAGE_BYTES } from './stamp.js';

/** Tasks besides the jobs that may store through page tables. */
const OTHER_CPUS = 4;
/** Inode slots besides those of the files. */
const OTHER_INODES = 16;

/** @param memory of an earlier life, whatever is in it */
export function bootMachine(
  plan: Plan,
  profile: Profile,
  disk: Disk,
  memory: RunningMachine['memory'] | undefined,
): RunningMachine {
  const shared = plan.files.filter((file) => file.use === 'shared');
  const mapped = shared.reduce((sum, file) => sum + file.pages, 0);
  const sizes = {
    memoryBytes: plan.frames * PAGE_BYTES,
    cpus: plan.writers + OTHER_CPUS,
    mms: plan.writers,
    mmPages: mapped + BUFFER_PAGES + ANONYMOUS_PAGES,
    vmas: plan.writers * (shared.length + 2),
    inodes: plan.files.length + OTHER_INODES,
  };
  const options: BootOptions = { disk, profile, sizes, lockdep: true, readBack: true };
  return new RunningMachine(memory === undefined ? options : { ...options, memory });
}
