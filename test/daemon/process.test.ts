// Daemon and clients as processes: shared memory, death of a client, signals, one daemon per socket.

import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { connect } from '../../clients/node/index.js';
import { startDaemon } from '../../daemon/lifecycle.js';
import {
  type Program,
  startProgram,
  startTestDaemon,
  type Test,
  temporaryFolder,
  testConfig,
  until,
} from '../support/test-daemon.js';

const DEVICES = {
  logLevel: 'info',
  disks: [{ name: 'scratch', size: '1M' }],
  volumes: [{ name: 'files', path: 'none', memory: '1M' }],
};

async function startProcess(t: Test, socket: string, more: object = {}): Promise<Program> {
  const config = JSON.stringify({ socket, ...DEVICES, ...more });
  const daemon = startProgram(t, 'daemon-program', [config]);
  await daemon.line();
  return daemon;
}

test('a region is the same memory in daemon and clients, also after the daemon has gone', async (t) => {
  const { client, path, daemon } = await startTestDaemon(t);
  const region = await (await client()).region('shared');
  const words = new Int32Array(region.buffer);
  Atomics.store(words, 1, 1234);
  const other = startProgram(t, 'client-program', [path, 'region']);
  t.is(await other.line(), '1234');
  t.is(await other.exit, 0);
  t.is(Atomics.load(words, 0), 5);
  t.is(daemon.statistics()['regionsAttached'], 2);
  await daemon.close();
  Atomics.add(words, 0, 1);
  t.is(Atomics.load(words, 0), 6);
});

test('kill -9 of a client releases its pins, mappings and files, and is reported', async (t) => {
  const { path, volume, daemon } = await startTestDaemon(t);
  const other = startProgram(t, 'client-program', [path, 'pin']);
  t.is(await other.line(), 'pinned');
  t.deepEqual([volume.openFiles, volume.mappings, volume.pins], [1, 1, 2]);
  other.process.kill('SIGKILL');
  await until('everything is released', () => volume.sessions === 0);
  t.deepEqual([volume.openFiles, volume.mappings, volume.pins], [0, 0, 0]);
  await until('it is counted', () => daemon.statistics()['clientsDied'] === 1);
  t.is(daemon.statistics()['pinsReleased'], 2);
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal}: the daemon drains, syncs and exits with 0`, async (t) => {
    const folder = temporaryFolder(t);
    const socket = join(folder, 'socket');
    const disks = [{ name: 'd', size: '1M', path: join(folder, 'disk.img') }];
    const daemon = await startProcess(t, socket, { disks });
    const client = await connect(socket, { reconnect: false });
    const ended = new Promise((resolve) => client.once('disconnect', resolve));
    const disk = await client.disk('d');
    await disk.write(0, Buffer.alloc(4096, 9));
    // One that waits for ever is withdrawn; one that runs ends.
    const volume = await client.volume('files');
    const file = await volume.open('/a', { create: true });
    await file.pwrite(0, Buffer.alloc(4096));
    await (await file.map(0, 4096)).pin(0, 4096);
    const stuck = t.throwsAsync(file.truncate(0), { code: 'EINTR' });
    const running = t.notThrowsAsync(disk.write(4096, Buffer.alloc(4096, 8)));
    await file.stat();
    daemon.process.kill(signal);
    await Promise.all([stuck, running, ended]);
    t.is(await daemon.exit, 0);
    t.false(existsSync(socket));
    t.false(existsSync(`${socket}.lock`));
    t.regex(daemon.stderr(), /draining.*stopped/s);
    t.regex(daemon.stderr(), /released what it had open/);
    await client.close();
  });
}

test('a second signal ends a daemon at once', async (t) => {
  const socket = join(temporaryFolder(t), 'socket');
  const daemon = await startProcess(t, socket);
  const client = await connect(socket, { reconnect: false });
  const volume = await client.volume('files');
  const file = await volume.open('/a', { create: true });
  await file.pwrite(0, Buffer.alloc(4096));
  await (await file.map(0, 4096)).pin(0, 4096);
  const stuck = t.throwsAsync(file.truncate(0));
  await file.stat();
  daemon.process.kill('SIGTERM');
  await until('it drains', () => daemon.stderr().includes('draining'));
  daemon.process.kill('SIGTERM');
  t.is(await daemon.exit, 143);
  await stuck;
  await client.close();
});

test('a second daemon on the same socket is refused, naming the first', async (t) => {
  const socket = join(temporaryFolder(t), 'socket');
  const first = await startProcess(t, socket);
  const second = startProgram(t, 'daemon-program', [JSON.stringify({ socket, ...DEVICES })]);
  t.is(await second.exit, 1);
  t.regex(second.stderr(), new RegExp(`EADDRINUSE: .*lock held by pid ${first.process.pid}`));
  const client = await connect(socket, { reconnect: false });
  t.is((await client.list()).disks.length, 1);
  await client.close();
});

test('a second daemon on the same backing file is refused, naming the first', async (t) => {
  const folder = temporaryFolder(t);
  const disks = [{ name: 'd', size: '1M', path: join(folder, 'disk.img') }];
  const first = await startProcess(t, join(folder, 'one'), { disks });
  const config = JSON.stringify({ ...DEVICES, socket: join(folder, 'two'), disks });
  const second = startProgram(t, 'daemon-program', [config]);
  t.is(await second.exit, 1);
  t.regex(second.stderr(), new RegExp(`EBUSY: .*lock held by pid ${first.process.pid}`));
});

test('the socket of a killed daemon is cleared away', async (t) => {
  const socket = join(temporaryFolder(t), 'socket');
  const first = await startProcess(t, socket);
  first.process.kill('SIGKILL');
  await first.exit;
  t.true(existsSync(socket));
  const second = await startProcess(t, socket);
  second.process.kill('SIGTERM');
  t.is(await second.exit, 0);
});

test('a path where something else lies or listens is left alone', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, 'precious');
  const config = (path: string) => testConfig(path, { volumes: [] });
  await t.throwsAsync(startDaemon(config(file)), { code: 'EEXIST', message: /no socket/ });
  const other = createServer(() => undefined);
  const path = join(folder, 'other');
  await new Promise<void>((resolve) => other.listen(path, resolve));
  t.teardown(() => void other.close());
  await t.throwsAsync(startDaemon(config(path)), { code: 'EADDRINUSE' });
  t.false(existsSync(`${path}.lock`));
  await t.throwsAsync(startDaemon(config(`/${'x'.repeat(200)}`)), { code: 'ENAMETOOLONG' });
});
