// A cache that several threads use: one at a time, and a FLUSH covers what another thread is telling its client just now.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { planCut } from '../../../daemon/nbd/cut.js';
import { createCache, openCache } from '../../../daemon/nbd/disk-cache.js';
import type { DiskData } from '../../../daemon/nbd/messages.js';
import { ERROR } from '../../../daemon/nbd/protocol.js';
import { VolatileStorage } from '../../../daemon/nbd/volatile-storage.js';
import { WrittenPages } from '../../../daemon/written-pages.js';
import { createMemory } from '../../../native/index.js';
import type { CacheJob } from './cache-worker.js';

const SIZE = 2 ** 20;
/** Long for a FLUSH that waits for nobody. */
const FLUSH_MS = 200;

function start(job: CacheJob): Worker {
  return new Worker(new URL('./cache-worker.js', import.meta.url), { workerData: job });
}

function cachedDisk(t: ExecutionContext): DiskData {
  const plain = createMemory(SIZE);
  const shape = { unitBytes: 512, atomicBytes: 0, versionBytes: SIZE };
  const { data, memory } = createCache(SIZE, shape, null);
  t.teardown(() => {
    plain.close();
    memory.close();
  });
  const { fd, segments } = plain;
  const written = new WrittenPages(SIZE).shared;
  const source = { kind: 'memory' as const, fd, segments: [...segments], written };
  const names = { name: 'd', description: 'd', readOnly: false };
  return { ...names, sizeBytes: SIZE, source, cache: data };
}

test('a FLUSH waits for replies that another thread is handing out, and covers their writes', async (t) => {
  const disk = cachedDisk(t);
  const cache = openCache(disk, null, 0);
  if (cache === null) throw new Error('the disk has no cache');
  const storage = new VolatileStorage(cache, SIZE, null);
  const payload = Buffer.alloc(4096, 7);
  storage.beginWrite(0, payload.length);
  storage.store(0, payload, 0, payload.length);
  t.is(storage.endWrite(false), ERROR.NONE);
  // From here on its client may have the reply.
  storage.beginReplies();
  const done = new Int32Array(new SharedArrayBuffer(4));
  const worker = start({ kind: 'flush', disk, thread: 1, done: done.buffer });
  await once(worker, 'message');
  t.is(Atomics.wait(done, 0, 0, FLUSH_MS), 'timed-out', 'it waits');
  storage.replied(storage.writeId);
  storage.endReplies();
  await once(worker, 'exit');
  t.is(done[0], 1);
  planCut(cache, 'drop-all').carryOut();
  const left = Buffer.alloc(payload.length);
  storage.copy(0, left);
  t.true(left.equals(payload), 'the write was flushed');
});

test('what threads do under the lock they do one after the other', async (t) => {
  const threads = 3;
  const times = 200_000;
  const lock = new SharedArrayBuffer(4 * (1 + threads));
  const arrived = new SharedArrayBuffer(4);
  const number = new SharedArrayBuffer(8);
  const workers = Array.from({ length: threads }, (_, thread) =>
    start({ kind: 'count', lock, thread, threads, times, arrived, number }),
  );
  const ends = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
  t.deepEqual(await Promise.all(ends), Array(threads).fill(0));
  t.is(new Float64Array(number)[0], threads * times);
});
