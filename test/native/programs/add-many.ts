// A worker that adds to a shared word as often as it is told, then counts itself in a second word.

import { workerData } from 'node:worker_threads';
import { z } from 'zod';

const { segment, times } = z
  .object({ segment: z.instanceof(SharedArrayBuffer), times: z.number() })
  .parse(workerData);
const words = new Int32Array(segment);
for (let time = 0; time < times; time++) Atomics.add(words, 0, 1);
Atomics.add(words, 1, 1);
Atomics.notify(words, 1);
