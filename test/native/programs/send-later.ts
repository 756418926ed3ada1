// A thread that sends bytes a moment after it was told to, while whoever tells it waits in a call of the addon.

import { workerData } from 'node:worker_threads';
import { z } from 'zod';
import { Arena, PLACE } from '../../../native/index.js';

const { fd, words, length } = z
  .object({ fd: z.number(), words: z.instanceof(SharedArrayBuffer), length: z.number() })
  .parse(workerData);
/** How often it was told to send, and how often it has. The first below 0 ends it. */
const counts = new Int32Array(words);
const bytes = new Uint8Array(length).fill(1);
const arena = new Arena([new Uint8Array(new SharedArrayBuffer(1))]);

for (let sent = 0; ; sent++) {
  Atomics.store(counts, 1, sent);
  Atomics.notify(counts, 1);
  Atomics.wait(counts, 0, sent);
  if (Atomics.load(counts, 0) < 0) break;
  for (let i = 0; i < 100_000; i++) Atomics.load(counts, 0);
  arena.send(fd, bytes, Float64Array.from([PLACE.BUFFER, 0, length]), 0, 1, 0);
}
