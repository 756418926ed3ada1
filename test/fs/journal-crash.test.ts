// Power cuts at every write of the journal: what was committed is there, and nothing half of it.

import test from 'ava';
import {
  bufferAt,
  bufferSegment,
  getBuffer,
  getFreshBuffer,
  lockBuffer,
  putBuffer,
  unlockBuffer,
} from '../../engine/fs/buffer.js';
import {
  checkpoint,
  commitTransaction,
  committedTid,
  dirtyMetadata,
  forgetMetadata,
  type Handle,
  startHandle,
  stopHandle,
  tidAtLeast,
} from '../../engine/fs/journal.js';
import { LOG_MAGIC } from '../../engine/fs/journal-format.js';
import { type JournalIo, recoverJournal } from '../../engine/fs/journal-replay.js';
import { Metadata, type MetadataStore, metadataWords } from '../../engine/fs/metadata.js';
import { closeMetadata, formatJournal, openMetadata } from '../../engine/fs/recovery.js';
import { InvariantError } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { sharedWords, smallMachine } from '../block/machine.js';
import { CrashImages, RecordingQueue, randomFrom } from './crash-disk.js';

const PAGE_BYTES = 256;
const PAGE_WORDS = PAGE_BYTES >>> 2;
const JOURNAL_START = 1;
const JOURNAL_BLOCKS = 61;
const HOME_START = JOURNAL_START + JOURNAL_BLOCKS;
const HOME_BLOCKS = 56;
const BLOCKS = HOME_START + HOME_BLOCKS;

/** What a home block holds: null while it is not metadata. */
type Model = (number | null)[];

interface Run {
  readonly queue: RecordingQueue;
  readonly initial: Int32Array;
  /** The state after each transaction, and how many events had been answered when its commit returned. */
  readonly after: Map<number, Model>;
  /** Per event count: the transaction known to be committed then. */
  readonly promises: { events: number; tid: number }[];
}

class Workload {
  readonly machine = smallMachine(256, PAGE_BYTES);
  readonly queue = new RecordingQueue(this.machine.m, BLOCKS);
  readonly task = this.machine.m.newTask('test');
  readonly v: MetadataStore;
  readonly model: Model = Array.from({ length: HOME_BLOCKS }, () => 0);
  readonly after = new Map<number, Model>();
  readonly promises: { events: number; tid: number }[] = [];
  /** Blocks freed, by the transaction that freed them: not to be used before it is durable. */
  readonly freed = new Map<number, number>();
  stamp = 0;

  constructor(
    private readonly random: (below: number) => number,
    buffers: number,
  ) {
    const config = { buffers, journalStart: JOURNAL_START, journalBlocks: JOURNAL_BLOCKS };
    const { m } = this.machine;
    const meta = new Metadata(m, sharedWords(metadataWords(config)), config);
    this.v = { m, queue: this.queue, meta };
    formatJournal(
      this.queue.disk.subarray(JOURNAL_START * PAGE_WORDS, (JOURNAL_START + 1) * PAGE_WORDS),
      JOURNAL_BLOCKS,
      0x1234,
    );
  }

  run(steps: number): Run {
    const initial = this.queue.disk.slice();
    this.drive((task) => openMetadata(task, this.v));
    this.after.set(committedTid(this.v), [...this.model]);
    for (let step = 0; step < steps; step++) this.step();
    return { queue: this.queue, initial, after: this.after, promises: this.promises };
  }

  drive<T>(body: (task: Task) => Op<T>): T {
    return this.machine.driver.run(this.task, body(this.task));
  }

  private step(): void {
    const choice = this.random(20);
    if (choice < 14) this.drive((task) => this.update(task));
    else if (choice < 16) this.drive((task) => this.writeData(task));
    else if (choice < 19) {
      const tid = [...this.after.keys()].at(-1) ?? 0;
      this.drive((task) => commitTransaction(task, this.v, tid));
      this.promises.push({ events: this.queue.events.length, tid });
    } else this.drive((task) => checkpoint(task, this.v));
  }

  /** A handle that changes some blocks alike, frees some, and uses some that were freed. */
  private *update(task: Task): Op<void> {
    const handle = yield* startHandle(task, this.v, 6);
    const { tid } = handle;
    this.stamp++;
    for (let i = 1 + this.random(5); i > 0; i--) {
      const n = this.random(HOME_BLOCKS);
      if (this.model[n] !== null) {
        if (this.random(6) === 0) yield* this.free(task, handle, n);
        else yield* this.change(task, handle, n, false);
      } else if (this.isReusable(n)) {
        this.queue.dataBlocks.delete(HOME_START + n);
        yield* this.change(task, handle, n, true);
      }
    }
    yield* stopHandle(task, this.v, handle);
    this.after.set(tid, [...this.model]);
  }

  private *change(task: Task, handle: Handle, n: number, fresh: boolean): Op<void> {
    const { v } = this;
    const block = HOME_START + n;
    const b = fresh ? yield* getFreshBuffer(task, v, block) : yield* getBuffer(task, v, block);
    yield* lockBuffer(task, v, b);
    const words = bufferSegment(v, b);
    const at = bufferAt(v, b);
    // Sometimes what users write looks like a block of the journal.
    words.fill(this.stamp, at, at + PAGE_WORDS);
    words[at] = this.stamp % 3 === 0 ? LOG_MAGIC : this.stamp;
    yield* dirtyMetadata(task, v, handle, b);
    unlockBuffer(task, v, b);
    yield* putBuffer(task, v, b);
    this.model[n] = this.stamp;
  }

  private *free(task: Task, handle: Handle, n: number): Op<void> {
    yield* forgetMetadata(task, this.v, handle, HOME_START + n);
    this.model[n] = null;
    this.freed.set(n, handle.tid);
  }

  private isReusable(n: number): boolean {
    return tidAtLeast(committedTid(this.v), this.freed.get(n) ?? 0);
  }

  /** Uses a freed block for data, which is written directly. */
  private *writeData(task: Task): Op<void> {
    const n = this.model.findIndex((value, i) => value === null && this.isReusable(i));
    if (n < 0) return;
    const { queue, machine } = this;
    const pfn = 255; // the last frame: the allocator has not come that far
    const at = machine.m.frames.wordOffset(pfn);
    machine.m.frames.wordSegment(pfn).fill(-++this.stamp, at, at + PAGE_WORDS);
    queue.dataBlocks.add(HOME_START + n);
    queue.byTest = true;
    const frames = Int32Array.of(pfn);
    yield* queue.transfer(task, {
      op: 'write',
      block: HOME_START + n,
      frames,
      count: 1,
      fua: false,
    });
    queue.byTest = false;
  }
}

/**
 * Recovers an image in memory; stops after `writesLeft` writes, as a power cut does.
 * Returns how many transactions were replayed; -1 if it was cut.
 */
function recoverImage(image: Int32Array, writesLeft = Number.POSITIVE_INFINITY): number {
  const io: JournalIo = {
    pageWords: PAGE_WORDS,
    *read(block, count, into) {
      into.set(image.subarray(block * PAGE_WORDS, (block + count) * PAGE_WORDS));
    },
    *write(block, words) {
      if (writesLeft-- <= 0) throw new RangeError('power cut');
      image.set(words, block * PAGE_WORDS);
    },
    *flush() {
      // Every write is durable at once here.
    },
  };
  try {
    const place = { journalStart: JOURNAL_START, journalBlocks: JOURNAL_BLOCKS };
    const recovery = recoverJournal(io, place);
    const result = recovery.next();
    if (result.done !== true) throw new InvariantError('recovery in memory waits for nobody');
    return result.value.transactions;
  } catch (error) {
    if (error instanceof RangeError) return -1;
    throw error;
  }
}

/** Does the image hold this state? Blocks that are not metadata must be as in `crashed`. */
function holds(image: Int32Array, crashed: Int32Array, model: Model): boolean {
  return model.every((value, n) => {
    const at = (HOME_START + n) * PAGE_WORDS;
    for (let i = 0; i < PAGE_WORDS; i++) {
      const first = value !== null && i === 0 && value !== 0 && value % 3 === 0;
      const expected = first ? LOG_MAGIC : (value ?? crashed[at + i]);
      if (image[at + i] !== expected) return false;
    }
    return true;
  });
}

/** Which state the recovered image holds must be a transaction's, and none before the promised one. */
function judge(run: Run, crashed: Int32Array, promised: number, where: string): void {
  const image = crashed.slice();
  recoverImage(image);
  const found = [...run.after].some(
    ([tid, model]) => tidAtLeast(tid, promised) && holds(image, crashed, model),
  );
  if (!found) throw new InvariantError(`no state from transaction ${String(promised)} on ${where}`);
}

function cutEverywhere(seed: number, steps: number, buffers: number): number {
  const random = randomFrom(seed);
  const workload = new Workload(random, buffers);
  const run = workload.run(steps);
  if (run.queue.trespasses.length > 0) {
    throw new InvariantError(
      `data blocks ${run.queue.trespasses.join()} were overwritten, seed ${String(seed)}`,
    );
  }
  const images = new CrashImages(run.initial, PAGE_WORDS);
  let promised = [...run.after.keys()].at(0) ?? 0;
  let cuts = 0;
  for (let events = 0; events <= run.queue.events.length; events++) {
    for (const promise of run.promises) if (promise.events === events) promised = promise.tid;
    const where = `after ${String(events)} of ${String(run.queue.events.length)} events, seed ${String(seed)}`;
    const picks = [
      (versions: number) => versions - 1,
      () => 0,
      (versions: number) => random(versions),
      (versions: number) => (random(4) === 0 ? 0 : versions - 1),
    ];
    for (const pick of picks) {
      judge(run, images.image(pick), promised, where);
      cuts++;
    }
    const event = run.queue.events.at(events);
    if (event !== undefined) images.add(event);
  }
  return cuts;
}

test('a cut at every write leaves all committed transactions, and no half one', (t) => {
  let cuts = 0;
  for (let seed = 1; seed <= 6; seed++) cuts += cutEverywhere(seed, 150, 64);
  t.log(`${String(cuts)} images recovered`);
  t.true(cuts > 1000);
});

test('so too when buffers are evicted all the time', (t) => {
  for (let seed = 100; seed < 104; seed++) t.true(cutEverywhere(seed, 150, 33) > 0);
});

test('a cut in the middle of recovery, again and again, does no harm', (t) => {
  const run = new Workload(randomFrom(7), 64).run(60);
  const images = new CrashImages(run.initial, PAGE_WORDS);
  for (const event of run.queue.events) images.add(event);
  const crashed = images.image((versions) => versions - 1);
  const once = crashed.slice();
  recoverImage(once);
  for (let writes = 0; ; writes++) {
    const image = crashed.slice();
    const complete = recoverImage(image, writes) >= 0;
    recoverImage(image);
    t.deepEqual(image.subarray(HOME_START * PAGE_WORDS), once.subarray(HOME_START * PAGE_WORDS));
    if (complete) break;
  }
});

test('planted: without the flush before the commit block a committed transaction is lost', (t) => {
  const run = new Workload(randomFrom(3), 64).run(60);
  const events = run.queue.events.filter((event) => event.kind !== 'flush');
  const images = new CrashImages(run.initial, PAGE_WORDS);
  for (const event of events) images.add(event);
  const promised = run.promises.at(-1)?.tid ?? 0;
  t.throws(() =>
    judge(
      run,
      images.image(() => 0),
      promised,
      'without flushes',
    ),
  );
});

test('after an unmount there is nothing to recover, and all is home', (t) => {
  const workload = new Workload(randomFrom(11), 64);
  const { queue } = workload.run(80);
  workload.drive((task) => closeMetadata(task, workload.v));
  const image = queue.disk.slice();
  t.true(holds(image, image, workload.model));
  const recovery = workload.drive((task) => openMetadata(task, workload.v));
  t.is(recovery.transactions, 0);
  workload.drive((task) => closeMetadata(task, workload.v));
});

test('a mount after a cut replays, and goes on with later transactions', (t) => {
  for (let seed = 20; seed < 24; seed++) {
    const random = randomFrom(seed);
    const first = new Workload(random, 64);
    first.run(50);
    const tid = [...first.after.keys()].at(-1) ?? 0;
    first.drive((task) => commitTransaction(task, first.v, tid));
    const second = new Workload(random, 64);
    second.queue.disk.set(first.queue.disk);
    for (const [n, value] of first.model.entries()) second.model[n] = value;
    for (const n of first.freed.keys()) second.freed.set(n, 0);
    const before = second.queue.disk.slice();
    const recovery = second.drive((task) => openMetadata(task, second.v));
    t.true(holds(second.queue.disk, before, second.model));
    t.true(recovery.transactions > 0);
    second.drive((task) => closeMetadata(task, second.v));
    second.run(60);
    second.drive((task) => closeMetadata(task, second.v));
    t.true(holds(second.queue.disk, second.queue.disk, second.model));
  }
});

test('a copy that rotted in the journal is not written home, nor is anything after it', (t) => {
  const workload = new Workload(randomFrom(5), 64);
  workload.run(30);
  const tid = [...workload.after.keys()].at(-1) ?? 0;
  workload.drive((task) => commitTransaction(task, workload.v, tid));
  const { disk } = workload.queue;
  const transactions = recoverImage(disk.slice());
  t.true(transactions > 2);
  let fewer = 0;
  for (let at = JOURNAL_START + 1; at < HOME_START; at++) {
    if (disk[at * PAGE_WORDS] === LOG_MAGIC) continue;
    const crashed = disk.slice();
    crashed[at * PAGE_WORDS + 9] ^= 4;
    if (recoverImage(crashed) < transactions) fewer++;
  }
  t.true(fewer > 10);
});

test('what users write never looks like a block of the journal', (t) => {
  const workload = new Workload(randomFrom(8), 64);
  workload.run(80);
  const { disk } = workload.queue;
  let blocks = 0;
  for (let at = JOURNAL_START + 1; at < HOME_START; at++) {
    const words = disk.subarray(at * PAGE_WORDS, (at + 1) * PAGE_WORDS);
    if (words[0] !== LOG_MAGIC) continue;
    t.not(words[1], words[2], 'a copy, of one stamp in all its words, kept the magic number');
    blocks++;
  }
  t.true(blocks > 3);
});

test("a journal that is not this volume's is refused", (t) => {
  const workload = new Workload(randomFrom(1), 64);
  workload.queue.disk[JOURNAL_START * PAGE_WORDS + 7] ^= 1;
  t.throws(() => workload.drive((task) => openMetadata(task, workload.v)), {
    message: /^EUCLEAN: .*run fsck/,
  });
});
