// Copy-on-write volumes: an overwrite goes to another block, and to another page (H1-d).

import test from 'ava';
import { fsync, readFile, writeFile } from '../../engine/fs/file.js';
import { mapBlock } from '../../engine/fs/folio-state.js';
import { create } from '../../engine/fs/names.js';
import { putFolio } from '../../engine/mm/alloc.js';
import { findFolio } from '../../engine/mm/filemap.js';
import { PIN_BIAS } from '../../engine/mm/folio.js';
import { newDisk, pattern, Rig, same } from './rig.js';

test('an overwrite goes to another block and another page', (t) => {
  const disk = newDisk(8 * 2 ** 20, { cow: true });
  const rig = new Rig(disk);
  const { task, v, m } = rig;
  const inode = rig.run(create(task, v, rig.root, 'file', 0o644));
  rig.run(writeFile(task, v, inode, 0, pattern(4096, 1)));
  rig.run(fsync(task, v, inode));
  const before = rig.run(mapBlock(task, v, inode, 0)).phys;
  const page = rig.run(findFolio(task, m, inode, 0)); // a reference, as vmsplice has one
  rig.run(writeFile(task, v, inode, 100, pattern(10, 2)));
  t.not(rig.run(findFolio(task, m, inode, 0)), page);
  rig.run(fsync(task, v, inode));
  t.not(rig.run(mapBlock(task, v, inode, 0)).phys, before);
  m.frames.view(page).fill(7); // what a device stores into the old page is in no file
  const expected = pattern(4096, 1);
  expected.set(pattern(10, 2), 100);
  const got = new Uint8Array(4096);
  rig.run(readFile(task, v, inode, 0, got));
  t.true(same(got, expected));
  rig.run(putFolio(task, m, page));
  disk.close();
});

test('a pinned page stays where it is if the rules in force say so (P8), and is replaced if not', (t) => {
  for (const [profile, stays] of [
    ['linux-6.12+P8-no-replacement', true],
    ['linux-6.12', false],
  ] as const) {
    const disk = newDisk(8 * 2 ** 20, { cow: true });
    const rig = new Rig(disk, { profile });
    const { task, v, m } = rig;
    const inode = rig.run(create(task, v, rig.root, 'file', 0o644));
    rig.run(writeFile(task, v, inode, 0, pattern(4096, 1)));
    rig.run(fsync(task, v, inode));
    const before = rig.run(mapBlock(task, v, inode, 0)).phys;
    const page = rig.run(findFolio(task, m, inode, 0));
    m.state.refcount[page] += PIN_BIAS - 1; // the reference is a pin
    rig.run(writeFile(task, v, inode, 100, pattern(10, 2)));
    const now = rig.run(findFolio(task, m, inode, 0));
    t.is(now === page, stays, profile);
    rig.run(putFolio(task, m, now));
    rig.run(putFolio(task, m, page, PIN_BIAS));
    rig.run(fsync(task, v, inode));
    t.not(
      rig.run(mapBlock(task, v, inode, 0)).phys,
      before,
      'the disk is copy-on-write all the same',
    );
    disk.close();
  }
});
