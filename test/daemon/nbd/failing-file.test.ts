// A backing file that fails: who asked hears of it, nothing is acknowledged that is not there, and other disks go on.

import { spawn } from 'node:child_process';
import { existsSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { COMMAND, COMMAND_FLAG, ERROR } from '../../../daemon/nbd/protocol.js';
import { mountExport } from '../../support/fuse.js';
import { requires } from '../../support/requires.js';
import { startTestDaemon, temporaryFolder, until } from '../../support/test-daemon.js';
import { RawClient } from './raw-client.js';

const { READ, WRITE, FLUSH, TRIM, WRITE_ZEROES } = COMMAND;
const BLOCK = 4096;
const SIZE = 2 ** 20;

/** Clients of the disk in that file, and of one in memory beside it. */
async function clients(t: ExecutionContext, image: string) {
  const nbd = join(temporaryFolder(t), 'nbd');
  await startTestDaemon(t, { nbd: { socket: nbd }, disks: [{ name: 'file', path: image }] });
  const [file, second, other] = [
    await RawClient.attach(t, nbd, 'file'),
    await RawClient.attach(t, nbd, 'file'),
    await RawClient.attach(t, nbd, 'scratch'),
  ];
  const says = async (
    client: RawClient,
    error: number,
    ...request: Parameters<RawClient['request']>
  ): Promise<Buffer> => {
    client.request(...request);
    t.is(await client.simple(), error, JSON.stringify(request.slice(0, 3)));
    const reads = request[0] === READ && error === ERROR.NONE;
    return reads ? await client.read(request[2]) : Buffer.alloc(0);
  };
  const othersGoOn = async (): Promise<void> => {
    await says(other, ERROR.NONE, WRITE, 0, BLOCK, COMMAND_FLAG.FUA, Buffer.alloc(BLOCK, 9));
    await says(other, ERROR.NONE, READ, 0, BLOCK);
    await says(other, ERROR.NONE, FLUSH, 0, 0);
  };
  return { file, second, says, othersGoOn };
}

test('a file that is truncated meanwhile: errors, no new zeroes, and no FLUSH succeeds any more', async (t) => {
  const image = join(temporaryFolder(t), 'disk.img');
  writeFileSync(image, Buffer.alloc(SIZE, 1));
  const { file, second, says, othersGoOn } = await clients(t, image);
  const block = Buffer.alloc(BLOCK, 2);
  await says(file, ERROR.NONE, WRITE, 0, BLOCK, 0, block);
  truncateSync(image, SIZE / 2);
  t.true((await says(file, ERROR.NONE, READ, 0, BLOCK)).equals(block));
  await says(file, ERROR.EIO, READ, SIZE / 2, BLOCK);
  // The second half of it is gone.
  await says(file, ERROR.EIO, READ, 0, SIZE);
  await says(file, ERROR.EIO, WRITE, SIZE - BLOCK, BLOCK, 0, block);
  await says(file, ERROR.EIO, WRITE_ZEROES, SIZE - BLOCK, BLOCK);
  await says(file, ERROR.EIO, FLUSH, 0, 0);
  await othersGoOn();
  truncateSync(image, SIZE);
  await says(second, ERROR.EIO, FLUSH, 0, 0);
  await says(second, ERROR.EIO, WRITE, 0, BLOCK, COMMAND_FLAG.FUA, block);
  await says(second, ERROR.NONE, READ, 0, BLOCK);
});

/** A disk in the file `image` of the folder, by a shell; whatever `fail-OPERATION` is there fails with EIO. */
function startFailing(t: ExecutionContext, folder: string): string {
  const socket = join(folder, 'failing');
  const fails = (operation: string): string =>
    `if test -e ${folder}/fail-${operation}; then echo EIO >&2; exit 1; fi; `;
  const image = join(folder, 'image');
  writeFileSync(image, Buffer.alloc(SIZE));
  const nbdkit = spawn('nbdkit', [
    ...['--foreground', '--unix', socket, '--threads', '1', 'eval', `get_size=echo ${SIZE}`],
    `pread=${fails('read')}dd if=${image} skip=$4 count=$3 iflag=count_bytes,skip_bytes status=none`,
    `pwrite=${fails('write')}dd of=${image} seek=$4 conv=notrunc oflag=seek_bytes status=none`,
    `flush=${fails('flush')}`,
    'can_write=exit 0',
    'can_flush=exit 0',
  ]);
  const ended = new Promise((resolve) => nbdkit.once('close', resolve));
  t.teardown(async () => {
    nbdkit.kill();
    await ended;
  });
  return socket;
}

test('EIO of read, write and fdatasync', async (t) => {
  if (!requires(t, 'nbdkit', 'nbdkit')) return;
  const folder = temporaryFolder(t);
  const socket = startFailing(t, folder);
  await until('nbdkit listens', () => existsSync(socket));
  const image = await mountExport(t, folder, `nbd+unix:///?socket=${socket}`);
  if (image === null) return;
  const { file, second, says, othersGoOn } = await clients(t, image.file);
  const block = Buffer.alloc(BLOCK, 3);
  const failing = async (operation: string, check: () => Promise<unknown>): Promise<void> => {
    writeFileSync(join(folder, `fail-${operation}`), '');
    await check();
    await othersGoOn();
    rmSync(join(folder, `fail-${operation}`));
  };
  await says(file, ERROR.NONE, WRITE, 0, BLOCK, COMMAND_FLAG.FUA, block);
  await failing('read', async () => await says(file, ERROR.EIO, READ, SIZE / 2, BLOCK));
  t.true((await says(second, ERROR.NONE, READ, SIZE / 2, BLOCK)).equals(Buffer.alloc(BLOCK)));
  await failing('write', async () => {
    await says(file, ERROR.EIO, WRITE, BLOCK, BLOCK, 0, block);
    await says(file, ERROR.EIO, WRITE, BLOCK, 32 * BLOCK, 0, Buffer.alloc(32 * BLOCK));
  });
  await says(second, ERROR.NONE, WRITE, BLOCK, BLOCK, 0, block);
  await says(second, ERROR.NONE, FLUSH, 0, 0);
  // Advice may be ignored.
  await says(second, ERROR.NONE, TRIM, 2 * BLOCK, BLOCK);
  await failing('flush', async () => await says(file, ERROR.EIO, FLUSH, 0, 0));
  await says(second, ERROR.EIO, FLUSH, 0, 0);
  await says(second, ERROR.EIO, WRITE, 0, BLOCK, COMMAND_FLAG.FUA, block);
  t.true((await says(second, ERROR.NONE, READ, BLOCK, BLOCK)).equals(block));
});
