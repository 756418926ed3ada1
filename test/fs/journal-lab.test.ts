// The block queue and the journal in the lab: random schedules of every step, and no step hides a race.

import test from 'ava';
import { BlockQueue, blockQueueWords } from '../../engine/block/queue.js';
import { Ramdisk } from '../../engine/block/ramdisk.js';
import {
  bufferAt,
  bufferSegment,
  getBuffer,
  lockBuffer,
  putBuffer,
  unlockBuffer,
} from '../../engine/fs/buffer.js';
import {
  checkpoint,
  commitTransaction,
  dirtyMetadata,
  startHandle,
  stopHandle,
} from '../../engine/fs/journal.js';
import { type JournalIo, recoverJournal } from '../../engine/fs/journal-replay.js';
import { Metadata, type MetadataStore, metadataWords } from '../../engine/fs/metadata.js';
import { formatJournal, openMetadata } from '../../engine/fs/recovery.js';
import type { Machine } from '../../engine/machine.js';
import { read, store, write } from '../../engine/memory/word.js';
import { profileByName } from '../../engine/profile/profiles.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import { check } from '../../lab/checker.js';
import { explore } from '../../lab/explore.js';
import { h1c } from '../../lab/hazards/h1-c.js';
import type { ActorSource, Program } from '../../lab/program.js';

const profile = profileByName('linux-6.12');
const PAGE_WORDS = 16;
const DEPTH = 1;
const PLACE = { journalStart: 0, journalBlocks: 61 };
const CONFIG = { ...PLACE, buffers: 32 };
const HOME = PLACE.journalBlocks;
const DISK_WORDS = (HOME + 4) * PAGE_WORDS;

const QUEUE_AT = DISK_WORDS;
const META_AT = QUEUE_AT + blockQueueWords(DEPTH);
const EXTRA_WORDS = META_AT + metadataWords(CONFIG);

const volumes = new WeakMap<Machine, MetadataStore>();

function volumeOf(m: Machine): MetadataStore {
  const known = volumes.get(m);
  if (known !== undefined) return known;
  const { extra } = m.state;
  const device = new Ramdisk(m, extra.subarray(0, DISK_WORDS));
  const queue = new BlockQueue(m, extra.subarray(QUEUE_AT, META_AT), device);
  const meta = new Metadata(m, extra.subarray(META_AT), CONFIG);
  const v = { m, queue, meta };
  volumes.set(m, v);
  return v;
}

function program(
  name: string,
  actors: readonly ActorSource[],
  verify: (m: Machine) => string,
): Program {
  const small = h1c();
  return {
    ...small,
    name,
    geometry: {
      ...small.geometry,
      pageBytes: PAGE_WORDS * 4,
      pages: 64,
      extraWords: EXTRA_WORDS,
    },
    attach: volumeOf,
    setUp: function* (task, m) {
      const v = volumeOf(m);
      v.queue.init(DEPTH);
      formatJournal(m.state.extra.subarray(0, PAGE_WORDS), PLACE.journalBlocks, 9);
      yield* openMetadata(task, v);
    },
    actors,
    verify: (m) => {
      const message = verify(m);
      return message === '' ? [] : [{ kind: 'lost-write', hazard: name, task: 'all', message }];
    },
  };
}

/** Adds 1 to the first word of some blocks, in one handle, and makes that durable. */
function* count(task: Task, m: Machine, blocks: readonly number[]): Op<void> {
  const v = volumeOf(m);
  const handle = yield* startHandle(task, v, blocks.length);
  for (const block of blocks) {
    const b = yield* getBuffer(task, v, block);
    yield* lockBuffer(task, v, b);
    const words = bufferSegment(v, b);
    const at = bufferAt(v, b);
    write(words, at, read(words, at) + 1);
    yield* dirtyMetadata(task, v, handle, b);
    if (lab?.point()) yield STEP;
    unlockBuffer(task, v, b);
    yield* putBuffer(task, v, b);
  }
  const { tid } = handle;
  yield* stopHandle(task, v, handle);
  yield* commitTransaction(task, v, tid);
}

/** The counters that a recovery of the disk finds. */
function recovered(m: Machine): number[] {
  const image = m.state.extra.slice(0, DISK_WORDS);
  const io: JournalIo = {
    pageWords: PAGE_WORDS,
    *read(block, blocks, into) {
      into.set(image.subarray(block * PAGE_WORDS, (block + blocks) * PAGE_WORDS));
    },
    *write(block, words) {
      image.set(words, block * PAGE_WORDS);
    },
    *flush() {
      // Nothing is volatile here.
    },
  };
  const recovery = recoverJournal(io, PLACE);
  recovery.next();
  return [0, 1, 2].map((n) => image[(HOME + n) * PAGE_WORDS]);
}

const counters = program(
  'journal',
  [
    { name: 'one', run: (task, m) => count(task, m, [HOME, HOME + 1]) },
    { name: 'two', run: (task, m) => count(task, m, [HOME, HOME + 2]) },
    { name: 'checkpoint', run: (task, m) => checkpoint(task, volumeOf(m)) },
  ],
  (m) => {
    const found = recovered(m).join();
    return found === '2,1,1' ? '' : `2,1,1 were counted and committed, ${found} recovered`;
  },
);

/** Writes and reads back a block of its own through a queue of one slot. */
function* echo(task: Task, m: Machine, n: number): Op<void> {
  const { queue, meta } = volumeOf(m);
  const frames = meta.bounce.subarray(n, n + 1);
  const words = m.frames.wordSegment(frames[0]);
  const at = m.frames.wordOffset(frames[0]);
  for (let round = 1; round <= 2; round++) {
    if (lab?.point()) yield STEP;
    store(words, at, n * 10 + round);
    const first = yield* queue.submit(task, {
      op: 'write',
      block: HOME + n,
      frames,
      count: 1,
      fua: false,
    });
    const second = yield* queue.submit(task, {
      op: 'read',
      block: HOME + n,
      frames,
      count: 1,
      fua: false,
    });
    yield* queue.wait(task, first);
    yield* queue.wait(task, second);
  }
}

const echoes = program(
  'queue',
  [0, 1, 2].map((n) => ({ name: `cpu ${String(n)}`, run: (task, m) => echo(task, m, n) })),
  (m) => {
    const found = [0, 1, 2].map((n) => m.state.extra[(HOME + n) * PAGE_WORDS]).join();
    return found === '2,12,22' ? '' : `blocks hold ${found}`;
  },
);

for (const tried of [echoes, counters]) {
  test(`${tried.name}: nothing is lost and nobody hangs under random schedules`, (t) => {
    const result = explore(tried, profile, { strategy: 'random', budget: 400 });
    t.deepEqual(result.failures, []);
  });

  test(`${tried.name}: no step hides a race`, (t) => {
    t.deepEqual(check(tried, profile, 2, 100), []);
  });
}
