// A thread that sends bytes once, a moment after it was told to, while whoever tells it waits in a call of the addon.

import { workerData } from 'node:worker_threads';
import { z } from 'zod';
import { Arena, PLACE } from '../../../native/index.js';

const { fd, words, length } = z
  .object({ fd: z.number(), words: z.instanceof(SharedArrayBuffer), length: z.number() })
  .parse(workerData);
/** Whether it shall send, and whether it waits for that. */
const signals = new Int32Array(words);
const bytes = new Uint8Array(length).fill(1);
const arena = new Arena([new Uint8Array(new SharedArrayBuffer(1))]);

Atomics.store(signals, 1, 1);
Atomics.wait(signals, 0, 0);
for (let i = 0; i < 100_000; i++) Atomics.load(signals, 0);
arena.send(fd, bytes, Float64Array.from([PLACE.BUFFER, 0, length]), 0, 1, 0);
