// A process that makes memory, stores a word, sends the descriptor, and checks what the other process stored.

import {
  connectUnix,
  createMemory,
  receiveDescriptors,
  sendDescriptors,
} from '../../../native/index.js';

const fd = connectUnix(process.argv[2] ?? '');
const memory = createMemory(2 * 4096);
const [segment = new SharedArrayBuffer(0)] = memory.segments;
const words = new Int32Array(segment);
Atomics.store(words, 0, 1234);
sendDescriptors(fd, Buffer.from('memory'), [memory.fd]);
const { data } = await receiveDescriptors(fd, 100, 60_000);
process.exitCode =
  Buffer.from(data).toString() === 'stored' && Atomics.load(words, 1) === 5678 ? 0 : 1;
