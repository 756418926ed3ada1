// What fsync says of writeback that failed in the background.

import test from 'ava';
import { FileDevice } from '../../engine/block/file-device.js';
import { BLOCK_ERRORS } from '../../engine/block/request.js';
import { VolumeFiles } from '../../engine/fs/files.js';
import { iput } from '../../engine/fs/inode.js';
import { LAST_PAGE } from '../../engine/fs/layout.js';
import { lookup } from '../../engine/fs/names.js';
import { writepages } from '../../engine/fs/writepages.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { O } from '../../engine/syscall/file-table.js';
import { Process } from '../../engine/syscall/process.js';
import { check, newDisk, pattern, Rig } from './rig.js';

const MIB = 2 ** 20;

/** A disk that takes no writes while it is broken. */
class BreakableDisk extends FileDevice {
  broken = false;

  override *write(task: Task, block: number, frames: Int32Array, count: number): Op<number> {
    if (this.broken) return BLOCK_ERRORS.EIO;
    return yield* super.write(task, block, frames, count);
  }
}

test('a failed writeback is reported once to every open file, and to a later one if nobody saw it', (t) => {
  const disk = newDisk(16 * MIB);
  const devices: BreakableDisk[] = [];
  const rig = new Rig(disk, {
    device: (m, { fd, sizeBytes }) => {
      devices.push(new BreakableDisk(m, fd, sizeBytes));
      return devices[0];
    },
  });
  const { task, v, m } = rig;
  const p = new Process(m, new VolumeFiles(v));
  const open = (flags: number): number => rig.run(p.open(task, '/f', flags));
  const fsync = (fd: number) => () => {
    rig.run(p.fsync(task, fd));
  };
  const fail = (): void => {
    rig.run(p.pwrite(task, writer, pattern(8192, 1), 0));
    const inode = rig.run(lookup(task, v, rig.root, 'f'));
    devices[0].broken = true;
    t.throws(() => rig.run(writepages(task, v, inode, 'none', 0, LAST_PAGE)), { code: 'EIO' });
    devices[0].broken = false;
    rig.run(iput(task, v, inode));
  };

  const writer = open(O.rdwr | O.creat);
  const before = open(O.rdonly);
  fail();
  const unseen = open(O.rdonly);
  const lost = { code: 'EIO', message: /write them again/ };
  for (const fd of [writer, before, unseen]) {
    t.throws(fsync(fd), lost);
    t.notThrows(fsync(fd));
  }
  const after = open(O.rdonly);
  t.notThrows(fsync(after));

  // A second failure is news for all, also of those who saw the first.
  fail();
  for (const fd of [after, unseen, before, writer]) t.throws(fsync(fd), lost);
  t.notThrows(fsync(writer));
  rig.run(p.exit(task));
  rig.unmount();
  t.deepEqual(check(disk), []);
  disk.close();
});
