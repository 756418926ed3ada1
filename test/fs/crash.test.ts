// Power cuts at write boundaries of a whole volume: fsck finds nothing, what fsync promised is
// there, and no file shows anything but its own bytes or zeroes.

import test from 'ava';
import { Ramdisk } from '../../engine/block/ramdisk.js';
import type { BlockDevice } from '../../engine/block/request.js';
import { fsync, readFile, writeFile } from '../../engine/fs/file.js';
import { iput } from '../../engine/fs/inode.js';
import type { MkfsOptions } from '../../engine/fs/mkfs.js';
import { create, lookup, rename, unlink } from '../../engine/fs/names.js';
import { punchHole, stat, truncate } from '../../engine/fs/truncate.js';
import type { Machine } from '../../engine/machine.js';
import { Errno } from '../../engine/sched/errors.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { sharedWords } from '../block/machine.js';
import { CrashImages, type DiskEvent, randomFrom } from './crash-disk.js';
import { check, diskOf, imageOf, newDisk, pattern, Rig, same } from './rig.js';

const PAGE = 4096;
const DISK_BYTES = 4 * 2 ** 20;
const STEPS = 120;
const CUTS = 40;

class RecordingDevice implements BlockDevice {
  readonly events: DiskEvent[] = [];
  readonly blocks: number;
  private readonly disk: Ramdisk;

  constructor(
    private readonly m: Machine,
    image: Int32Array,
  ) {
    const words = sharedWords(image.length);
    words.set(image);
    this.disk = new Ramdisk(m, words);
    this.blocks = this.disk.blocks;
  }

  check(): number {
    return 0;
  }

  *read(task: Task, block: number, frames: Int32Array, count: number): Op<number> {
    return yield* this.disk.read(task, block, frames, count);
  }

  *write(task: Task, block: number, frames: Int32Array, count: number): Op<number> {
    const pages = Array.from(frames.subarray(0, count), (pfn) => {
      const at = this.m.frames.wordOffset(pfn);
      return this.m.frames.wordSegment(pfn).slice(at, at + PAGE / 4);
    });
    this.events.push({ kind: 'write', block, pages, fua: false });
    return yield* this.disk.write(task, block, frames, count);
  }

  *flush(task: Task): Op<number> {
    this.events.push({ kind: 'flush' });
    return yield* this.disk.flush(task);
  }

  *discard(task: Task, block: number, count: number): Op<number> {
    return yield* this.disk.discard(task, block, count);
  }
}

/** From event `from` on this file has these bytes, until event `until`. */
interface Promised {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly from: number;
  until: number;
}

class Workload {
  readonly promises: Promised[] = [];
  readonly image: Int32Array;
  readonly device: RecordingDevice;
  private readonly files = new Map<string, Uint8Array>();
  private made = 0;

  constructor(
    options: MkfsOptions,
    private readonly random: (below: number) => number,
  ) {
    const disk = newDisk(DISK_BYTES, { inodes: 128, journalBlocks: 256, ...options });
    this.image = imageOf(disk);
    const devices: RecordingDevice[] = [];
    const rig = new Rig(disk, {
      device: (m) => {
        devices.push(new RecordingDevice(m, this.image));
        return devices[0];
      },
    });
    this.device = devices[0];
    for (let step = 0; step < STEPS; step++) this.step(rig);
    disk.close();
  }

  private step(rig: Rig): void {
    const names = [...this.files.keys()];
    const name = names.length === 0 ? null : names[this.random(names.length)];
    const kind = this.random(10);
    try {
      if (name === null || kind < 4) this.makeFile(rig);
      else if (kind < 6) this.remove(rig, name);
      else if (kind < 7) this.shorten(rig, name);
      else if (kind < 8) this.punch(rig, name);
      else if (kind < 9) this.move(rig, name);
      else rig.run(rig.v.background(rig.task));
    } catch (error) {
      if (!(error instanceof Errno) || error.code !== 'ENOSPC') throw error;
    }
  }

  private makeFile(rig: Rig): void {
    const { task, v } = rig;
    const name = `f${String(this.made++)}`;
    const size = [50, 180, 3000, 20_000, 200_000][this.random(5)];
    const bytes = pattern(size, this.made);
    const inode = rig.run(create(task, v, rig.root, name, 0o644));
    try {
      const first = Math.min(size, 100);
      rig.run(writeFile(task, v, inode, 0, bytes.subarray(0, first)));
      if (size > first) {
        const done = rig.run(writeFile(task, v, inode, first, bytes.subarray(first)));
        if (done < size - first) throw new Errno('ENOSPC', 'full');
      }
      this.files.set(name, bytes);
      if (this.random(2) === 0) this.sync(rig, inode, name, bytes);
    } finally {
      rig.run(iput(task, v, inode));
    }
  }

  private sync(rig: Rig, inode: number, name: string, bytes: Uint8Array): void {
    rig.run(fsync(rig.task, rig.v, inode));
    const from = this.device.events.length;
    this.promises.push({ name, bytes, from, until: Number.POSITIVE_INFINITY });
  }

  /** The file is about to change: what was promised of it ends here. */
  private end(name: string): void {
    for (const promise of this.promises) {
      if (promise.name === name) promise.until = Math.min(promise.until, this.device.events.length);
    }
  }

  private remove(rig: Rig, name: string): void {
    this.end(name);
    rig.run(unlink(rig.task, rig.v, rig.root, name));
    this.files.delete(name);
  }

  private shorten(rig: Rig, name: string): void {
    this.change(rig, name, (inode, bytes) => {
      const size = this.random(bytes.length + 1);
      rig.run(truncate(rig.task, rig.v, inode, size));
      return bytes.slice(0, size);
    });
  }

  private punch(rig: Rig, name: string): void {
    this.change(rig, name, (inode, bytes) => {
      const at = this.random(bytes.length + 1);
      const length = 1 + this.random(20_000);
      rig.run(punchHole(rig.task, rig.v, inode, at, length));
      return bytes.slice().fill(0, at, at + length);
    });
  }

  private change(
    rig: Rig,
    name: string,
    change: (inode: number, bytes: Uint8Array) => Uint8Array,
  ): void {
    this.end(name);
    const inode = rig.run(lookup(rig.task, rig.v, rig.root, name));
    try {
      const bytes = change(inode, this.files.get(name) ?? new Uint8Array(0));
      this.files.set(name, bytes);
      if (this.random(2) === 0) this.sync(rig, inode, name, bytes);
    } finally {
      rig.run(iput(rig.task, rig.v, inode));
    }
  }

  private move(rig: Rig, name: string): void {
    this.end(name);
    const target = `f${String(this.made++)}`;
    rig.run(rename(rig.task, rig.v, rig.root, name, rig.root, target));
    const bytes = this.files.get(name);
    this.files.delete(name);
    if (bytes !== undefined) this.files.set(target, bytes);
  }
}

/** What is wrong with an image cut after `events` events; null if nothing. */
function verify(image: Int32Array, work: Workload, events: number): string | null {
  const disk = diskOf(image);
  const damages = check(disk);
  if (damages.length > 0) return damages.slice(0, 3).join('; ');
  const rig = new Rig(disk);
  try {
    for (const promise of work.promises) {
      if (promise.from > events || promise.until < events) continue;
      const inode = rig.run(lookup(rig.task, rig.v, rig.root, promise.name));
      const bytes = new Uint8Array(rig.run(stat(rig.v, inode)).sizeBytes);
      rig.run(readFile(rig.task, rig.v, inode, 0, bytes));
      rig.run(iput(rig.task, rig.v, inode));
      if (!same(bytes, promise.bytes)) {
        const at = bytes.findIndex((byte, i) => byte !== promise.bytes[i]);
        return `${promise.name}: ${String(bytes.length)} B for ${String(promise.bytes.length)}, first difference at ${String(at)}`;
      }
    }
    rig.unmount();
    return check(disk).at(0) ?? null;
  } finally {
    disk.close();
  }
}

for (const [title, options] of [
  ['plain', {}],
  ['inline data, checksums and cow', { inlineData: true, checksums: true, cow: true }],
] satisfies [string, MkfsOptions][]) {
  test(`a power cut anywhere loses nothing that fsync promised (${title})`, (t) => {
    const seed = Number(process.env['PINFOLD_SEED'] ?? Date.now() % 1_000_000);
    t.log(`seed ${String(seed)} (PINFOLD_SEED)`);
    const random = randomFrom(seed);
    const work = new Workload(options, random);
    const { events } = work.device;
    t.log(`${String(events.length)} events, ${String(work.promises.length)} promises`);
    const cuts = new Set(Array.from({ length: CUTS }, () => random(events.length + 1)));
    const images = new CrashImages(work.image, PAGE / 4);
    for (let at = 0; at <= events.length; at++) {
      if (cuts.has(at)) {
        const flip = random(3);
        const image = images.image((count) =>
          flip === 0 ? 0 : flip === 1 ? count - 1 : random(count),
        );
        const wrong = verify(image, work, at);
        if (wrong !== null)
          t.fail(
            `cut after event ${String(at)} (${['oldest', 'newest', 'mixed'][flip]}): ${wrong}`,
          );
      }
      if (at < events.length) images.add(events[at]);
    }
    t.pass();
  });
}
