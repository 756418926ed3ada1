// A process of the journal's tests, made to be killed: CPUs that stamp blocks, and tell what is durable.

import { Worker } from 'node:worker_threads';
import { openDisk } from '../../engine/block/disk.js';
import { BlockQueue, blockQueueWords } from '../../engine/block/queue.js';
import { startKblockd } from '../../engine/block/start.js';
import { type MetadataConfig, metadataWords } from '../../engine/fs/metadata.js';
import { openMetadata } from '../../engine/fs/recovery.js';
import { doorbells } from '../../engine/sched/wait.js';
import { sharedWords, smallMachine } from '../block/machine.js';
import { attach, type Shared } from './journal-worker.js';

const [path = '', journalBlocks = '0', cpus = '0'] = process.argv.slice(2);
const { m, driver } = smallMachine(1024);
const disk = openDisk(path);
const queue = new BlockQueue(m, sharedWords(blockQueueWords(16)));
queue.init(16);
await startKblockd({
  machine: m.shared,
  queue: queue.words,
  fd: disk.fd,
  sizeBytes: disk.sizeBytes,
});
const config: MetadataConfig = {
  buffers: 64,
  journalStart: 1,
  journalBlocks: Number(journalBlocks),
};
const shared: Shared = {
  machine: m.shared,
  queue: queue.words,
  meta: sharedWords(metadataWords(config)),
  config,
  doorbells: doorbells(),
  home: 1 + config.journalBlocks,
  blocksPerCpu: 3,
};
const task = m.newTask('mount');
driver.run(task, openMetadata(task, attach(shared)));
for (let cpu = 0; cpu < Number(cpus); cpu++) {
  const workerData = { shared, cpu, rounds: 1_000_000, syncEvery: 3 };
  const worker = new Worker(new URL('./journal-worker.js', import.meta.url), { workerData });
  worker.on('message', (stamp: number) => {
    process.stdout.write(`${String(cpu)} ${String(stamp)}\n`);
  });
}
