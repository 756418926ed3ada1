// Disks through a daemon: what is written comes back, and what is out of range, locked, damaged or full is refused.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Disk } from '../../clients/node/index.js';
import { startDaemon } from '../../daemon/lifecycle.js';
import { PinfoldError } from '../../daemon/protocol/errors.js';
import { closeDescriptor, lockFile, openFile } from '../../native/index.js';
import { startTestDaemon, temporaryFolder, testConfig } from '../support/test-daemon.js';

const BLOCK = 4096;

/** Each lane writes and reads back its own blocks, all lanes at a time. */
async function roundTrips(disk: Disk, depth: number, rounds: number): Promise<boolean> {
  const lanes = Array.from({ length: depth }, async (_, lane) => {
    for (let round = 0; round < rounds; round++) {
      const data = randomBytes(BLOCK);
      const offset = ((round * depth + lane) * BLOCK) % disk.sizeBytes;
      await disk.write(offset, data, { fua: round % 8 === 7 });
      if (!(await disk.read(offset, BLOCK)).equals(data)) return false;
    }
    return true;
  });
  return (await Promise.all(lanes)).every(Boolean);
}

test('a memory disk: round trips at depth 32', async (t) => {
  const { client } = await startTestDaemon(t);
  const disk = await (await client()).disk('scratch');
  t.true(await roundTrips(disk, 32, 40));
});

test('a file disk: round trips at depth 32, which are in the file after a flush', async (t) => {
  const file = join(temporaryFolder(t), 'disk.img');
  const { client } = await startTestDaemon(t, { disks: [{ name: 'd', size: '2M', path: file }] });
  const disk = await (await client()).disk('d');
  t.true(await roundTrips(disk, 32, 16));
  await disk.flush();
  t.true(readFileSync(file).equals(await disk.read(0, disk.sizeBytes)));
});

test('transfers longer than one request, and discards', async (t) => {
  const file = join(temporaryFolder(t), 'disk.img');
  const { client } = await startTestDaemon(t, {
    disks: [
      { name: 'd', size: '8M', path: file },
      { name: 'm', size: '8M' },
    ],
  });
  const connected = await client();
  for (const name of ['d', 'm']) {
    const disk = await connected.disk(name);
    const data = randomBytes(5 * 2 ** 20);
    await disk.write(512, data);
    t.true((await disk.read(512, data.byteLength)).equals(data));
    await disk.discard(4096, 2 ** 20);
    t.true((await disk.read(4096, 2 ** 20)).equals(Buffer.alloc(2 ** 20)));
    t.true((await disk.read(512, 3584)).equals(data.subarray(0, 3584)));
  }
});

test('outside a disk and not in whole sectors: EINVAL, and ENOSPC for writes past the end', async (t) => {
  const file = join(temporaryFolder(t), 'disk.img');
  const { client } = await startTestDaemon(t, { disks: [{ name: 'd', size: '1M', path: file }] });
  const connected = await client();
  for (const name of ['scratch', 'd']) {
    const disk = await connected.disk(name);
    const block = Buffer.alloc(BLOCK);
    const size = disk.sizeBytes;
    await t.throwsAsync(disk.read(size - 512, BLOCK), { code: 'EINVAL', message: /past the end/ });
    await t.throwsAsync(disk.read(2 ** 52, BLOCK), { code: 'EINVAL' });
    await t.throwsAsync(disk.write(size, block), { code: 'ENOSPC' });
    await t.throwsAsync(disk.discard(size, 4096), { code: 'EINVAL' });
    await t.throwsAsync(disk.read(100, 512), { code: 'EINVAL', message: /multiples of 512/ });
    await t.throwsAsync(disk.write(0, Buffer.alloc(100)), { code: 'EINVAL' });
    await disk.write(size - BLOCK, block);
  }
});

test('a disk, region or volume that does not exist: ENODEV names those that do', async (t) => {
  const connected = await (await startTestDaemon(t)).client();
  await t.throwsAsync(connected.disk('x'), { code: 'ENODEV', message: /has scratch/ });
  await t.throwsAsync(connected.region('x'), { code: 'ENODEV', message: /has shared/ });
  await t.throwsAsync(connected.volume('x'), { code: 'ENODEV', message: /has files/ });
});

test('a backing file that is locked, of another size, or of no size is refused', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'disk.img');
  const start = async (size?: string) => {
    const disk = size === undefined ? { name: 'd', path: file } : { name: 'd', path: file, size };
    return await startDaemon(testConfig(join(folder, 'socket'), { disks: [disk], volumes: [] }));
  };
  writeFileSync(file, Buffer.alloc(1000));
  await t.throwsAsync(start('1M'), { code: 'EINVAL', message: /has 1000 bytes, but size=1048576/ });
  await t.throwsAsync(start(), { code: 'EINVAL', message: /multiple of 4096/ });
  truncateSync(file, 8192);
  const fd = openFile(file);
  lockFile(fd);
  await t.throwsAsync(start(), {
    code: 'EBUSY',
    message: new RegExp(`lock held by pid ${process.pid}`),
  });
  closeDescriptor(fd);
  const daemon = await start();
  await daemon.close();
});

test('a file that is truncated while in use: EIO, nothing more is acknowledged, other disks go on', async (t) => {
  const file = join(temporaryFolder(t), 'disk.img');
  const { client } = await startTestDaemon(t, { disks: [{ name: 'd', size: '1M', path: file }] });
  const connected = await client();
  const disk = await connected.disk('d');
  await disk.write(0, Buffer.alloc(BLOCK, 1));
  truncateSync(file, 65536);
  const expected = { code: 'EIO', message: /truncated to 65536 bytes while in use/ };
  await t.throwsAsync(disk.read(0, BLOCK), expected);
  await t.throwsAsync(disk.write(0, Buffer.alloc(BLOCK)), expected);
  await t.throwsAsync(disk.flush(), expected);
  const scratch = await connected.disk('scratch');
  await scratch.write(0, Buffer.alloc(BLOCK));
  truncateSync(file, 2 ** 20); // so that the daemon can close it
});

test('a full disk below the file: ENOSPC, what was acknowledged stays, the daemon goes on', async (t) => {
  const folder = temporaryFolder(t);
  const mount = join(folder, 'small');
  mkdirSync(mount);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', mount], { stdio: 'ignore' });
  } catch {
    t.log('# skip: mounting a small tmpfs takes root');
    t.pass();
    return;
  }
  t.teardown(() => execFileSync('umount', ['-l', mount]));
  const file = join(mount, 'disk.img');
  const { client } = await startTestDaemon(t, { disks: [{ name: 'd', size: '4M', path: file }] });
  const disk = await (await client()).disk('d');
  const block = Buffer.alloc(65536, 7);
  let written = 0;
  const error = await t.throwsAsync(
    async () => {
      for (; written < disk.sizeBytes; written += block.byteLength)
        await disk.write(written, block);
    },
    { instanceOf: PinfoldError },
  );
  t.is(error.code, 'ENOSPC');
  for (let offset = 0; offset < written; offset += block.byteLength) {
    t.true((await disk.read(offset, block.byteLength)).equals(block));
  }
  await disk.flush();
});
