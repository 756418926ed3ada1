// The flusher and kswapd of a machine whose file system is a volume, in threads of their own.

import type { Machine } from '../machine.js';
import { type KernelThreads, startKernelThreads } from '../mm/kernel-threads.js';
import type { VolumeShared } from './volume.js';

/** Starts them and waits until they run. The volume is mounted, and kblockd serves it. */
export function startVolumeThreads(m: Machine, volume: VolumeShared): Promise<KernelThreads> {
  return startKernelThreads(m, new URL('./threads-worker.js', import.meta.url), volume);
}
