// A worker that loads the addon only when it is told, and then fails in it for ever.

import { workerData } from 'node:worker_threads';
import { z } from 'zod';

const words = new Int32Array(
  z.object({ words: z.instanceof(SharedArrayBuffer) }).parse(workerData).words,
);
Atomics.store(words, 0, 1);
Atomics.wait(words, 1, 0, 100);
const { fdatasync } = await import('../../../native/index.js');
while (true) {
  try {
    fdatasync(-1);
  } catch {
    Atomics.add(words, 0, 1);
  }
}
