// Recordings of disks that NBD clients write to: what is recorded, in which order, and what is not.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { COMMAND, COMMAND_FLAG } from '../../../daemon/nbd/protocol.js';
import { EventNames } from '../../../engine/block/recording/points.js';
import { openRecording, type Recording } from '../../../engine/block/recording/reader.js';
import { startTestDaemon } from '../../support/test-daemon.js';
import { RawClient } from './raw-client.js';

async function rig(t: ExecutionContext) {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-record-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const socket = join(folder, 'nbd');
  const test = await startTestDaemon(t, {
    nbd: { socket },
    disks: [
      { name: 'file', size: '1M', path: join(folder, 'disk.img') },
      { name: 'cached', size: '1M', cache: 'volatile', unit: 4096 },
    ],
  });
  return { ...test, socket, path: join(folder, 'run.rec'), client: await test.client() };
}

function read(t: ExecutionContext, path: string): Recording {
  const recording = openRecording(path);
  t.teardown(() => recording.close());
  return recording;
}

function namesOf({ events }: Recording): string[] {
  const names = new EventNames(events);
  return events.map((event) => names.of(event));
}

async function write(client: RawClient, offset: number, text: string, flags = 0): Promise<number> {
  client.request(COMMAND.WRITE, offset, text.length, flags, Buffer.from(text));
  return await client.simple();
}

for (const name of ['scratch', 'file', 'cached']) {
  test(`what a client does to the disk '${name}' is recorded in its order`, async (t) => {
    const { client, socket, path } = await rig(t);
    const disk = await client.disk(name);
    await disk.write(8192, Buffer.alloc(512, 'i'));
    const nbd = await RawClient.attach(t, socket, name);
    t.is(await write(nbd, 0, 'before'.padEnd(512)), 0);
    await disk.record(path);
    await t.throwsAsync(disk.record(`${path}.2`), { code: 'EBUSY', message: /recorded already/ });
    t.is(await write(nbd, 512, 'one'.padEnd(1024)), 0);
    nbd.request(COMMAND.FLUSH, 0, 0);
    t.is(await nbd.simple(), 0);
    await disk.mark('one is safe');
    t.is(await write(nbd, 4096, 'two'.padEnd(512), COMMAND_FLAG.FUA), 0);
    nbd.request(COMMAND.WRITE_ZEROES, 8192, 4096, COMMAND_FLAG.FUA);
    t.is(await nbd.simple(), 0);
    nbd.request(COMMAND.TRIM, 65536, 4096);
    t.is(await nbd.simple(), 0);
    // The daemon's own clients are recorded, too.
    await disk.write(2048, Buffer.alloc(512, 'x'), { fua: true });
    t.like(await disk.stopRecording(), { events: 13, failure: null });
    t.is(await write(nbd, 512, 'after'.padEnd(512)), 0);

    const recording = read(t, path);
    t.deepEqual(namesOf(recording), [
      'write #1',
      'reply to write #1',
      'flush #1',
      'reply to flush #1',
      "mark 'one is safe'",
      'FUA write #2',
      'reply to FUA write #2',
      'write of zeroes #3',
      'reply to write of zeroes #3',
      'trim #4',
      'reply to trim #4',
      'FUA write #5',
      'reply to FUA write #5',
    ]);
    t.is(recording.cutShort, null);
    t.is(recording.header.unitBytes, name === 'cached' ? 4096 : 512);
    t.true(recording.events.some((event) => event.kind === 'replied' && event.fua));
    const [first] = recording.events;
    const bytes = Buffer.alloc(1024);
    if (first.kind === 'write') recording.read(first.payloadAt, bytes);
    t.is(bytes.toString().trim(), 'one');
    const before = Buffer.alloc(6);
    recording.read(recording.extents[0].payloadAt, before);
    t.is(before.toString(), 'before');
    t.true(
      recording.extents.some(({ offset, length }) => offset <= 8192 && offset + length > 8192),
    );
  });
}

test('replies are noted when they are handed out, so that a flush in the same batch does not cover them', async (t) => {
  const { client, socket, path } = await rig(t);
  const disk = await client.disk('scratch');
  await disk.record(path);
  const nbd = await RawClient.attach(t, socket, 'scratch');
  nbd.socket.cork();
  nbd.request(COMMAND.WRITE, 0, 512, 0, Buffer.alloc(512, 'a'));
  nbd.request(COMMAND.FLUSH, 0, 0);
  nbd.socket.uncork();
  t.is(await nbd.simple(), 0);
  t.is(await nbd.simple(), 0);
  await disk.stopRecording();
  t.deepEqual(namesOf(read(t, path)), [
    'write #1',
    'flush #1',
    'reply to flush #1',
    'reply to write #1',
  ]);
});

test('a client that dies in the middle of a write: whole units of it on a plain disk, nothing of it in a cache', async (t) => {
  const { client, socket, path } = await rig(t);
  for (const [name, lengths] of [
    ['scratch', [1024]],
    ['cached', []],
  ] as const) {
    const disk = await client.disk(name);
    await disk.record(`${path}.${name}`);
    const nbd = await RawClient.attach(t, socket, name);
    nbd.request(COMMAND.WRITE, 0, 4096, 0, Buffer.alloc(1500, 'a'));
    nbd.socket.end();
    await nbd.closed();
    await disk.stopRecording();
    const { events } = read(t, `${path}.${name}`);
    t.deepEqual(
      events.map((event) => (event.kind === 'write' ? event.length : 0)),
      [...lengths],
    );
  }
});

test('a power cut ends the recording, and a recording that cannot be begun leaves the disk alone', async (t) => {
  const { client, path } = await rig(t);
  const disk = await client.disk('cached');
  await t.throwsAsync(disk.record('relative.rec'), { code: 'EINVAL', message: /absolute path/ });
  await t.throwsAsync(disk.record('/nowhere/at/all'), { code: 'ENOENT' });
  await t.throwsAsync(disk.stopRecording(), { code: 'EINVAL', message: /is not recorded/ });
  await t.throwsAsync(disk.mark('x'), { code: 'EINVAL', message: /is not recorded/ });
  await disk.record(path);
  await t.throwsAsync((await client.disk('file')).record(path), { code: 'EEXIST' });
  await disk.write(0, Buffer.alloc(512, 1));
  await disk.cut({ state: 'drop-all' });
  await disk.write(0, Buffer.alloc(512, 2));
  const { failure } = await disk.stopRecording();
  t.is(failure, 'the power of disk cached was cut');
  t.deepEqual(namesOf(read(t, path)), ['write #1', 'reply to write #1']);
});
