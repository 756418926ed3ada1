// Syncs that come in the middle of something else, step by step, and then a power cut: what the sync
// promised is there, and nothing half done is. Each of these was once different.

import test from 'ava';
import { directWrite } from '../../engine/fs/direct.js';
import { commitUpTo, fsync, readFile, writeFile } from '../../engine/fs/file.js';
import { iput } from '../../engine/fs/inode.js';
import { currentTid } from '../../engine/fs/journal.js';
import { create, lookup, mkdir, readlink, symlink } from '../../engine/fs/names.js';
import { punchHole, stat, truncate } from '../../engine/fs/truncate.js';
import { allocPage } from '../../engine/mm/alloc.js';
import { InvariantError } from '../../engine/sched/errors.js';
import type { Op, Sleep, Task } from '../../engine/sched/op.js';
import { SectorStore } from './power-cut/sectors.js';
import { Trace } from './power-cut/trace.js';
import { TracedQueue, TracedVolume } from './power-cut/traced-queue.js';
import { check, diskOf, imageOf, newDisk, pattern, Rig, same } from './rig.js';

const PAGE = 4096;
/** Inodes of one block of the inode table: the next block is not in memory before it is used. */
const INODES_PER_BLOCK = 16;

/** A task of a play: it goes on only when it is told to. */
class Player {
  done = false;
  private sleep: Sleep | null = null;

  constructor(private readonly op: Op<unknown>) {}

  /** Runs until it has to wait, or has ended. */
  run(): this {
    while (!this.done) {
      if (
        this.sleep !== null &&
        Atomics.load(this.sleep.words, this.sleep.index) === this.sleep.expected
      )
        return this;
      const { value, done } = this.op.next();
      this.done = done === true;
      this.sleep = done !== true && value.kind === 'sleep' ? value : null;
    }
    return this;
  }
}

/** A volume on a disk that answers when it is told to. */
class Stage {
  readonly rig: Rig;
  readonly queue: TracedQueue;
  private readonly image: Int32Array;
  private players = 0;

  constructor() {
    const disk = newDisk(2 * 2 ** 20, { inodes: 128, journalBlocks: 256 });
    this.image = imageOf(disk);
    const store = new SectorStore();
    const trace = new Trace(store, store.idsOf(new Uint8Array(this.image.buffer)));
    const queues: TracedQueue[] = [];
    this.rig = new Rig(disk, {
      volume: (m, shared) => {
        queues.push(new TracedQueue(m, this.image, store, trace));
        return new TracedVolume(m, shared, queues[0]);
      },
    });
    disk.close();
    this.queue = queues[0];
  }

  /** A file with these bytes, durable. */
  file(name: string, bytes: Uint8Array): number {
    const { rig } = this;
    const inode = rig.run(create(rig.task, rig.v, rig.root, name, 0o644));
    rig.run(writeFile(rig.task, rig.v, inode, 0, bytes));
    rig.run(fsync(rig.task, rig.v, inode));
    return inode;
  }

  /** From now on the disk answers only when it is told to. */
  begin(): void {
    this.queue.immediate = false;
  }

  /** Starts an operation, which runs until it waits. */
  play(operation: (task: Task) => Op<unknown>): Player {
    const task = this.rig.m.newTask(`player ${this.players++}`, 1);
    return new Player(operation(task)).run();
  }

  /** Answers everything that is in flight. */
  answer(): void {
    while (this.queue.inFlight.length > 0) this.queue.answer(0);
  }

  /** Lets one player come to its end; of the others only these go on. */
  finish(player: Player, ...others: readonly Player[]): void {
    for (let turns = 0; !player.run().done; turns++) {
      if (turns > 100) throw new InvariantError('the player waits for another one');
      this.answer();
      for (const other of others) other.run();
    }
  }

  /** Fills the first block of the inode table, so that the next inode is in a block that must be read. */
  fillInodeBlock(files: number): void {
    const { task, v, root } = this.rig;
    for (let i = 2 + files; i < INODES_PER_BLOCK; i++)
      this.rig.run(iput(task, v, this.rig.run(create(task, v, root, `filler ${i}`, 0o644))));
    this.rig.run(v.sync(task));
  }

  /** Cuts the power; the disk has written everything that it was given. */
  cut(): { rig: Rig; damages: string[] } {
    const damages = check(diskOf(this.image));
    return { rig: new Rig(diskOf(this.image)), damages };
  }
}

function contentsOf(rig: Rig, name: string): Uint8Array {
  const inode = rig.run(lookup(rig.task, rig.v, rig.root, name));
  const bytes = new Uint8Array(rig.run(stat(rig.v, inode)).sizeBytes);
  rig.run(readFile(rig.task, rig.v, inode, 0, bytes));
  return bytes;
}

test('a symbolic link has its target as soon as it has its name', (t) => {
  for (const target of ['near', 'far/'.repeat(100)]) {
    const stage = new Stage();
    const { v, root } = stage.rig;
    stage.fillInodeBlock(0);
    stage.begin();
    // It reads the block of its inode, in a handle; a commit waits for the handle meanwhile.
    const linker = stage.play((task) => symlink(task, v, root, 'link', target));
    const syncer = stage.play((task) => v.sync(task));
    t.false(linker.done);
    t.false(syncer.done);
    stage.answer();
    linker.run();
    stage.finish(syncer);
    const { rig, damages } = stage.cut();
    t.deepEqual(damages, []);
    const inode = rig.run(lookup(rig.task, rig.v, rig.root, 'link'));
    t.is(rig.run(readlink(rig.task, rig.v, inode)), target);
  }
});

test('a sync in the middle of a truncate promises the shorter file, not an older one', (t) => {
  const stage = new Stage();
  const { v, task } = stage.rig;
  const file = stage.file('file', pattern(3 * PAGE, 1));
  const bytes = pattern(3 * PAGE, 2);
  stage.rig.run(writeFile(task, v, file, 0, bytes));
  stage.begin();
  // The truncate drops one page and waits for the next one, which is being written.
  const writer = stage.play((one) => v.writepages(one, file, 'none', 2, 2));
  const cutter = stage.play((one) => truncate(one, v, file, 2000));
  t.false(writer.done);
  t.false(cutter.done);
  stage.finish(
    stage.play((one) => v.sync(one)),
    writer,
  );
  t.false(cutter.done);
  const { rig, damages } = stage.cut();
  t.deepEqual(damages, []);
  t.true(same(contentsOf(rig, 'file'), bytes.subarray(0, 2000)));
});

test('pages on their way to the disk when a truncate takes them leave no blocks behind the end', (t) => {
  const stage = new Stage();
  const { v, task } = stage.rig;
  const other = stage.file('other', pattern(10, 1));
  const file = stage.file('file', pattern(100, 2));
  stage.rig.run(writeFile(task, v, file, 100, pattern(3 * PAGE, 3)));
  stage.rig.run(writeFile(task, v, other, 0, pattern(10, 4)));
  stage.begin();
  const writer = stage.play((one) => v.writepages(one, file, 'none', 0, 10));
  const cutter = stage.play((one) => truncate(one, v, file, 50));
  t.false(writer.done);
  t.false(cutter.done);
  stage.finish(writer);
  stage.finish(stage.play((one) => fsync(one, v, other)));
  const { rig, damages } = stage.cut();
  t.deepEqual(damages, []);
  t.true(same(contentsOf(rig, 'file').subarray(0, 50), pattern(100, 2).subarray(0, 50)));
});

test('a sync in the middle of the punching of a hole promises what was written before, or the hole', (t) => {
  const stage = new Stage();
  const { v, task, root } = stage.rig;
  const file = stage.file('file', pattern(4 * PAGE, 1));
  stage.fillInodeBlock(1);
  const bytes = pattern(4 * PAGE, 2);
  stage.rig.run(writeFile(task, v, file, 0, bytes));
  stage.begin();
  // One is in a handle, reading; a commit waits for it; so no other handle can start.
  const creator = stage.play((one) => create(one, v, root, 'new', 0o644));
  const committer = stage.play((one) => commitUpTo(one, v, currentTid(v), false));
  const puncher = stage.play((one) => punchHole(one, v, file, PAGE, 2 * PAGE));
  stage.answer();
  puncher.run();
  const syncer = stage.play((one) => fsync(one, v, file));
  t.false(creator.done || committer.done || puncher.done || syncer.done);
  stage.finish(syncer, creator, committer);
  const { rig, damages } = stage.cut();
  t.deepEqual(damages, []);
  const found = contentsOf(rig, 'file');
  t.true(same(found, bytes) || same(found, bytes.slice().fill(0, PAGE, 3 * PAGE)));
});

test('a file that grows after a power cut shows zeroes, not what a lost append left in its last block', (t) => {
  const stage = new Stage();
  const { v, task } = stage.rig;
  const file = stage.file('file', pattern(100, 1));
  stage.rig.run(writeFile(task, v, file, 100, pattern(1000, 2)));
  stage.begin();
  // The block is written, the size that covers it is in no transaction yet.
  stage.finish(stage.play((one) => v.writepages(one, file, 'none', 0, 0)));
  const { rig, damages } = stage.cut();
  t.deepEqual(damages, []);
  const expected = new Uint8Array(2 * PAGE);
  expected.set(pattern(100, 1));
  const inode = rig.run(lookup(rig.task, rig.v, rig.root, 'file'));
  rig.run(truncate(rig.task, rig.v, inode, expected.length));
  t.true(same(contentsOf(rig, 'file'), expected));
  // Not only in memory.
  rig.run(iput(rig.task, rig.v, inode));
  rig.run(iput(rig.task, rig.v, rig.run(lookup(rig.task, rig.v, rig.root, 'file'))));
  rig.run(rig.v.sync(rig.task));
  t.true(same(contentsOf(new Rig(diskOf(imageOf(rig.disk))), 'file'), expected));
});

test('who has a handle finds a block, whatever another one has claimed for what he is going to write', (t) => {
  const stage = new Stage();
  const { v, task, root, m } = stage.rig;
  const file = stage.file('file', pattern(10, 1));
  const dir = stage.rig.run(mkdir(task, v, root, 'dir', 0o755));
  const frames = Int32Array.of(stage.rig.run(allocPage(task, m)));
  stage.begin();
  const writer = stage.play((one) => directWrite(one, v, file, PAGE, frames, 1));
  t.false(writer.done);
  // Its first entry takes a block, in a handle. If that waited for the writer, and the writer for a
  // commit, all would wait for ever.
  stage.finish(stage.play((one) => create(one, v, dir, 'name', 0o644)));
  t.false(writer.done);
  stage.finish(writer);
});
