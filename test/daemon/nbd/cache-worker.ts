// What another thread does to a cache, for shared-cache.test.ts.

import { parentPort, workerData } from 'node:worker_threads';
import { z } from 'zod';
import { openCache } from '../../../daemon/nbd/disk-cache.js';
import { diskDataSchema } from '../../../daemon/nbd/messages.js';
import { VolatileStorage } from '../../../daemon/nbd/volatile-storage.js';
import { CacheLock } from '../../../engine/block/cache-lock.js';

const words = z.instanceof(SharedArrayBuffer);

const jobSchema = z.discriminatedUnion('kind', [
  /** Sets the word when the FLUSH has ended. */
  z.object({ kind: z.literal('flush'), disk: diskDataSchema, thread: z.int(), done: words }),
  /** Adds to the number, each time under the lock, once all threads are there: `arrived` counts them. */
  z.object({
    ...{ kind: z.literal('count'), lock: words, thread: z.int(), threads: z.int() },
    ...{ times: z.int(), arrived: words, number: words },
  }),
]);
export type CacheJob = z.infer<typeof jobSchema>;

const job = jobSchema.parse(workerData);
if (job.kind === 'flush') {
  const cache = openCache(job.disk, null, job.thread);
  if (cache === null) throw new Error('the disk has no cache');
  const storage = new VolatileStorage(cache, job.disk.sizeBytes, null);
  parentPort?.postMessage('begins');
  storage.flush();
  const done = new Int32Array(job.done);
  Atomics.store(done, 0, 1);
  Atomics.notify(done, 0);
} else {
  const lock = new CacheLock(new Int32Array(job.lock), job.thread);
  const arrived = new Int32Array(job.arrived);
  Atomics.add(arrived, 0, 1);
  while (Atomics.load(arrived, 0) < job.threads);
  const number = new Float64Array(job.number);
  for (let i = 0; i < job.times; i++) {
    lock.take();
    number[0]++;
    lock.release();
  }
}
