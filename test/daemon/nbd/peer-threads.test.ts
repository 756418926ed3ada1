// Connections to disks in memory that are spread over threads: their clients notice nothing, but that what is asked of a disk
// holds for all of them.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { COMMAND, ERROR } from '../../../daemon/nbd/protocol.js';
import { openRecording } from '../../../engine/block/recording/reader.js';
import { type Test, until } from '../../support/test-daemon.js';
import { cutRounds } from './cut-rounds.js';
import { RawClient, startNbd } from './raw-client.js';

const CLIENTS = 6;
const BYTES = 4096;

async function write(client: RawClient, offset: number, fill: number): Promise<number> {
  client.request(COMMAND.WRITE, offset, BYTES, 0, Buffer.alloc(BYTES, fill));
  return await client.simple();
}

async function read(client: RawClient, offset: number): Promise<Buffer> {
  client.request(COMMAND.READ, offset, BYTES);
  if ((await client.simple()) !== ERROR.NONE) throw new Error('a READ has failed');
  return await client.read(BYTES);
}

/** A daemon of whose clients some have moved to another thread. */
async function rig(t: Test, name = 'scratch') {
  const started = await startNbd(t);
  const { daemon, socket } = started;
  const attach = async (): Promise<RawClient> => await RawClient.attach(t, socket, name);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, attach));
  const moved = (): number => daemon.statistics()['nbdConnectionsMoved'] ?? 0;
  await until('some have moved', () => moved() > 0);
  return { ...started, clients, moved, disk: await (await started.client()).disk(name) };
}

for (const name of ['scratch', 'cached']) {
  test(`${name}: what one client has written all others read, in whichever threads they are`, async (t) => {
    const { clients, daemon, socket } = await rig(t, name);
    for (const [i, client] of clients.entries()) {
      t.is(await write(client, i * BYTES, i + 1), ERROR.NONE);
      for (const other of clients) {
        t.true((await read(other, i * BYTES)).equals(Buffer.alloc(BYTES, i + 1)));
      }
    }
    t.is(daemon.statistics()['nbdConnections'], CLIENTS);
    const structured = await RawClient.attach(t, socket, name, 'extended');
    structured.request(COMMAND.BLOCK_STATUS, 0, 2 ** 20);
    t.true((await structured.chunks()).length > 0);
    for (const client of [...clients, structured]) client.socket.destroy();
    await until('all are gone', () => daemon.statistics()['nbdConnections'] === 0);
    t.is(daemon.statistics()['nbdRequests'], CLIENTS + CLIENTS * CLIENTS + 1);
    t.is(daemon.statistics()['nbdBytesWritten'], CLIENTS * BYTES);
  });

  test(`${name}: a fault holds for all clients from their next request on, and is gone for all`, async (t) => {
    const { clients, disk, moved } = await rig(t, name);
    for (let round = 0; round < 3; round++) {
      const before = moved();
      await disk.addFault('error,errno=EIO,op=write,seed=1');
      for (const client of clients) t.is(await write(client, 0, 9), ERROR.EIO);
      t.true(moved() > before, 'some have come back');
      await disk.clearFaults();
      for (const client of clients) t.is(await write(client, 0, round), ERROR.NONE);
    }
  });

  test(`${name}: a recording begins between two WRITEs: one that does not end is told`, async (t) => {
    const { clients, disk } = await rig(t, name);
    const folder = mkdtempSync(join(tmpdir(), 'pinfold-peers-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    for (const [i, client] of clients.entries()) {
      client.request(COMMAND.WRITE, i * BYTES, BYTES, 0, Buffer.alloc(BYTES / 2, 0xaa));
      await t.throwsAsync(disk.record(join(folder, 'never')), {
        code: 'EBUSY',
        message: /in the middle of a WRITE/,
      });
      client.socket.write(Buffer.alloc(BYTES / 2, 0xaa));
      t.is(await client.simple(), ERROR.NONE);
    }
    const path = join(folder, 'run.rec');
    await disk.record(path);
    for (const [i, client] of clients.entries()) {
      t.is(await write(client, (CLIENTS + i) * BYTES, i), ERROR.NONE);
    }
    await disk.stopRecording();
    for (const client of clients) t.is(await write(client, 0, 1), ERROR.NONE);
    const recording = openRecording(path);
    t.teardown(() => recording.close());
    const written = recording.events.filter(({ kind }) => kind === 'write').length;
    t.is(written, CLIENTS);
    const bytes = Buffer.alloc(CLIENTS * BYTES);
    recording.read(recording.extents[0].payloadAt, bytes);
    t.true(bytes.equals(Buffer.alloc(bytes.length, 0xaa)), 'it begins with what was there');
  });

  test(`${name}: requests of many clients while faults come and go are answered once each`, async (t) => {
    const { clients, disk } = await rig(t, name);
    const done = new AbortController();
    const changes = (async () => {
      for (let i = 0; !done.signal.aborted; i++) {
        await disk.addFault(`error,errno=EIO,op=read,rate=0.2,seed=${String(i)}`);
        await disk.clearFaults();
      }
    })();
    await Promise.all(
      clients.map(async (client, i) => {
        for (let round = 0; round < 200; round++) {
          const at = i * BYTES;
          // Two at a time, in one segment, so that one may find the disk as the other did not.
          client.request(COMMAND.WRITE, at, BYTES, 0, Buffer.alloc(BYTES, round));
          client.request(COMMAND.READ, at, BYTES);
          t.is(await client.simple(), ERROR.NONE);
          if ((await client.simple()) !== ERROR.NONE) continue;
          t.true((await client.read(BYTES)).equals(Buffer.alloc(BYTES, round)));
        }
      }),
    );
    done.abort();
    await changes;
  });
}

test('power cuts kill the clients in all threads, and lose nothing that any of them has flushed', async (t) => {
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  const { flushes, lost } = await cutRounds(t, 12, seed);
  t.true(flushes > 0 && lost > 0);
});

test('a state that does not fit kills nobody; a cut does, also in the middle of a WRITE', async (t) => {
  const { clients, disk, socket } = await rig(t, 'cached');
  for (const [i, client] of clients.entries()) t.is(await write(client, i * BYTES, 1), ERROR.NONE);
  await t.throwsAsync(disk.cut({ state: 'drop-all,99=1' }), { code: 'EINVAL' });
  const last = clients.at(-1);
  for (const client of clients) {
    if (client === last) client.request(COMMAND.FLUSH, 0, 0);
    else client.request(COMMAND.WRITE, 0, BYTES, 0, Buffer.alloc(BYTES / 2, 2));
  }
  t.is(await last?.simple(), ERROR.NONE);
  t.is((await disk.cut({ state: 'keep-all' })).connections, CLIENTS);
  for (const client of clients) t.is((await client.closed()).length, 0);
  const after = await RawClient.attach(t, socket, 'cached');
  for (const i of clients.keys()) {
    t.true((await read(after, i * BYTES)).equals(Buffer.alloc(BYTES, 1)));
  }
});

test('a daemon that stops answers what it has received in every thread', async (t) => {
  const { clients, daemon } = await rig(t);
  for (const client of clients) {
    client.request(COMMAND.WRITE, 0, BYTES, 0, Buffer.alloc(BYTES / 2, 1));
  }
  await until('all have begun', () => (daemon.statistics()['nbdRequests'] ?? 0) === CLIENTS);
  const stopped = daemon.close();
  for (const client of clients) {
    client.socket.write(Buffer.alloc(BYTES / 2, 1));
    t.is(await client.simple(), ERROR.NONE);
  }
  await stopped;
});
