// The client library against a daemon in the same process: volumes, pins, aborting, reconnecting, events, ownership.

import test from 'ava';
import { AbortError, connect, PinfoldError } from '../../clients/node/index.js';
import { startDaemon } from '../../daemon/lifecycle.js';
import { MemoryVolume } from '../support/memory-volume.js';
import { RawClient } from '../support/raw-client.js';
import { startTestDaemon, temporaryFolder, testConfig, until } from '../support/test-daemon.js';

test('names and files of a volume', async (t) => {
  const { client, volume: fake } = await startTestDaemon(t);
  const volume = await (await client()).volume('files');
  await volume.mkdir('/d');
  const file = await volume.open('/d/a', { create: true });
  await file.pwrite(5, Buffer.from('hello'));
  t.is((await file.pread(0, 100)).toString(), '\0\0\0\0\0hello');
  t.is((await file.stat()).sizeBytes, 10);
  await file.truncate(7);
  await file.punch(5, 1);
  t.is((await file.pread(0, 100)).toString(), '\0\0\0\0\0\0e');
  await file.fsync();
  await file.close();
  await t.throwsAsync(file.pread(0, 1), { code: 'EBADF', message: /given back/ });
  for (const name of ['b', 'c', 'e', 'f', 'g'])
    await (await volume.open(`/d/${name}`, { create: true })).close();
  t.deepEqual(
    (await volume.readdir('/d')).map(({ name }) => name),
    ['a', 'b', 'c', 'e', 'f', 'g'],
  );
  await volume.rename('/d/a', '/z');
  t.is((await volume.stat('/z')).sizeBytes, 7);
  await volume.unlink('/z');
  await t.throwsAsync(volume.stat('/z'), { code: 'ENOENT' });
  await volume.sync();
  await volume.writeback('flush');
  t.true(fake.calls.includes('fsync') && fake.calls.includes('writeback flush'));
  await t.throwsAsync(volume.open('/nope'), { code: 'ENOENT' });
  await t.throwsAsync(volume.open('/d/b', { create: true, exclusive: true }), { code: 'EEXIST' });
  t.is((await volume.statfs()).blockBytes, 4096);
});

test('a file opened for reading can not be written, mapped for writing or truncated', async (t) => {
  const { client } = await startTestDaemon(t);
  const volume = await (await client()).volume('files');
  await volume.open('/a', { create: true });
  const file = await volume.open('/a', { writable: false });
  await t.throwsAsync(file.pwrite(0, Buffer.alloc(1)), { code: 'EBADF' });
  await t.throwsAsync(file.truncate(0), { code: 'EBADF' });
  await t.throwsAsync(file.punch(0, 1), { code: 'EBADF' });
  await t.throwsAsync(file.map(0, 4096), { code: 'EBADF' });
  const mapping = await file.map(0, 4096, { writable: false });
  await t.throwsAsync(mapping.store(0, Buffer.alloc(1)), { code: 'EACCES' });
});

test('a device writes into a pin, and the file has it', async (t) => {
  const { client, volume: fake } = await startTestDaemon(t);
  const volume = await (await client()).volume('files');
  const file = await volume.open('/a', { create: true });
  await file.pwrite(0, Buffer.alloc(8192));
  const mapping = await file.map(0, 8192);
  await mapping.store(10, Buffer.from('cpu'));
  const pin = await mapping.pin(4096, 4096);
  t.is(pin.pages, 1);
  await pin.dmaWrite(100, Buffer.from('device'));
  t.is((await mapping.load(4196, 6)).toString(), 'device');
  t.is((await file.pread(10, 3)).toString(), 'cpu');
  await t.throwsAsync(pin.dmaWrite(4090, Buffer.alloc(7)), { code: 'EFAULT' });
  await t.throwsAsync(mapping.load(8190, 3), { code: 'EFAULT' });
  await t.throwsAsync(mapping.pin(8192, 1), { code: 'EFAULT' });
  await pin.unpin();
  t.true(fake.calls.includes('unpin dirty'));
  await (await mapping.pin(0, 1, { write: false })).unpin();
  t.true(fake.calls.includes('unpin clean'));
  await t.throwsAsync(pin.dmaRead(0, 1), { code: 'EBADF' });
});

test('aborting ends a sleeping call with an AbortError; the rest goes on', async (t) => {
  const { client } = await startTestDaemon(t);
  const volume = await (await client()).volume('files');
  const file = await volume.open('/a', { create: true });
  await file.pwrite(0, Buffer.alloc(4096));
  const pin = await (await file.map(0, 4096)).pin(0, 4096);
  const abort = new AbortController();
  const truncate = file.truncate(0, { signal: abort.signal });
  await file.stat(); // the truncate is asleep by now
  abort.abort(new Error('enough'));
  const error = await t.throwsAsync(truncate, { instanceOf: AbortError });
  t.is(error.code, 'EINTR');
  t.deepEqual(error.cause, new Error('enough'));
  t.is((await file.stat()).sizeBytes, 4096);
  await t.throwsAsync(file.stat({ signal: AbortSignal.abort() }), { instanceOf: AbortError });
  const waiting = file.truncate(0);
  await pin.unpin(); // lets it end
  await waiting;
  t.is((await file.stat()).sizeBytes, 0);
});

test('aborting works on each kind of call', async (t) => {
  const { client } = await startTestDaemon(t);
  const connected = await client();
  const signal = AbortSignal.abort();
  const disk = await connected.disk('scratch');
  const volume = await connected.volume('files');
  const file = await volume.open('/a', { create: true });
  const expected = { instanceOf: AbortError };
  await t.throwsAsync(disk.read(0, 4096, { signal }), expected);
  await t.throwsAsync(disk.write(0, Buffer.alloc(512), { signal }), expected);
  await t.throwsAsync(disk.flush({ signal }), expected);
  await t.throwsAsync(disk.discard(0, 512, { signal }), expected);
  await t.throwsAsync(file.pwrite(0, Buffer.alloc(512), { signal }), expected);
  await t.throwsAsync(volume.readdir('/', { signal }), expected);
  await t.throwsAsync(connected.list({ signal }), expected);
});

test('a handle of another client is refused with EPERM, one that nobody has with EBADF', async (t) => {
  const { client, path } = await startTestDaemon(t);
  const volume = await (await client()).volume('files');
  await volume.open('/mine', { create: true });
  const raw = await RawClient.open(path);
  for (const handle of [1, 2]) {
    raw.call(10 + handle, 'release', { handle });
    const error = await raw.nextError();
    t.is(error.code, 'EPERM');
    t.regex(error.message, /another client/);
  }
  raw.call(20, 'file.stat', { handle: 77 });
  t.is((await raw.nextError()).code, 'EBADF');
  t.is((await volume.stat('/mine')).sizeBytes, 0);
});

test('a handle of the wrong kind is named', async (t) => {
  const { path } = await startTestDaemon(t);
  const raw = await RawClient.open(path);
  raw.call(1, 'disk.open', { name: 'scratch' });
  await raw.next();
  raw.call(2, 'volume.sync', { handle: 1 });
  const error = await raw.nextError();
  t.is(error.code, 'EBADF');
  t.regex(error.message, /handle 1 is the disk scratch, expected a volume/);
});

test('a client that goes away has its pins, mappings and files released, counted', async (t) => {
  const { client, daemon, volume: fake } = await startTestDaemon(t);
  const connected = await client();
  const volume = await connected.volume('files');
  const file = await volume.open('/a', { create: true });
  await file.pwrite(0, Buffer.alloc(8192));
  const mapping = await file.map(0, 8192);
  await mapping.pin(0, 4096);
  await mapping.pin(4096, 4096);
  const truncate = file.truncate(0);
  truncate.catch(() => undefined);
  await file.stat();
  await connected.close();
  await t.throwsAsync(truncate, { code: 'ECONNRESET', message: /may or may not/ });
  await until('everything is released', () => fake.sessions === 0);
  t.deepEqual([fake.openFiles, fake.mappings, fake.pins], [0, 0, 0]);
  await until('it is counted', () => daemon.statistics()['pinsReleased'] === 2);
  const { clientsDied, filesReleased, mappingsReleased } = daemon.statistics();
  t.deepEqual([clientsDied, filesReleased, mappingsReleased], [1, 1, 1]);
});

test('closing a volume closes what was opened through it', async (t) => {
  const { client, volume: fake } = await startTestDaemon(t);
  const volume = await (await client()).volume('files');
  const file = await volume.open('/a', { create: true });
  await file.pwrite(0, Buffer.alloc(4096));
  await (await file.map(0, 4096)).pin(0, 4096);
  await volume.close();
  t.deepEqual([fake.sessions, fake.openFiles, fake.mappings, fake.pins], [0, 0, 0, 0]);
  await t.throwsAsync(file.stat(), { code: 'EBADF' });
});

test('findings and panics of an open volume arrive as events', async (t) => {
  const { client, volume: fake } = await startTestDaemon(t);
  const connected = await client();
  const volume = await connected.volume('files');
  const events: unknown[] = [];
  connected.on('finding', (...event) => events.push(event));
  connected.on('panic', (...event) => events.push(event));
  const finding = { kind: 'torn-write', hazard: 'H1-c', task: 'dma', message: 'torn' };
  fake.find(finding);
  fake.panic('BUG');
  await until('both have arrived', () => events.length === 2);
  t.deepEqual(events, [
    ['files', finding],
    ['files', 'BUG'],
  ]);
  t.deepEqual(await volume.findings(), { count: 1, kept: [finding] });
});

test('after a reconnection disks and volumes go on, files say that they went', async (t) => {
  const path = `${temporaryFolder(t)}/socket`;
  const volume = new MemoryVolume();
  const start = async () =>
    await startDaemon(testConfig(path), { openVolume: () => Promise.resolve(volume) });
  const first = await start();
  const client = await connect(path, { reconnect: { delayMs: 5, maxDelayMs: 20 } });
  t.teardown(async () => await client.close());
  const events: string[] = [];
  client.on('disconnect', (error) => events.push(error.code));
  client.on('reconnect', () => events.push('reconnect'));
  const disk = await client.disk('scratch');
  const files = await client.volume('files');
  const file = await files.open('/a', { create: true });
  await first.close();
  await until('the client has noticed', () => events.length === 1);
  const waiting = disk.read(0, 4096);
  const second = await start();
  t.teardown(async () => await second.close());
  t.is((await waiting).byteLength, 4096);
  t.is((await files.stat('/a')).sizeBytes, 0);
  await t.throwsAsync(file.stat(), { code: 'EBADF', message: /went with its connection/ });
  t.deepEqual(events, ['ESHUTDOWN', 'reconnect']);
});

test('a client gives up in the end, and says so', async (t) => {
  const { daemon, client } = await startTestDaemon(t);
  const connected = await client({ reconnect: { delayMs: 5, giveUpMs: 30 } });
  const closed = new Promise<PinfoldError | null>((resolve) => connected.once('close', resolve));
  await daemon.close();
  t.is((await closed)?.code, 'ENOTCONN');
  await t.throwsAsync(connected.list(), { code: 'ENOTCONN', message: /gave up/ });
});

test('connecting where nobody listens, or where nobody answers', async (t) => {
  const folder = temporaryFolder(t);
  await t.throwsAsync(connect(`${folder}/none`), {
    code: 'ECONNREFUSED',
    message: /pinfold serve/,
  });
  const { createServer } = await import('node:net');
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(`${folder}/silent`, resolve));
  t.teardown(() => void silent.close());
  await t.throwsAsync(connect(`${folder}/silent`, { timeoutMs: 50 }), { code: 'ETIMEDOUT' });
});

test('after close() calls fail with ENOTCONN', async (t) => {
  const connected = await (await startTestDaemon(t)).client();
  await connected.close();
  await connected.close();
  await t.throwsAsync(connected.list(), { code: 'ENOTCONN', instanceOf: PinfoldError });
});
