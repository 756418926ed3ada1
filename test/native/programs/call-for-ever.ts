// A worker that makes the same kind of call for ever and counts in a shared word, until it is terminated.

import { workerData } from 'node:worker_threads';
import { z } from 'zod';
import { Arena, createMemory, NativeError, openFile } from '../../../native/index.js';

const { activity, words, segments, fd } = z
  .object({
    activity: z.enum(['transfer', 'fail', 'make-memory', 'make-arena']),
    words: z.instanceof(SharedArrayBuffer),
    segments: z.array(z.instanceof(SharedArrayBuffer)),
    fd: z.number(),
  })
  .parse(workerData);
const count = new Int32Array(words);
const views = segments.map((segment) => new Uint8Array(segment));
const arena = new Arena(views);
const iov = new Float64Array(200).map((_, index) => (index % 2 === 0 ? index * 10 : 3000));

const activities = {
  transfer: () => {
    arena.pwritev(fd, iov, 100, 0);
    arena.preadv(fd, iov, 100, 0);
    arena.crc32c(0, arena.lengthBytes);
  },
  fail: () => {
    try {
      openFile('/no/such/file');
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
    }
  },
  'make-memory': () => {
    createMemory(3 * 4096, { segmentBytes: 4096 }).close();
  },
  'make-arena': () => {
    new Arena(views).crc32c(0, 1);
  },
} satisfies Record<typeof activity, () => void>;

while (true) {
  activities[activity]();
  Atomics.add(count, 0, 1);
}
