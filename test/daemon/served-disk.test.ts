// A disk that is served by the disks' thread for its IPC clients, too.

import test, { type ExecutionContext } from 'ava';
import { FileDisk } from '../../daemon/file-disk.js';
import { MemoryDisk } from '../../daemon/memory-disk.js';
import { NbdServer } from '../../daemon/nbd/server.js';
import { ServedDisk } from '../../daemon/served-disk.js';
import { temporaryFolder } from '../support/test-daemon.js';

const MIB = 2 ** 20;
const never = new AbortController().signal;

async function served(t: ExecutionContext, plain: MemoryDisk | FileDisk): Promise<ServedDisk> {
  const disk = new ServedDisk(plain);
  const server = await NbdServer.start(undefined, [disk], [], (error) => {
    throw error;
  });
  disk.thread = server;
  t.teardown(async () => {
    await server.close();
    await disk.close();
  });
  return disk;
}

for (const kind of ['memory', 'file']) {
  test(`a disk in ${kind}: through the thread and back, the bytes are the same`, async (t) => {
    const path = `${temporaryFolder(t)}/disk.img`;
    const plain =
      kind === 'memory' ? new MemoryDisk('d', 8 * MIB) : FileDisk.open('d', path, 8 * MIB);
    const disk = await served(t, plain);
    const bytes = Buffer.alloc(3 * MIB, 'all that was written');
    if (disk.inline !== null) disk.inline.copyIn(512, bytes);
    else await disk.write(512, bytes, false, never);
    await disk.enterThread('test');
    t.is(disk.inline, null);
    const back = Buffer.alloc(bytes.length);
    await disk.read(512, back, never);
    t.true(back.equals(bytes));
    await Promise.all([
      disk.write(4 * MIB, bytes, true, never),
      disk.write(0, Buffer.alloc(512, 7), false, never),
      disk.discard(512, 4096, never),
    ]);
    await disk.flush(never);
    disk.leaveThread('test');
    t.is(disk.inline === null, kind === 'file');
    const all = Buffer.alloc(8 * MIB);
    if (disk.inline !== null) disk.inline.copyOut(0, all);
    else await disk.read(0, all, never);
    t.is(all[511], 7);
    t.is(all[512], 0);
    t.true(all.subarray(4 * MIB, 7 * MIB).equals(bytes));
    t.true(all.subarray(512 + 4096, 512 + bytes.length).equals(bytes.subarray(4096)));
  });
}

test('what the thread refuses is an error with its code, and what is withdrawn is told at once', async (t) => {
  const disk = await served(t, new MemoryDisk('d', MIB));
  await disk.enterThread('test');
  await t.throwsAsync(disk.read(MIB, Buffer.alloc(512), never), {
    code: 'EINVAL',
    message: /offset 1048576 of disk d/,
  });
  await t.throwsAsync(disk.write(MIB, Buffer.alloc(512), false, never), { code: 'ENOSPC' });
  await t.throwsAsync(disk.flush(AbortSignal.abort()), { code: 'EINTR' });
  await disk.flush(never);
});
