// The kernel threads of a machine whose file system is MemoryFs.

import { workerData } from 'node:worker_threads';
import { handedOver } from '../../engine/memory/layout.js';
import { type KernelThreadData, runKernelThread } from '../../engine/mm/kernel-threads.js';
import { MemoryFs, type MemoryStore } from './memory-fs.js';

runKernelThread(
  handedOver<KernelThreadData<MemoryStore>>(workerData),
  (m, store) => new MemoryFs(m, store),
);
