// A volume of the engine through a daemon: files, mappings, pins, durability, and what goes wrong.

import { randomBytes } from 'node:crypto';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type Client, connect } from '../../clients/node/index.js';
import { parseConfig } from '../../daemon/config.js';
import { type Daemon, startDaemon } from '../../daemon/lifecycle.js';
import { openDisk } from '../../engine/block/disk.js';
import { mkfs } from '../../engine/fs/mkfs.js';
import { startProgram, type Test, temporaryFolder, until } from '../support/test-daemon.js';

const MIB = 2 ** 20;

interface Rig {
  readonly client: Client;
  readonly daemon: Daemon;
  readonly image: string;
  readonly socket: string;
  /** Another daemon on the same image, after the first was closed. */
  readonly again: () => Promise<Client>;
}

function makeImage(t: Test, sizeBytes = 64 * MIB): { folder: string; image: string } {
  const folder = temporaryFolder(t);
  const image = join(folder, 'volume.img');
  const disk = openDisk(image, { createBytes: sizeBytes });
  mkfs(disk);
  disk.close();
  return { folder, image };
}

async function startRig(t: Test, profile = 'best-known'): Promise<Rig> {
  const { folder, image } = makeImage(t);
  const socket = join(folder, 'socket');
  const start = async (): Promise<[Daemon, Client]> => {
    const volumes = [{ name: 'v', path: image, profile, memory: '16M', lockdep: true }];
    const daemon = await startDaemon(parseConfig({ socket, volumes, logLevel: 'silent' }, 'test'));
    const client = await connect(socket, { reconnect: false });
    t.teardown(async () => {
      await client.close();
      await daemon.close();
    });
    return [daemon, client];
  };
  const [daemon, client] = await start();
  return {
    client,
    daemon,
    image,
    socket,
    again: async () => {
      await client.close();
      await daemon.close();
      return (await start())[1];
    },
  };
}

test.serial('what was written is there after the daemon was stopped and started', async (t) => {
  const { client, again } = await startRig(t);
  const volume = await client.volume('v');
  await volume.mkdir('/d');
  const data = randomBytes(3 * MIB + 123);
  const file = await volume.open('/d/file', { create: true });
  await file.pwrite(0, data);
  t.true((await file.pread(0, 4 * MIB)).equals(data));
  await file.punch(4096, 8192);
  await volume.rename('/d/file', '/d/other');
  t.deepEqual(
    (await volume.readdir('/d')).map(({ name, kind }) => [name, kind]),
    [['other', 'file']],
  );
  const second = await (await again()).volume('v');
  data.fill(0, 4096, 12288);
  const reopened = await second.open('/d/other', { writable: false });
  t.is((await reopened.stat()).sizeBytes, data.byteLength);
  t.true((await reopened.pread(0, 4 * MIB)).equals(data));
  await t.throwsAsync(second.rmdir('/d'), { code: 'ENOTEMPTY' });
  await second.unlink('/d/other');
  await second.rmdir('/d');
  t.deepEqual(await second.readdir('/'), []);
});

test.serial('many files at a time from two clients', async (t) => {
  const { client, socket } = await startRig(t);
  const other = await connect(socket, { reconnect: false });
  const volumes = [await client.volume('v'), await other.volume('v')];
  const contents = Array.from({ length: 40 }, () => randomBytes(20_000));
  await Promise.all(
    contents.map(async (data, i) => {
      const file = await volumes[i % 2].open(`/file-${i}`, { create: true });
      await file.pwrite(0, data);
      await file.fsync();
      await file.close();
    }),
  );
  for (const [i, data] of contents.entries()) {
    const file = await volumes[(i + 1) % 2].open(`/file-${i}`, { writable: false });
    t.true((await file.pread(0, 30_000)).equals(data));
  }
  t.is((await volumes[0].readdir('/')).length, 40);
  await other.close();
});

test.serial(
  'a device writes into a pinned page of a mapping, and fsync makes it durable',
  async (t) => {
    const { client, again } = await startRig(t);
    const volume = await client.volume('v');
    const file = await volume.open('/a', { create: true });
    await file.truncate(64 * 4096);
    const mapping = await file.map(0, 64 * 4096);
    await mapping.store(10, Buffer.from('from the cpu'));
    const pin = await mapping.pin(4096, 8192);
    t.is(pin.pages, 2);
    await pin.dmaWrite(4090, Buffer.from('from the device'));
    t.is((await mapping.load(4096 + 4090, 15)).toString(), 'from the device');
    await volume.writeback('flush');
    t.is((await pin.dmaRead(4090, 4)).toString(), 'from');
    await pin.unpin();
    await file.fsync();
    const { pinsAcquired, pinsReleased } = await volume.statistics();
    t.is(pinsAcquired, pinsReleased);
    const second = await (await again()).volume('v');
    const reopened = await second.open('/a');
    t.is((await reopened.pread(10, 12)).toString(), 'from the cpu');
    t.is((await reopened.pread(4096 + 4090, 15)).toString(), 'from the device');
    t.deepEqual((await second.findings()).kept, []);
  },
);

test.serial(
  'long-term pins: refused by linux-6.12, held under a lease by best-known',
  async (t) => {
    const refusing = await (await startRig(t, 'linux-6.12')).client.volume('v');
    const file = await refusing.open('/a', { create: true });
    await file.truncate(8192);
    const mapping = await file.map(0, 8192);
    await t.throwsAsync(mapping.pin(0, 4096, { longterm: true }), { code: 'EFAULT' });
    await (await mapping.pin(0, 4096, { longterm: true, write: false })).unpin();

    const { client, socket } = await startRig(t);
    const leasing = await client.volume('v');
    const other = await leasing.open('/a', { create: true });
    await other.truncate(8192);
    const pin = await (await other.map(0, 8192)).pin(0, 8192, { longterm: true });
    await pin.dmaWrite(0, Buffer.from('registered'));
    await t.throwsAsync(other.truncate(0), { code: 'EBUSY', message: /layout lease/ });
    const second = await connect(socket, { reconnect: false });
    const same = await (await second.volume('v')).open('/a');
    const truncate = same.truncate(0); // waits for the lease
    await same.stat();
    await pin.unpin();
    await truncate;
    t.is((await other.stat()).sizeBytes, 0);
    await second.close();
  },
);

test.serial('a truncate that waits for a long-term pin can be aborted', async (t) => {
  const { client, socket } = await startRig(t);
  const volume = await client.volume('v');
  const file = await volume.open('/a', { create: true });
  await file.truncate(8192);
  const pin = await (await file.map(0, 8192)).pin(0, 8192, { longterm: true });
  const other = await connect(socket, { reconnect: false });
  const same = await (await other.volume('v')).open('/a');
  const abort = new AbortController();
  const truncate = same.truncate(0, { signal: abort.signal });
  await same.stat();
  abort.abort();
  await t.throwsAsync(truncate, { code: 'EINTR', name: 'AbortError' });
  t.is((await file.stat()).sizeBytes, 8192);
  await pin.unpin();
  await file.truncate(0);
  await other.close();
});

test.serial('direct I/O reads and writes past the page cache', async (t) => {
  const { client } = await startRig(t);
  const volume = await client.volume('v');
  const file = await volume.open('/a', { create: true });
  await file.truncate(16 * 4096);
  const direct = await volume.open('/a', { direct: true });
  const data = randomBytes(8 * 4096);
  await direct.pwrite(4096, data);
  t.true((await file.pread(4096, 8 * 4096)).equals(data));
  t.true((await direct.pread(4096, 8 * 4096)).equals(data));
  await t.throwsAsync(direct.pread(100, 4096), { code: 'EINVAL' });
});

test.serial('a client that goes away leaves nothing pinned, mapped or open', async (t) => {
  const { client, socket } = await startRig(t);
  const watcher = await client.volume('v');
  const other = await connect(socket, { reconnect: false });
  const volume = await other.volume('v');
  const file = await volume.open('/a', { create: true });
  await file.truncate(65536);
  const mapping = await file.map(0, 65536);
  await mapping.store(0, Buffer.alloc(65536, 1));
  await mapping.pin(0, 8192);
  await mapping.pin(8192, 8192, { longterm: true });
  file.fsync().catch(() => undefined);
  await other.close();
  await until('it is released', async () => {
    return (await client.statistics())['pinsReleased'] === 2;
  });
  const { pinsAcquired, pinsReleased } = await watcher.statistics();
  t.is(pinsAcquired, pinsReleased);
  await watcher.unlink('/a');
});

test.serial('what fsync promised survives kill -9 of the daemon', async (t) => {
  const { folder, image } = makeImage(t);
  const socket = join(folder, 'socket');
  const config = JSON.stringify({ socket, volumes: [{ name: 'v', path: image }] });
  const start = async () => {
    const daemon = startProgram(t, 'daemon-program', [config, 'engine']);
    await daemon.line();
    return { daemon, client: await connect(socket, { reconnect: false }) };
  };
  const first = await start();
  const volume = await first.client.volume('v');
  const contents = Array.from({ length: 8 }, () => randomBytes(100_000));
  for (const [i, data] of contents.entries()) {
    const file = await volume.open(`/kept-${i}`, { create: true });
    await file.pwrite(0, data);
    await file.fsync();
  }
  // Under way when it dies.
  const lost = await volume.open('/lost', { create: true });
  const writing = Promise.allSettled(
    Array.from({ length: 32 }, async (_, i) => await lost.pwrite(i * MIB, Buffer.alloc(MIB, i))),
  );
  await lost.stat();
  first.daemon.process.kill('SIGKILL');
  t.is(await first.daemon.exit, 'SIGKILL');
  await writing;
  await first.client.close();
  const second = await start();
  const again = await second.client.volume('v');
  for (const [i, data] of contents.entries()) {
    const file = await again.open(`/kept-${i}`, { writable: false });
    t.true((await file.pread(0, 200_000)).equals(data));
  }
  await second.client.close();
  second.daemon.process.kill('SIGTERM');
  t.is(await second.daemon.exit, 0);
});

test.serial('errors of the engine arrive with their codes', async (t) => {
  const { client } = await startRig(t);
  const volume = await client.volume('v');
  await t.throwsAsync(volume.open('/none'), { code: 'ENOENT' });
  await t.throwsAsync(volume.open('/'), { code: 'EISDIR' });
  await volume.mkdir('/d');
  await t.throwsAsync(volume.mkdir('/d'), { code: 'EEXIST' });
  await t.throwsAsync(volume.open(`/${'x'.repeat(256)}`, { create: true }), {
    code: 'ENAMETOOLONG',
  });
  const file = await volume.open('/f', { create: true });
  await t.throwsAsync(volume.open('/f/x'), { code: 'ENOTDIR' });
  await t.throwsAsync(file.map(100, 4096), { code: 'EINVAL' });
  await t.throwsAsync(
    async () => {
      for (let i = 0; i < 80; i++) await file.pwrite(i * MIB, Buffer.alloc(MIB, i));
    },
    { code: 'ENOSPC' },
  );
  await file.truncate(0);
  await file.pwrite(0, Buffer.from('goes on'));
  await file.fsync();
});

test.serial('writeback can be paused and resumed', async (t) => {
  const { client } = await startRig(t);
  const volume = await client.volume('v');
  await Promise.all([volume.writeback('pause'), volume.writeback('pause')]);
  t.is((await volume.statistics())['flusherRuns'], 0);
  const file = await volume.open('/a', { create: true });
  await file.pwrite(0, Buffer.alloc(MIB, 7));
  await volume.writeback('resume');
  t.is((await volume.statistics())['flusherRuns'], 1);
  await until('it is clean', async () => (await volume.statistics())['pagesDirty'] === 0);
});

const notVolumes: readonly (readonly [string, (image: string) => void, string])[] = [
  ['no volume', (image) => writeFileSync(image, randomBytes(MIB)), 'EUCLEAN'],
  ['an empty file', (image) => writeFileSync(image, ''), 'EUCLEAN'],
  ['a volume that is cut off', (image) => truncateSync(image, MIB), 'EUCLEAN'],
];

for (const [what, damage, code] of notVolumes) {
  test.serial(`a backing file that holds ${what} is refused`, async (t) => {
    const { folder, image } = makeImage(t);
    damage(image);
    const volumes = [{ name: 'v', path: image }];
    const config = parseConfig({ socket: join(folder, 's'), volumes, logLevel: 'silent' }, 'test');
    const error = await t.throwsAsync(startDaemon(config));
    t.regex(String(error), new RegExp(code));
  });
}

test.serial('a missing backing file, one in use, and an unknown profile are refused', async (t) => {
  const { folder, image } = makeImage(t);
  const start = async (volume: object) =>
    await startDaemon(
      parseConfig(
        {
          socket: join(folder, 's'),
          volumes: [{ name: 'v', path: image, ...volume }],
          logLevel: 'silent',
        },
        'test',
      ),
    );
  await t.throwsAsync(start({ path: `${image}.none` }), { code: 'ENOENT' });
  await t.throwsAsync(start({ profile: 'linux-9' }), { code: 'EINVAL', message: /best-known/ });
  const disk = openDisk(image);
  await t.throwsAsync(start({}), { code: 'EBUSY', message: new RegExp(`pid ${process.pid}`) });
  disk.close();
  await (await start({})).close();
});
