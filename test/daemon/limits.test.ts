// More than configured: each limit gives a clear error, and the client goes on.

import test from 'ava';
import { encodeFrame, FRAME } from '../../daemon/protocol/frame.js';
import { RawClient } from '../support/raw-client.js';
import { startTestDaemon, until } from '../support/test-daemon.js';

test('one client more than allowed: EUSERS; a place is free again when one goes', async (t) => {
  const { client, daemon } = await startTestDaemon(t, { limits: { clients: 2 } });
  const first = await client();
  await client();
  await t.throwsAsync(client(), { code: 'EUSERS', message: /2 clients .* limits\.clients/ });
  await first.close();
  await until('the place is free', () => daemon.statistics()['clients'] === 1);
  await t.notThrowsAsync(client());
});

test('files, mappings, pins and pinned bytes have limits', async (t) => {
  const { client } = await startTestDaemon(t, {
    limits: { files: 2, mappings: 1, pins: 2, pinnedBytes: 16384 },
  });
  const volume = await (await client()).volume('files');
  const file = await volume.open('/a', { create: true });
  await file.pwrite(0, Buffer.alloc(65536));
  await volume.open('/a');
  await t.throwsAsync(volume.open('/a'), { code: 'EMFILE', message: /2 files .* limits\.files/ });
  const mapping = await file.map(0, 65536);
  await t.throwsAsync(file.map(0, 4096), { code: 'ENOMEM', message: /limits\.mappings/ });
  const pin = await mapping.pin(0, 12288);
  await t.throwsAsync(mapping.pin(0, 8192), {
    code: 'ENOMEM',
    message: /12288 bytes pinned and asks for 8192 more/,
  });
  const small = await mapping.pin(0, 4096);
  await t.throwsAsync(mapping.pin(0, 4096), { code: 'ENOMEM', message: /2 pins .* limits\.pins/ });
  await pin.unpin();
  await small.unpin();
  await t.notThrowsAsync(mapping.pin(0, 16384));
});

test('many at a time get no more than one after the other', async (t) => {
  const { client, volume: fake } = await startTestDaemon(t, { limits: { files: 5 } });
  const volume = await (await client()).volume('files');
  const opened = await Promise.allSettled(
    Array.from({ length: 20 }, async () => await volume.open('/a', { create: true })),
  );
  t.is(opened.filter(({ status }) => status === 'fulfilled').length, 5);
  t.is(fake.openFiles, 5);
});

test('a request beyond the window is refused, and an unpin behind it is still served', async (t) => {
  const { path, volume, client } = await startTestDaemon(t, { limits: { requestsInFlight: 2 } });
  volume.create('/f', false).pins = 1;
  const raw = await RawClient.open(path);
  raw.call(1, 'volume.open', { name: 'files' });
  await raw.next();
  const flags = { create: false, exclusive: false, truncate: false, writable: true, direct: false };
  raw.call(2, 'file.open', { handle: 1, path: '/f', mode: 0, ...flags });
  await raw.next();
  raw.call(3, 'file.truncate', { handle: 2, sizeBytes: 0 });
  raw.call(4, 'file.truncate', { handle: 2, sizeBytes: 0 });
  raw.call(5, 'file.truncate', { handle: 2, sizeBytes: 0 });
  const error = await raw.nextError();
  t.is(error.requestId, 5);
  t.is(error.code, 'EAGAIN');
  // CANCEL needs no place in the window.
  raw.send(encodeFrame(1, FRAME.CANCEL, 3, new Uint8Array(0)));
  t.is((await raw.nextError()).code, 'EINTR');
  await t.notThrowsAsync((await client()).list());
});

test('a client that asks without reading is not read from, and the others are served', async (t) => {
  const { path, client } = await startTestDaemon(t);
  const raw = await RawClient.open(path);
  raw.call(1, 'disk.open', { name: 'scratch' });
  await raw.next();
  raw.socket.pause();
  const read = { handle: 1, length: 2 ** 20 };
  for (let id = 2; id < 500; id++)
    raw.send(encodeFrame(1, FRAME.READ, id, new Uint8Array(0), read));
  const disk = await (await client()).disk('scratch');
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 20; i++) await disk.read(0, 4096);
  t.true(process.memoryUsage().rss - before < 200 * 2 ** 20);
  raw.socket.resume();
  for (let id = 2; id < 500; id++) t.is((await raw.next()).length, 2 ** 20);
});

test('the client library keeps to the window by itself', async (t) => {
  const { client } = await startTestDaemon(t, { limits: { requestsInFlight: 8 } });
  const connected = await client();
  const lists = await Promise.all(Array.from({ length: 500 }, async () => await connected.list()));
  t.is(lists.length, 500);
});
