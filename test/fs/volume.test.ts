// What users of a volume see: names, bytes, sizes, errors; also after unmounting and mounting again.

import test from 'ava';
import { fsync, readFile, writeFile } from '../../engine/fs/file.js';
import { iput } from '../../engine/fs/inode.js';
import type { MkfsOptions } from '../../engine/fs/mkfs.js';
import {
  create,
  link,
  lookup,
  mkdir,
  readdir,
  readlink,
  rename,
  rmdir,
  symlink,
  unlink,
} from '../../engine/fs/names.js';
import { punchHole, setattr, stat, truncate } from '../../engine/fs/truncate.js';
import { check, newDisk, pattern, Rig, same } from './rig.js';

const MIB = 2 ** 20;

const VARIANTS: readonly [string, MkfsOptions][] = [
  ['plain', {}],
  ['no journal', { journal: false }],
  ['inline data', { inlineData: true }],
  ['checksums', { checksums: true }],
  ['cow', { cow: true }],
  ['all', { inlineData: true, checksums: true, cow: true }],
];

/** Makes a file with this content; the slot is given back. */
function put(rig: Rig, dir: number, name: string, data: Uint8Array): void {
  const { task, v } = rig;
  const inode = rig.run(create(task, v, dir, name, 0o644));
  rig.run(writeFile(task, v, inode, 0, data));
  rig.run(iput(task, v, inode));
}

function get(rig: Rig, dir: number, name: string): Uint8Array {
  const { task, v } = rig;
  const inode = rig.run(lookup(task, v, dir, name));
  const data = new Uint8Array(rig.run(stat(v, inode)).sizeBytes);
  const read = rig.run(readFile(task, v, inode, 0, data));
  rig.run(iput(task, v, inode));
  return data.subarray(0, read);
}

function names(rig: Rig, dir: number): string[] {
  const found: string[] = [];
  for (let cursor = 0; cursor >= 0; ) {
    const { entries, next } = rig.run(readdir(rig.task, rig.v, dir, cursor));
    found.push(...entries.map((entry) => entry.name));
    cursor = next;
  }
  return found;
}

for (const [title, options] of VARIANTS) {
  test(`files come back after a remount (${title})`, (t) => {
    const disk = newDisk(16 * MIB, options);
    const rig = new Rig(disk);
    const sizes = [0, 1, 100, 192, 193, 4096, 5000, 300_000];
    for (const size of sizes) put(rig, rig.root, `f${String(size)}`, pattern(size, size));
    for (const size of sizes)
      t.true(same(get(rig, rig.root, `f${String(size)}`), pattern(size, size)));
    rig.unmount();
    t.deepEqual(check(disk), []);
    const again = new Rig(disk);
    for (const size of sizes) {
      t.true(
        same(get(again, again.root, `f${String(size)}`), pattern(size, size)),
        `size ${String(size)}`,
      );
    }
    t.deepEqual(names(again, again.root).sort(), sizes.map((s) => `f${String(s)}`).sort());
    again.unmount();
    t.deepEqual(check(disk), []);
    t.is(again.m.findings().count, 0, JSON.stringify(again.m.findings().kept));
    disk.close();
  });

  test(`overwrites, growth, truncate and punch (${title})`, (t) => {
    const disk = newDisk(16 * MIB, options);
    const rig = new Rig(disk);
    const { task, v } = rig;
    const inode = rig.run(create(task, v, rig.root, 'file', 0o600));
    const model = new Uint8Array(200_000);
    let size = 0;
    const write = (offset: number, length: number, seed: number): void => {
      const data = pattern(length, seed);
      t.is(rig.run(writeFile(task, v, inode, offset, data)), length);
      model.fill(0, size, Math.max(size, offset));
      model.set(data, offset);
      size = Math.max(size, offset + length);
    };
    const verify = (): void => {
      const got = new Uint8Array(size + 10);
      t.is(rig.run(readFile(task, v, inode, 0, got)), size);
      t.true(same(got.subarray(0, size), model.subarray(0, size)));
    };
    write(10, 100, 1);
    verify();
    write(150, 30, 2);
    rig.run(fsync(task, v, inode));
    write(0, 50_000, 3);
    verify();
    rig.run(fsync(task, v, inode));
    write(20_000, 10_000, 4);
    rig.run(truncate(task, v, inode, 33_333));
    size = 33_333;
    verify();
    rig.run(truncate(task, v, inode, 60_000));
    model.fill(0, 33_333, 60_000);
    size = 60_000;
    verify();
    rig.run(punchHole(task, v, inode, 5_000, 20_000));
    model.fill(0, 5_000, 25_000);
    verify();
    rig.run(fsync(task, v, inode));
    write(100_000, 50_000, 5);
    rig.run(punchHole(task, v, inode, 8_192, 100));
    model.fill(0, 8_192, 8_292);
    rig.run(setattr(task, v, inode, 0o755, 77));
    rig.run(iput(task, v, inode));
    rig.unmount();
    t.deepEqual(check(disk), []);
    const again = new Rig(disk);
    t.true(same(get(again, again.root, 'file'), model.subarray(0, size)));
    const slot = again.run(lookup(again.task, again.v, again.root, 'file'));
    const status = again.run(stat(again.v, slot));
    t.is(status.mode & 0o777, 0o755);
    t.is(status.mtimeMs, 77);
    again.run(iput(again.task, again.v, slot));
    again.run(unlink(again.task, again.v, again.root, 'file'));
    again.unmount();
    t.deepEqual(check(disk), []);
    t.is(rig.m.findings().count, 0, JSON.stringify(rig.m.findings().kept));
    disk.close();
  });
}

test('directories, links and renames', (t) => {
  const disk = newDisk(8 * MIB);
  const rig = new Rig(disk);
  const { task, v } = rig;
  const a = rig.run(mkdir(task, v, rig.root, 'a', 0o755));
  const b = rig.run(mkdir(task, v, a, 'b', 0o755));
  put(rig, b, 'file', pattern(100, 1));
  rig.run(iput(task, v, rig.run(symlink(task, v, a, 'short', '../somewhere'))));
  rig.run(iput(task, v, rig.run(symlink(task, v, a, 'long', 'x/'.repeat(1000)))));
  const file = rig.run(lookup(task, v, b, 'file'));
  rig.run(link(task, v, file, rig.root, 'second'));
  t.is(rig.run(stat(v, file)).nlink, 2);
  rig.run(iput(task, v, file));
  t.throws(() => rig.run(rmdir(task, v, rig.root, 'a')), { code: 'ENOTEMPTY' });
  t.throws(() => rig.run(rename(task, v, rig.root, 'a', b, 'c')), { code: 'EINVAL' });
  t.throws(() => rig.run(unlink(task, v, rig.root, 'a')), { code: 'EISDIR' });
  t.throws(() => rig.run(create(task, v, rig.root, 'second', 0)), { code: 'EEXIST' });
  t.throws(() => rig.run(lookup(task, v, rig.root, 'none')), { code: 'ENOENT' });
  t.throws(() => rig.run(create(task, v, rig.root, 'x'.repeat(256), 0)), { code: 'ENAMETOOLONG' });
  rig.run(rename(task, v, a, 'b', rig.root, 'moved'));
  rig.run(rename(task, v, rig.root, 'second', b, 'file'));
  put(rig, rig.root, 'over', pattern(10, 2));
  rig.run(rename(task, v, rig.root, 'over', b, 'file'));
  for (const slot of [a, b]) rig.run(iput(task, v, slot));
  rig.unmount();
  t.deepEqual(check(disk), []);
  const again = new Rig(disk);
  t.deepEqual(names(again, again.root).sort(), ['a', 'moved', 'second']); // a rename onto another name of the same file does nothing
  const moved = again.run(lookup(again.task, again.v, again.root, 'moved'));
  const up = again.run(lookup(again.task, again.v, moved, '..'));
  t.is(up, again.root);
  t.deepEqual(get(again, moved, 'file'), pattern(10, 2));
  const dir = again.run(lookup(again.task, again.v, again.root, 'a'));
  const long = again.run(lookup(again.task, again.v, dir, 'long'));
  t.is(again.run(readlink(again.task, again.v, long)), 'x/'.repeat(1000));
  const short = again.run(lookup(again.task, again.v, dir, 'short'));
  t.is(again.run(readlink(again.task, again.v, short)), '../somewhere');
  for (const slot of [moved, up, dir, long, short]) again.run(iput(again.task, again.v, slot));
  again.unmount();
  t.is(again.m.findings().count, 0, JSON.stringify(again.m.findings().kept));
  disk.close();
});
