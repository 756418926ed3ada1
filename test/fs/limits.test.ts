// Large directories, sparse files, full volumes, and a second thread's view of a mounted volume.

import test from 'ava';
import { fsync, readFile, writeFile } from '../../engine/fs/file.js';
import { iput } from '../../engine/fs/inode.js';
import { create, lookup, mkdir, readdir, unlink } from '../../engine/fs/names.js';
import { stat, truncate } from '../../engine/fs/truncate.js';
import { storeUser } from '../../engine/mm/access.js';
import { createMm, mmap, VM } from '../../engine/mm/vma.js';
import { check, newDisk, pattern, Rig, same } from './rig.js';

const MIB = 2 ** 20;

test('10,000 names in one directory are all found, listed once and deleted', (t) => {
  const disk = newDisk(64 * MIB, { inodes: 12_000 });
  const rig = new Rig(disk, { buffers: 1024, inodes: 512 });
  const { task, v } = rig;
  const dir = rig.run(mkdir(task, v, rig.root, 'big', 0o755));
  const names = Array.from({ length: 10_000 }, (_, i) => `file number ${String(i)}`);
  for (const name of names) rig.run(iput(task, v, rig.run(create(task, v, dir, name, 0o644))));
  const found: string[] = [];
  for (let cursor = 0; cursor >= 0; ) {
    const { entries, next } = rig.run(readdir(task, v, dir, cursor));
    found.push(...entries.map((entry) => entry.name));
    cursor = next;
  }
  t.is(found.length, names.length);
  t.is(new Set(found).size, names.length);
  for (const name of names.slice(0, 100)) {
    rig.run(iput(task, v, rig.run(lookup(task, v, dir, name))));
  }
  for (const name of names.slice(0, 5000)) rig.run(unlink(task, v, dir, name));
  rig.run(iput(task, v, dir));
  rig.unmount();
  t.deepEqual(check(disk), []);
  disk.close();
});

test('names told before and after a directory grows are told once', (t) => {
  const disk = newDisk(16 * MIB, { inodes: 4096 });
  const rig = new Rig(disk);
  const { task, v, root } = rig;
  const add = (name: string): void => {
    rig.run(iput(task, v, rig.run(create(task, v, root, name, 0o644))));
  };
  for (let i = 0; i < 500; i++) add(`early ${String(i)}`);
  const told = new Map<string, number>();
  let late = 0;
  for (let cursor = 0; cursor >= 0; ) {
    const { entries, next } = rig.run(readdir(task, v, root, cursor));
    for (const { name } of entries) told.set(name, (told.get(name) ?? 0) + 1);
    for (let i = 0; i < 100; i++) add(`late ${String(late++)}`);
    cursor = next;
  }
  for (let i = 0; i < 500; i++) t.is(told.get(`early ${String(i)}`), 1);
  t.true([...told.values()].every((count) => count === 1));
  disk.close();
});

test('a sparse file of 8 GiB', (t) => {
  const disk = newDisk(16 * MIB);
  const rig = new Rig(disk);
  const { task, v } = rig;
  const inode = rig.run(create(task, v, rig.root, 'sparse', 0o644));
  const size = 8 * 2 ** 30;
  rig.run(truncate(task, v, inode, size));
  // Each page on its own: more extents than fit into the inode, and into one block of the tree.
  const spots = Array.from({ length: 600 }, (_, i) => (i * 3571 * 4096 * 3) % size);
  for (const [i, at] of spots.entries()) {
    rig.run(writeFile(task, v, inode, at, pattern(10, i)));
  }
  rig.run(fsync(task, v, inode));
  rig.run(iput(task, v, inode));
  rig.unmount();
  t.deepEqual(check(disk), []);
  const again = new Rig(disk);
  const slot = again.run(lookup(again.task, again.v, again.root, 'sparse'));
  t.is(again.run(stat(again.v, slot)).sizeBytes, size);
  for (const [i, at] of spots.entries()) {
    const bytes = new Uint8Array(11);
    again.run(readFile(again.task, again.v, slot, at, bytes));
    t.true(same(bytes.subarray(0, 10), pattern(10, i)) && bytes[10] === 0, `spot ${String(i)}`);
  }
  again.run(truncate(again.task, again.v, slot, 4096));
  again.run(iput(again.task, again.v, slot));
  again.unmount();
  t.deepEqual(check(disk), []);
  disk.close();
});

for (const checksums of [false, true]) {
  test(`a full volume says so when a page is dirtied, never when it is written (checksums ${String(checksums)})`, (t) => {
    const disk = newDisk(4 * MIB, { checksums });
    const rig = new Rig(disk);
    const { task, v, m } = rig;
    const inode = rig.run(create(task, v, rig.root, 'fill', 0o644));
    const piece = pattern(64 * 1024, 1);
    let written = 0;
    let error: unknown = null;
    while (error === null && written < 8 * MIB) {
      try {
        written += rig.run(writeFile(task, v, inode, written, piece));
      } catch (caught) {
        error = caught;
      }
    }
    t.like(error, { code: 'ENOSPC' });
    t.true(written > MIB);
    rig.run(fsync(task, v, inode));
    // A store through a mapping into a hole needs a block too.
    const hole = rig.run(create(task, v, rig.root, 'hole', 0o644));
    rig.run(truncate(task, v, hole, 8192));
    const mm = createMm(m);
    const request = {
      inode: hole,
      pgoff: 0,
      pages: 1,
      vpn: -1,
      flags: VM.read | VM.write | VM.shared,
    };
    const vpn = rig.run(mmap(task, m, mm, request));
    t.throws(() => rig.run(storeUser(task, m, mm, vpn, 0, new Uint8Array(4))), { code: 'ENOSPC' });
    // Deleting makes room, after the transaction has committed.
    rig.run(iput(task, v, inode));
    rig.run(unlink(task, v, rig.root, 'fill'));
    rig.run(writeFile(task, v, hole, 0, pattern(MIB, 2)));
    rig.run(fsync(task, v, hole));
    t.deepEqual(m.findings().kept, []);
    disk.close();
  });
}
