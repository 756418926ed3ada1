// Random operations against a model in memory, with remounts in between.

import test from 'ava';
import fc from 'fast-check';
import { directRead, directWrite } from '../../engine/fs/direct.js';
import { fsync, readFile, writeFile } from '../../engine/fs/file.js';
import { iput } from '../../engine/fs/inode.js';
import type { MkfsOptions } from '../../engine/fs/mkfs.js';
import { create, lookup, readdir, rename, unlink } from '../../engine/fs/names.js';
import { punchHole, stat, truncate } from '../../engine/fs/truncate.js';
import { allocPage, putFolio } from '../../engine/mm/alloc.js';
import { truncatePages } from '../../engine/mm/truncate.js';
import { check, newDisk, pattern, Rig, same } from './rig.js';

const NAMES = ['a', 'b', 'c', 'd'];
const SIZE_MAX = 60_000;

type Step =
  | { readonly op: 'write'; readonly name: number; readonly at: number; readonly length: number }
  | { readonly op: 'direct'; readonly name: number; readonly at: number; readonly length: number }
  | { readonly op: 'truncate'; readonly name: number; readonly at: number }
  | { readonly op: 'punch'; readonly name: number; readonly at: number; readonly length: number }
  | { readonly op: 'read' | 'fsync' | 'unlink' | 'drop'; readonly name: number }
  | { readonly op: 'rename'; readonly name: number; readonly to: number }
  | { readonly op: 'sync' | 'remount' };

const name = fc.nat(NAMES.length - 1);
const at = fc.oneof(
  fc.nat(SIZE_MAX),
  fc.nat(300),
  fc.nat(14).map((page) => page * 4096),
);
const length = fc.oneof(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 200 }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ op: fc.constant('write' as const), name, at, length }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('direct' as const), name, at, length }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('truncate' as const), name, at }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('punch' as const), name, at, length }) },
  {
    weight: 4,
    arbitrary: fc.record({ op: fc.constantFrom('read', 'fsync', 'unlink', 'drop'), name }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('rename' as const), name, to: name }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constantFrom('sync', 'remount') }) },
);

/** The volume beside its model; every step checks what it can. */
class Pair {
  private rig: Rig;
  private readonly files = new Map<string, Uint8Array>();
  private seed = 1;

  constructor(private readonly disk: ReturnType<typeof newDisk>) {
    this.rig = new Rig(disk);
  }

  step(step: Step): void {
    switch (step.op) {
      case 'sync':
        this.rig.run(this.rig.v.sync(this.rig.task));
        return;
      case 'remount':
        this.remount();
        return;
      case 'rename':
        this.rename(NAMES[step.name], NAMES[step.to]);
        return;
      case 'unlink':
        this.unlink(NAMES[step.name]);
        return;
      case 'write':
      case 'direct':
        this.write(NAMES[step.name], step.at, step.length, step.op === 'direct');
        return;
      default:
        this.change(NAMES[step.name], step);
    }
  }

  finish(): void {
    for (const name of NAMES) if (this.files.has(name)) this.verify(name);
    this.remount();
    for (const name of NAMES) if (this.files.has(name)) this.verify(name);
    const { entries } = this.rig.run(readdir(this.rig.task, this.rig.v, this.rig.root, 0));
    const found = entries.map((entry) => entry.name).sort();
    if (found.join() !== [...this.files.keys()].sort().join()) throw new Error(found.join());
    this.rig.unmount();
  }

  private remount(): void {
    const { m } = this.rig;
    this.rig.unmount();
    const damages = check(this.disk);
    if (damages.length > 0) throw new Error(damages.join('\n'));
    const { count, kept } = m.findings();
    if (count > 0) throw new Error(JSON.stringify(kept[0]));
    this.rig = new Rig(this.disk);
  }

  private write(name: string, at: number, length: number, direct: boolean): void {
    const { rig } = this;
    const { task, v } = rig;
    const fresh = !this.files.has(name);
    const inode = rig.run(
      fresh ? create(task, v, rig.root, name, 0o644) : lookup(task, v, rig.root, name),
    );
    const offset = direct ? at - (at % 4096) : at;
    const bytes = pattern(direct ? Math.ceil(length / 4096) * 4096 : length, this.seed++);
    if (direct) this.writeDirect(inode, offset, bytes);
    else rig.run(writeFile(task, v, inode, offset, bytes));
    const old = this.files.get(name) ?? new Uint8Array(0);
    const grown = new Uint8Array(Math.max(old.length, offset + bytes.length));
    grown.set(old);
    grown.set(bytes, offset);
    this.files.set(name, grown);
    rig.run(iput(task, v, inode));
  }

  private writeDirect(inode: number, offset: number, bytes: Uint8Array): void {
    const { rig } = this;
    const count = bytes.length / 4096;
    const pfns = Int32Array.from({ length: count }, () => rig.run(allocPage(rig.task, rig.m)));
    for (let i = 0; i < count; i++) {
      rig.m.frames.view(pfns[i]).set(bytes.subarray(i * 4096, (i + 1) * 4096));
    }
    rig.run(directWrite(rig.task, rig.v, inode, offset, pfns, count));
    for (const pfn of pfns) rig.m.frames.view(pfn).fill(0xee);
    rig.run(directRead(rig.task, rig.v, inode, offset, pfns, count));
    for (let i = 0; i < count; i++) {
      if (!same(rig.m.frames.view(pfns[i]), bytes.subarray(i * 4096, (i + 1) * 4096)))
        throw new Error(`direct read at ${String(offset)}, page ${String(i)}`);
      rig.run(putFolio(rig.task, rig.m, pfns[i]));
    }
  }

  private change(name: string, step: Step): void {
    const old = this.files.get(name);
    if (old === undefined) return;
    const { rig } = this;
    const { task, v } = rig;
    const inode = rig.run(lookup(task, v, rig.root, name));
    if (step.op === 'truncate') {
      rig.run(truncate(task, v, inode, step.at));
      const cut = new Uint8Array(step.at);
      cut.set(old.subarray(0, step.at));
      this.files.set(name, cut);
    } else if (step.op === 'punch') {
      rig.run(punchHole(task, v, inode, step.at, step.length));
      this.files.set(name, old.slice().fill(0, step.at, step.at + step.length));
    } else if (step.op === 'fsync') {
      rig.run(fsync(task, v, inode));
    } else if (step.op === 'drop') {
      rig.run(fsync(task, v, inode));
      rig.run(truncatePages(task, rig.m, inode, 0, 1000)); // clean pages only: as reclaim
    }
    rig.run(iput(task, v, inode));
    this.verify(name);
  }

  private rename(from: string, to: string): void {
    const bytes = this.files.get(from);
    if (bytes === undefined || from === to) return;
    const { task, v, root } = this.rig;
    this.rig.run(rename(task, v, root, from, root, to));
    this.files.delete(from);
    this.files.set(to, bytes);
  }

  private unlink(name: string): void {
    if (!this.files.delete(name)) return;
    this.rig.run(unlink(this.rig.task, this.rig.v, this.rig.root, name));
  }

  private verify(name: string): void {
    const { rig } = this;
    const expected = this.files.get(name) ?? new Uint8Array(0);
    const inode = rig.run(lookup(rig.task, rig.v, rig.root, name));
    const size = rig.run(stat(rig.v, inode)).sizeBytes;
    const bytes = new Uint8Array(size);
    rig.run(readFile(rig.task, rig.v, inode, 0, bytes));
    rig.run(iput(rig.task, rig.v, inode));
    if (same(bytes, expected)) return;
    const wrong = bytes.findIndex((byte, i) => byte !== expected[i]);
    throw new Error(
      `${name}: ${String(size)} B for ${String(expected.length)}, first difference at ${String(wrong)}`,
    );
  }
}

for (const [title, options] of [
  ['plain', {}],
  ['no journal', { journal: false }],
  ['inline data', { inlineData: true }],
  ['inline data, checksums and cow', { inlineData: true, checksums: true, cow: true }],
] satisfies [string, MkfsOptions][]) {
  test(`any sequence of operations does what the model says (${title})`, (t) => {
    const seed = Number(process.env['PINFOLD_SEED'] ?? Date.now() % 1_000_000);
    t.log(`seed ${String(seed)} (PINFOLD_SEED)`);
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        const disk = newDisk(8 * 2 ** 20, { inodes: 64, ...options });
        try {
          const pair = new Pair(disk);
          for (const one of steps) pair.step(one);
          pair.finish();
        } finally {
          disk.close();
        }
      }),
      { seed, numRuns: 25, includeErrorInReport: true },
    );
    t.pass();
  });
}
