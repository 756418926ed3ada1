// A worker that waits for a message that never comes.

import { workerData } from 'node:worker_threads';
import { z } from 'zod';
import { receiveDescriptors } from '../../../native/index.js';

const { words, fd } = z
  .object({ words: z.instanceof(SharedArrayBuffer), fd: z.number() })
  .parse(workerData);
const received = [1, 2].map(() => receiveDescriptors(fd, 1, 2 ** 31 - 1));
Atomics.store(new Int32Array(words), 0, 1);
await Promise.all(received);
