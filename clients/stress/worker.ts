// The entry of the piscina threads: each task is one long-lived job of a CPU or a device, or a short
// one of the warden, who mounts, checks and unmounts.

import { handedOver } from '../../engine/memory/layout.js';
import { Errno, KernelBug } from '../../engine/sched/errors.js';
import { attachJob, type JobShared, runJob } from './job-shared.js';
import { runWarden, type WardenShared } from './warden.js';

export type TaskShared = JobShared | WardenShared;

/** Runs a task to its end. What the machine's panic did to it is not its fault. */
export default function run(shared: unknown): unknown {
  const task = handedOver<TaskShared>(shared);
  if (task.kind === 'warden') return runWarden(task);
  const attached = attachJob(task);
  const { job } = attached;
  try {
    runJob(attached);
  } catch (error) {
    if (error instanceof KernelBug) job.m.oops(job.task, error);
    else if (!(error instanceof Errno && job.m.panicked)) throw error;
  } finally {
    attached.left();
  }
  return undefined;
}
