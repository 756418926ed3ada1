// A mixed workload of several actors on one volume, by a seed, and the account of what was done and
// promised. The disk keeps many requests in flight meanwhile, and answers them in any order.

import { commitUpTo } from '../../../engine/fs/file.js';
import { checkpoint, currentTid } from '../../../engine/fs/journal.js';
import { LAST_PAGE } from '../../../engine/fs/layout.js';
import type { MkfsOptions } from '../../../engine/fs/mkfs.js';
import { type Op, sleepOn, type Task } from '../../../engine/sched/op.js';
import { randomFrom } from '../crash-disk.js';
import { imageOf, newDisk, Rig } from '../rig.js';
import { Actor } from './actor.js';
import { Actors } from './actors.js';
import type { ActorHistory } from './history.js';
import { SectorStore } from './sectors.js';
import { Trace } from './trace.js';
import { TracedQueue, TracedVolume } from './traced-queue.js';
import type { Logged, World } from './world.js';

export interface WorkloadOptions {
  readonly seed: number;
  /** Operations of all actors together. */
  readonly operations: number;
  readonly mkfs: MkfsOptions;
}

/** What happened, and what was promised. */
export interface Run {
  readonly trace: Trace;
  readonly store: SectorStore;
  /** The sectors of the empty volume. */
  readonly base: Int32Array;
  readonly actors: readonly ActorHistory[];
  readonly log: readonly Logged[];
}

const DISK_BYTES = 2 * 2 ** 20;
const ACTORS = 3;

/** Runs a workload from mount to unmount. */
export function runWorkload({ seed, operations, mkfs }: WorkloadOptions): Run {
  const random = randomFrom(seed);
  const disk = newDisk(DISK_BYTES, { inodes: 128, journalBlocks: 256, ...mkfs });
  const image = imageOf(disk);
  const store = new SectorStore();
  const base = store.idsOf(new Uint8Array(image.buffer));
  const trace = new Trace(store, base);
  const queues: TracedQueue[] = [];
  const rig = new Rig(disk, {
    mms: ACTORS,
    volume: (m, shared) => {
      queues.push(new TracedQueue(m, image, store, trace));
      return new TracedVolume(m, shared, queues[0]);
    },
  });
  disk.close();
  let stamps = 0;
  const stamp = (): number => ++stamps;
  const world: World = { rig, trace, store, log: [], histories: [], random, stamp };
  const scheduler = new Actors(queues[0], random);
  for (let i = 0; i < ACTORS; i++) {
    const actor = new Actor(world, i);
    const count =
      Math.floor(((i + 1) * operations) / ACTORS) - Math.floor((i * operations) / ACTORS);
    scheduler.add(actor.task, actor.run(count));
  }
  const flusher = rig.m.newTask('flusher', ACTORS);
  scheduler.add(flusher, flush(flusher, world, scheduler));
  scheduler.run();
  world.log.push({ at: trace.length, text: 'unmount' });
  rig.unmount();
  for (const { names, files } of world.histories)
    for (const history of [names, ...files]) history.promise(trace.length, history.newest);
  return { trace, store, base, actors: world.histories, log: world.log };
}

/** Writes back, commits and checkpoints from time to time, as long as there are others. */
function* flush(task: Task, { rig, random, log, trace }: World, actors: Actors): Op<void> {
  const { v, m } = rig;
  while (actors.count > 1) {
    yield sleepOn(task, actors.clock, 0, Atomics.load(actors.clock, 0));
    const kind = random(8);
    if (kind < 4) {
      const inode = random(m.geometry.inodes);
      if (!(yield* v.grabInode(task, inode))) continue;
      log.push({ at: trace.length, text: `flusher: writes inode ${m.state.ino[inode]}` });
      yield* v.writepages(task, inode, 'none', 0, LAST_PAGE);
      yield* v.putInode(task, inode);
    } else if (kind === 4) {
      log.push({ at: trace.length, text: 'flusher: commits' });
      yield* commitUpTo(task, v, currentTid(v), false);
    } else if (kind === 5) {
      log.push({ at: trace.length, text: 'flusher: checkpoints' });
      yield* checkpoint(task, v);
    }
  }
}
