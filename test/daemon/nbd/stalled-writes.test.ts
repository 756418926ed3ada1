// WRITEs whose payload does not come, to a disk that keeps memory for it, while others go on writing and reading.

import test from 'ava';
import { PAYLOAD_BYTES_MAX } from '../../../daemon/nbd/limits.js';
import { COMMAND, COMMAND_FLAG, ERROR } from '../../../daemon/nbd/protocol.js';
import type { Test } from '../../support/test-daemon.js';
import { DISK_BYTES, MIB, startLoadDaemon } from './load-daemon.js';
import { RawClient } from './raw-client.js';
import { Region, RegionClient } from './region-client.js';
import { randomNumbers, SECTOR_BYTES } from './stamps.js';

/** Together they want more than the 1 GiB that there is. The host has to have that: one test after the other. */
const CLIENTS = 40;
const PAYLOAD = Buffer.alloc(PAYLOAD_BYTES_MAX, 0x5a);
const SECTORS = 2048;

/** Clients that have begun a WRITE of 32 MiB and sent so much of it. */
async function beginWrites(
  t: Test,
  socket: string,
  payloadBytes: (nth: number) => number,
): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (let nth = 0; nth < CLIENTS; nth++) {
    const client = await RawClient.attach(t, socket, 'cached');
    client.request(COMMAND.WRITE, 0, PAYLOAD.length);
    client.socket.write(PAYLOAD.subarray(0, payloadBytes(nth)));
    clients.push(client);
  }
  return clients;
}

test.serial(
  'forty WRITEs of 32 MiB at once, of clients that do send them, all succeed',
  async (t) => {
    const { socket, alive } = await startLoadDaemon(t);
    const clients = await beginWrites(t, socket, () => PAYLOAD.length);
    for (const client of clients) t.is(await client.simple(), ERROR.NONE);
    alive();
  },
);

for (const { title, payloadBytes } of [
  { title: 'nothing of it', payloadBytes: () => 0 },
  { title: 'all but a byte of it', payloadBytes: () => PAYLOAD.length - 1 },
  {
    title: 'nothing or most of it',
    payloadBytes: (nth: number) => (nth % 2) * (PAYLOAD.length - MIB),
  },
]) {
  test.serial(`forty clients that stall in a WRITE of 32 MiB, with ${title} sent`, async (t) => {
    const { socket, alive } = await startLoadDaemon(t);
    const seed = Date.now() % 2 ** 31;
    t.log(`seed ${seed}`);
    const stalled = await beginWrites(t, socket, payloadBytes);
    const writer = await RawClient.attach(t, socket, 'cached');
    writer.request(COMMAND.WRITE, 0, PAYLOAD.length, 0, PAYLOAD);
    t.is(await writer.simple(), ERROR.NONE);
    const region = new RegionClient(writer, new Region(100, SECTORS, 1), randomNumbers(seed));
    await region.erase();
    for (let step = 0; step < 50; step++) await region.step();
    await region.check();
    for (const flags of [0, COMMAND_FLAG.NO_HOLE]) {
      writer.request(COMMAND.WRITE_ZEROES, 0, DISK_BYTES, flags);
      t.is(await writer.simple(), ERROR.NONE);
    }
    alive();
    const over = stalled.filter(({ socket: each }) => each.destroyed).length;
    t.true(over > 0 && over < CLIENTS, `${over} were closed`);
  });
}

test.serial('a sector now and then is no progress, and readers wait for nobody', async (t) => {
  const { socket, alive } = await startLoadDaemon(t);
  const dripping = await beginWrites(t, socket, () => 0);
  const reader = await RawClient.attach(t, socket, 'cached');
  const writer = await RawClient.attach(t, socket, 'cached');
  writer.request(COMMAND.WRITE, 0, PAYLOAD.length, 0, PAYLOAD);
  const errors: number[] = [];
  const written = writer.simple().then((error) => errors.push(error));
  let reads = 0;
  for (; errors.length === 0; reads++) {
    reader.request(COMMAND.READ, 0, MIB);
    t.is(await reader.simple(), ERROR.NONE);
    await reader.read(MIB);
    if (reads % 40 > 0) continue;
    for (const client of dripping) client.socket.write(PAYLOAD.subarray(0, SECTOR_BYTES));
  }
  await written;
  t.deepEqual(errors, [ERROR.NONE]);
  t.true(reads > 0);
  alive();
});
