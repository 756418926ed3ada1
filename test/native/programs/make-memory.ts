// A worker that makes shared memory with 42 in its first byte, posts it, and ends.

import { parentPort } from 'node:worker_threads';
import { createMemory } from '../../../native/index.js';

const memory = createMemory(4096, { name: 'outlive' });
const segment = memory.segments.at(0);
if (segment !== undefined) new Uint8Array(segment)[0] = 42;
parentPort?.postMessage(segment);
memory.close();
