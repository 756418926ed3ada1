// A process whose main thread never loads the addon: a worker makes memory, sends it over and ends. Node then closes
// the addon, and the mapping is read and collected afterwards.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';

async function readByteOfWorker(): Promise<number | undefined> {
  const worker = new Worker(new URL('make-memory.js', import.meta.url));
  const message = await new Promise<unknown>((resolve) => worker.once('message', resolve));
  await once(worker, 'exit');
  return message instanceof SharedArrayBuffer ? new Uint8Array(message)[0] : undefined;
}

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');
if (typeof collect !== 'function') throw new Error('this Node has no gc()');

const byte = await readByteOfWorker();
while (readFileSync('/proc/self/maps', 'utf8').includes('memfd:outlive')) {
  Reflect.apply(collect, undefined, []);
  await setImmediate();
}
console.log(`read ${byte}, then unmapped`);
