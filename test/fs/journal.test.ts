// The journal used by many at once: threads and event loops share commits, and errors reach whom they concern.

import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { memoryDisk } from '../../engine/block/disk.js';
import { BlockQueue, blockQueueWords } from '../../engine/block/queue.js';
import { Ramdisk, ramdiskWords } from '../../engine/block/ramdisk.js';
import { BLOCK_ERRORS, type BlockDevice } from '../../engine/block/request.js';
import { startKblockd } from '../../engine/block/start.js';
import {
  bufferAt,
  bufferSegment,
  getBuffer,
  getFreshBuffer,
  lockBuffer,
  putBuffer,
  syncMetadata,
  unlockBuffer,
} from '../../engine/fs/buffer.js';
import { writeSome } from '../../engine/fs/buffer-write.js';
import {
  checkpoint,
  commitTransaction,
  committedTid,
  currentTid,
  dirtyMetadata,
  extendHandle,
  restartHandle,
  startHandle,
  stopHandle,
} from '../../engine/fs/journal.js';
import {
  META,
  Metadata,
  type MetadataConfig,
  type MetadataStore,
  metadataWords,
} from '../../engine/fs/metadata.js';
import {
  closeMetadata,
  formatJournal,
  openMetadata,
  replayJournal,
} from '../../engine/fs/recovery.js';
import { GLOBAL } from '../../engine/memory/layout.js';
import { AsyncDriver } from '../../engine/sched/async.js';
import { type Op, sleepOn, type Task } from '../../engine/sched/op.js';
import { doorbells } from '../../engine/sched/wait.js';
import { preadInto, pwriteFrom } from '../../native/index.js';
import { type SmallMachine, sharedWords, smallMachine } from '../block/machine.js';
import { attach, type Shared, stampBlocks } from './journal-worker.js';

const PAGE_BYTES = 4096;
const JOURNAL_BLOCKS = 129;
const HOME = 1 + JOURNAL_BLOCKS;
const BLOCKS = HOME + 128;
const CONFIG: MetadataConfig = { buffers: 160, journalStart: 1, journalBlocks: JOURNAL_BLOCKS };

/** A volume over a memory disk with a kblockd of its own. */
async function volumeOnDisk(disk = memoryDisk(BLOCKS * PAGE_BYTES)) {
  const machine = smallMachine(1024);
  const queue = new BlockQueue(machine.m, sharedWords(blockQueueWords(16)));
  queue.init(16);
  const server = await startKblockd({
    machine: machine.m.shared,
    queue: queue.words,
    fd: disk.fd,
    sizeBytes: disk.sizeBytes,
  });
  const shared: Shared = {
    machine: machine.m.shared,
    queue: queue.words,
    meta: sharedWords(metadataWords(CONFIG)),
    config: CONFIG,
    doorbells: doorbells(),
    home: HOME,
    blocksPerCpu: 3,
  };
  return { machine, disk, server, shared, v: attach(shared) };
}

function format(fd: number): void {
  const words = new Int32Array(PAGE_BYTES / 4);
  formatJournal(words, JOURNAL_BLOCKS, 77);
  pwriteFrom(fd, new Uint8Array(words.buffer), PAGE_BYTES);
}

function blockOf(fd: number, block: number): Int32Array {
  const words = new Int32Array(PAGE_BYTES / 4);
  preadInto(fd, new Uint8Array(words.buffer), block * PAGE_BYTES);
  return words;
}

function run<T>(machine: SmallMachine, body: (task: Task) => Op<T>): T {
  const task = machine.m.newTask('test');
  return machine.driver.run(task, body(task));
}

/** All that a CPU changes together must be there together, and not older than promised. */
function checkStamps(t: ExecutionContext, fd: number, shared: Shared, promised: number[]): void {
  const counts = blockOf(fd, shared.home);
  for (const [cpu, least] of promised.entries()) {
    t.true(counts[cpu] >= least, `cpu ${String(cpu)}: ${String(counts[cpu])} of ${String(least)}`);
    for (let i = 0; i < shared.blocksPerCpu; i++) {
      const words = blockOf(fd, shared.home + 1 + cpu * shared.blocksPerCpu + i);
      t.true(words.every((word) => word === counts[cpu]));
    }
  }
}

test('threads share transactions and commits; a crash keeps what was promised to each', async (t) => {
  const volume = await volumeOnDisk();
  const { machine, disk, server, shared, v } = volume;
  format(disk.fd);
  run(machine, (task) => openMetadata(task, v));
  const cpus = [0, 1, 2];
  const promised = cpus.map(() => 0);
  const workers: Worker[] = [];
  // Meanwhile this thread empties the journal over and over.
  const driver = new AsyncDriver(machine.m.state.global.subarray(GLOBAL.panic, GLOBAL.panic + 1));
  const emptier = machine.m.newTask('emptier');
  function* emptyForever(): Op<void> {
    for (;;) {
      const seen = committedTid(v);
      yield* checkpoint(emptier, v);
      yield sleepOn(emptier, v.meta.head, META.committedTid, seen);
    }
  }
  const emptied = driver.run(emptier, emptyForever());
  await new Promise<void>((resolve) => {
    for (const cpu of cpus) {
      const workerData = { shared, cpu, rounds: 100_000, syncEvery: 4 };
      const worker = new Worker(new URL('./journal-worker.js', import.meta.url), { workerData });
      workers.push(worker);
      worker.on('message', (stamp: number) => {
        promised[cpu] = stamp;
        if (promised.every((told) => told >= 80)) resolve();
      });
    }
  });
  // The machine stops dead, in whatever its threads are doing; what they were told by now must hold.
  const told = [...promised];
  machine.m.panic();
  await Promise.all(workers.map((worker) => worker.terminate()));
  await t.throwsAsync(emptied, { message: /panicked/ });
  driver.close();
  await server.stop();
  t.is(machine.m.findings().count, 0);

  const recovery = replayJournal(disk.fd, PAGE_BYTES, 1, JOURNAL_BLOCKS);
  t.log(`${String(v.meta.head[META.commits])} commits, ${String(recovery.transactions)} replayed`);
  checkStamps(t, disk.fd, shared, told);
  disk.close();
});

test('operations of one event loop that wait for one transaction share its commit', async (t) => {
  const { machine, disk, server, shared, v } = await volumeOnDisk();
  format(disk.fd);
  const driver = new AsyncDriver(machine.m.state.global.subarray(GLOBAL.panic, GLOBAL.panic + 1));
  const cpus = [0, 1, 2, 3, 4, 5];
  const tasks = cpus.map((cpu) => machine.m.newTask(`cpu ${String(cpu)}`));
  const together = <T>(body: (task: Task, cpu: number) => Op<T>): Promise<T[]> =>
    Promise.all(tasks.map((task, cpu) => driver.run(task, body(task, cpu))));
  await driver.run(tasks[0], openMetadata(tasks[0], v));
  const rounds = 20;
  for (let stamp = 1; stamp <= rounds; stamp++) {
    const tids = await together((task, cpu) => stampBlocks(task, v, shared, cpu, stamp));
    await together((task, cpu) => commitTransaction(task, v, tids[cpu]));
  }
  t.is(v.meta.head[META.commits], rounds);
  await driver.run(tasks[0], closeMetadata(tasks[0], v));
  checkStamps(
    t,
    disk.fd,
    shared,
    cpus.map(() => rounds),
  );
  t.is(replayJournal(disk.fd, PAGE_BYTES, 1, JOURNAL_BLOCKS).transactions, 0);
  driver.close();
  await server.stop();
  t.is(machine.m.findings().count, 0);
  t.is(machine.m.state.global[GLOBAL.freeCount], 1023);
  disk.close();
});

/** A ramdisk whose writes to some blocks fail from a moment on. */
class FailingDisk extends Ramdisk implements BlockDevice {
  failing = (_block: number): boolean => false;

  override *write(task: Task, block: number, frames: Int32Array, count: number): Op<number> {
    if (this.failing(block)) return BLOCK_ERRORS.ENOSPC;
    return yield* super.write(task, block, frames, count);
  }
}

function ramVolume(journal: boolean, buffers = 64) {
  const machine = smallMachine(512);
  const { m } = machine;
  const words = sharedWords(ramdiskWords(m, BLOCKS));
  const device = new FailingDisk(m, words);
  const queue = new BlockQueue(m, sharedWords(blockQueueWords(4)), device);
  queue.init(4);
  const config = { buffers, journalStart: 1, journalBlocks: journal ? JOURNAL_BLOCKS : 0 };
  const v: MetadataStore = {
    m,
    queue,
    meta: new Metadata(m, sharedWords(metadataWords(config)), config),
  };
  if (journal) formatJournal(words.subarray(1024, 2048), JOURNAL_BLOCKS, 5);
  run(machine, (task) => openMetadata(task, v));
  return { machine, device, words, v };
}

function* change(task: Task, v: MetadataStore, block: number, value: number): Op<number> {
  const handle = yield* startHandle(task, v, 1);
  const b = yield* getBuffer(task, v, block);
  yield* lockBuffer(task, v, b);
  bufferSegment(v, b)[bufferAt(v, b)] = value;
  yield* dirtyMetadata(task, v, handle, b);
  unlockBuffer(task, v, b);
  yield* putBuffer(task, v, b);
  const { tid } = handle;
  yield* stopHandle(task, v, handle);
  return tid;
}

test('an error of the journal reaches who waits, stops it, and keeps what was committed', (t) => {
  const { machine, device, v } = ramVolume(true);
  const first = run(machine, (task) => change(task, v, HOME, 1));
  run(machine, (task) => commitTransaction(task, v, first));
  device.failing = (block) => block < HOME;
  const second = run(machine, (task) => change(task, v, HOME + 1, 2));
  t.throws(() => run(machine, (task) => commitTransaction(task, v, second)), {
    message: /^ENOSPC: .*free some/,
  });
  t.throws(() => run(machine, (task) => startHandle(task, v, 1)), {
    message: /journal was stopped/,
  });
  t.throws(() => run(machine, (task) => commitTransaction(task, v, second)));
  run(machine, (task) => commitTransaction(task, v, first));
  t.throws(() => run(machine, (task) => closeMetadata(task, v)), { message: /mount again/ });
  t.is(machine.m.state.global[GLOBAL.freeCount], 511);

  device.failing = () => false;
  t.is(run(machine, (task) => openMetadata(task, v)).transactions, 1);
  const words = run(machine, function* (task) {
    const values: number[] = [];
    for (const block of [HOME, HOME + 1]) {
      const b = yield* getBuffer(task, v, block);
      values.push(bufferSegment(v, b)[bufferAt(v, b)]);
      yield* putBuffer(task, v, b);
    }
    return values;
  });
  t.deepEqual(words, [1, 0]);
});

test('without a journal, changes reach the disk by syncMetadata, and through eviction', (t) => {
  const { machine, words, v } = ramVolume(false, 16);
  for (let n = 0; n < 100; n++) run(machine, (task) => change(task, v, HOME + n, n + 1));
  run(machine, (task) => syncMetadata(task, v));
  for (let n = 0; n < 100; n++) t.is(words[(HOME + n) * 1024], n + 1);
  run(machine, (task) => closeMetadata(task, v));
  t.is(machine.m.state.global[GLOBAL.freeCount], 511);
});

test('what a running transaction changes is never written home', (t) => {
  const { machine, words, v } = ramVolume(true);
  const home = HOME * 1024;
  const tid = run(machine, (task) => change(task, v, HOME, 1));
  run(machine, (task) => commitTransaction(task, v, tid));
  run(machine, (task) => change(task, v, HOME, 2));
  run(machine, (task) => writeSome(task, v));
  t.is(words[home], 0);
  run(machine, (task) => commitTransaction(task, v, currentTid(v)));
  run(machine, (task) => writeSome(task, v));
  t.is(words[home], 2);
});

test('when all buffers are referenced the next one is refused', (t) => {
  const { machine, v } = ramVolume(true, 64);
  run(machine, function* (task) {
    for (let n = 0; n < 64; n++) yield* getBuffer(task, v, HOME + n);
  });
  t.throws(() => run(machine, (task) => getBuffer(task, v, HOME + 64)), {
    message: /^ENOMEM: .*mount with more buffers/,
  });
});

test('a handle grows while the transaction has room, and else starts again in the next', (t) => {
  const { machine, v } = ramVolume(true, 64);
  const most = v.meta.transactionBlocks;
  t.is(most, 16);
  run(machine, function* (task) {
    const handle = yield* startHandle(task, v, 4);
    t.true(yield* extendHandle(task, v, handle, most - 4));
    t.false(yield* extendHandle(task, v, handle, 1));
    const { tid } = handle;
    for (let n = 0; n < most; n++) {
      const b = yield* getFreshBuffer(task, v, HOME + n);
      yield* lockBuffer(task, v, b);
      yield* dirtyMetadata(task, v, handle, b);
      unlockBuffer(task, v, b);
      yield* putBuffer(task, v, b);
    }
    yield* restartHandle(task, v, handle, 4);
    t.not(handle.tid, tid);
    t.is(currentTid(v), handle.tid);
    yield* stopHandle(task, v, handle);
  });
  run(machine, (task) => closeMetadata(task, v));
  t.is(machine.m.findings().count, 0);
});

test('planted: a change outside the mutex, and a handle inside a handle, are told', (t) => {
  const { machine, v } = ramVolume(true);
  t.throws(
    () =>
      run(machine, function* (task) {
        const handle = yield* startHandle(task, v, 1);
        yield* dirtyMetadata(task, v, handle, yield* getBuffer(task, v, HOME));
      }),
    { message: /without its mutex/ },
  );
  run(machine, function* (task) {
    yield* startHandle(task, v, 1);
    yield* startHandle(task, v, 1);
  });
  t.regex(machine.m.findings().kept[0].message, /journal -> journal/);
});
