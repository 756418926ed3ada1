// A worker that makes ranges right and wrong in turns, while another thread uses them.

import { workerData } from 'node:worker_threads';
import { z } from 'zod';

const data = z
  .object({ words: z.instanceof(SharedArrayBuffer), iov: z.instanceof(SharedArrayBuffer) })
  .parse(workerData);
const words = new Int32Array(data.words);
const iov = new Float64Array(data.iov);
const wrong = [-1, Number.NaN, 2 ** 40, 16_385];
for (let at = 0; at < iov.length; at++) iov[at] = at % 2 === 0 ? 4000 : 200;
Atomics.store(words, 0, 1);
for (let turn = 0; ; turn++) {
  const at = (turn * 7) % iov.length;
  const right = iov[at] ?? 0;
  iov[at] = wrong[turn % wrong.length] ?? -1;
  // Half of the time all ranges are right, for about as long as a call takes.
  for (let pause = 0; pause < 10_000; pause++) Atomics.load(words, 0);
  iov[at] = right;
  for (let pause = 0; pause < 10_000; pause++) Atomics.load(words, 0);
}
