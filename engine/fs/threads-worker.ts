// The thread of the flusher or of kswapd on a volume (threads.ts).

import { workerData } from 'node:worker_threads';
import { handedOver } from '../memory/layout.js';
import { type KernelThreadData, runKernelThread } from '../mm/kernel-threads.js';
import { Volume, type VolumeShared } from './volume.js';

runKernelThread(
  handedOver<KernelThreadData<VolumeShared>>(workerData),
  (m, volume) => new Volume(m, volume),
);
