// `pinfold stress`: CPUs and devices in worker threads on one volume, an oracle that knows what each
// of them wrote, and a table of what each profile may get wrong.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Disk, openDisk } from '../../engine/block/disk.js';
import { checkOptions, type StressOptions } from './options.js';
import { makePlan } from './plan.js';
import type { StressProgress, StressReport } from './report.js';
import { Run } from './run.js';
import { runOnSocket } from './socket.js';

export { type Expectation, expectationsOf } from './expectations.js';
export { checkOptions, type StressOptions } from './options.js';
export {
  type FindingCount,
  formatReport,
  type StressProgress,
  type StressReport,
} from './report.js';

/**
 * Runs the stress and reports what it found; `ok` is false if there was anything that the profile
 * may not show.
 * @throws Errno EINVAL (an option, named with its range), EBUSY, ENOENT, EACCES, ENOSPC (backing file)
 */
export async function runStress(
  options: StressOptions,
  onProgress: (progress: StressProgress) => void = () => undefined,
): Promise<StressReport> {
  const profile = checkOptions(options);
  if (options.socket !== undefined) return await runOnSocket(options, options.socket, onProgress);
  const plan = makePlan(options.cpus, options.devices, options.size);
  const temporary = options.backing === undefined ? temporaryFolder() : null;
  const path = options.backing ?? join(temporary ?? '', 'stress.img');
  let disk: Disk | null = null;
  try {
    disk = openDisk(path, { createBytes: plan.volumeBytes, leastBytes: plan.volumeBytes });
    return await new Run(options, profile, plan, disk, onProgress).run();
  } finally {
    disk?.close();
    if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
  }
}

function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'pinfold-stress-'));
}
