// Clients that misbehave, and many at once, while others are served as if nothing were.

import { execFileSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { CONNECTIONS_MAX, LATER_MAX } from '../../../daemon/nbd/limits.js';
import { BYTES, COMMAND, OPTION } from '../../../daemon/nbd/protocol.js';
import { startTestDaemon, temporaryFolder, until } from '../../support/test-daemon.js';
import { clientBytes, fuzzCases } from './fuzz/client-bytes.js';
import { fuzz } from './fuzz/socket-client.js';
import { DISK_BYTES, type LoadDaemon, MIB, startLoadDaemon } from './load-daemon.js';
import { RawClient } from './raw-client.js';
import { Region, RegionClient } from './region-client.js';
import { randomNumbers, SECTOR_BYTES } from './stamps.js';

const DISKS = ['memory', 'file'];
const SECTORS = 2048;
const FUZZED = 200;

function newSeed(t: ExecutionContext): number {
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  return seed;
}

/** Clients that work on both disks while the others do what they do. */
async function beside(
  t: ExecutionContext,
  { socket, alive }: LoadDaemon,
  seed: number,
  others: () => Promise<void>,
): Promise<void> {
  const workers = await Promise.all(
    DISKS.map(async (disk, i) => {
      const client = await RawClient.attach(t, socket, `calm-${disk}`);
      return new RegionClient(client, new Region(4096, SECTORS, i + 1), randomNumbers(seed + i));
    }),
  );
  let over = false;
  const working = workers.map(async (worker) => {
    await worker.erase();
    while (!over || worker.steps < 20) await worker.step();
    await worker.check();
  });
  await others();
  over = true;
  await Promise.all(working);
  alive();
  for (const worker of workers) t.true(worker.steps >= 20);
}

test('two hundred clients that send anything, and two that are served all the time', async (t) => {
  const seed = newSeed(t);
  const daemon = await startLoadDaemon(t);
  const cases = fc.sample(fuzzCases, { numRuns: FUZZED, seed });
  await beside(t, daemon, seed, async () => {
    for (let at = 0; at < FUZZED; at += 20)
      await Promise.all(cases.slice(at, at + 20).map((each) => fuzz(daemon.socket, each)));
  });
});

test('who asks for 1 GiB and does not read it costs nothing, and gets it when he does', async (t) => {
  const seed = newSeed(t);
  const daemon = await startLoadDaemon(t);
  for (const disk of DISKS) {
    const slow = await RawClient.attach(t, daemon.socket, disk);
    const data = Buffer.from(Array.from({ length: MIB }, (_, i) => (i * 31) >>> 6));
    slow.request(COMMAND.WRITE, 0, MIB, 0, data);
    t.is(await slow.simple(), 0);
    slow.socket.pause();
    const before = daemon.rssBytes();
    for (let i = 0; i < 1024; i++) slow.request(COMMAND.READ, 0, MIB);
    await beside(t, daemon, seed, () => Promise.resolve());
    t.true(daemon.rssBytes() - before < 64 * MIB);
    slow.socket.resume();
    for (let i = 0; i < 32; i++) {
      t.is(await slow.simple(), 0);
      t.true((await slow.read(MIB)).equals(data));
    }
    slow.socket.destroy();
  }
});

test('connections that stop half-way, wherever it is', async (t) => {
  const seed = newSeed(t);
  const daemon = await startLoadDaemon(t);
  const random = randomNumbers(seed);
  const whole = clientBytes({
    entry: 3, // memory, simple replies
    options: [0, 1, 3],
    requests: [
      [0, 0],
      [1, 0],
    ],
    damage: [0, 0],
    segments: [],
    lazy: false,
  });
  await beside(t, daemon, seed, async () => {
    const halves: Socket[] = [];
    for (let i = 0; i < 100; i++) {
      const socket = connect(daemon.socket);
      t.teardown(() => void socket.destroy());
      await new Promise((resolve) => socket.once('connect', resolve));
      socket.write(whole.subarray(0, random(whole.length)));
      halves.push(socket);
    }
    t.is(halves.filter(({ destroyed }) => destroyed).length, 0);
  });
});

test('clients that die in a WRITE leave whole sectors', async (t) => {
  const seed = newSeed(t);
  const { socket, alive } = await startLoadDaemon(t);
  const random = randomNumbers(seed);
  for (const [i, disk] of DISKS.entries()) {
    const region = new Region(100, SECTORS, 7 + i);
    for (let round = 0; round < 30; round++) {
      const client = await RawClient.attach(t, socket, disk);
      const dying = new RegionClient(client, region, random);
      for (let step = 0; step < 3; step++) await dying.step();
      dying.half();
      await new Promise<void>((resolve) => client.socket.end(() => resolve()));
      await client.closed();
      const other = await RawClient.attach(t, socket, disk);
      await new RegionClient(other, region, random).adopt();
      other.socket.destroy();
    }
  }
  alive();
  t.pass();
});

test('who leaves while all his answers are postponed is let go at once', async (t) => {
  const nbd = join(temporaryFolder(t), 'nbd');
  const { daemon } = await startTestDaemon(t, {
    nbd: { socket: nbd },
    disks: [{ name: 'late', size: '64K', faults: ['delay,mean=600s'] }],
  });
  const client = await RawClient.attach(t, nbd, 'late');
  for (let i = 0; i < LATER_MAX + 10; i++) client.request(COMMAND.READ, 0, SECTOR_BYTES);
  await until('no more is taken', () => daemon.statistics()['nbdRequests'] === LATER_MAX);
  client.socket.destroy();
  await until('it is closed', () => daemon.statistics()['nbdConnections'] === 0);
  t.pass();
});

test('as many connections as there may be, and not one more', async (t) => {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }));
  if (limit < CONNECTIONS_MAX + 100) {
    t.log(`# skip: ulimit -Hn is ${limit}, and ${CONNECTIONS_MAX + 100} are needed`);
    t.pass();
    return;
  }
  const { socket, alive, rssBytes, descriptors } = await startLoadDaemon(t);
  const clients: RawClient[] = [];
  while (clients.length < CONNECTIONS_MAX) {
    const some = Math.min(CONNECTIONS_MAX - clients.length, 64);
    const attached = Array.from({ length: some }, async (_, i) => {
      return await RawClient.attach(t, socket, DISKS[i % 2] ?? 'memory');
    });
    clients.push(...(await Promise.all(attached)));
  }
  const more = connect(socket);
  t.deepEqual(
    await new Promise((resolve) => more.once('end', () => resolve(more.read())).resume()),
    null,
  );
  for (const client of clients) client.request(COMMAND.READ, DISK_BYTES - MIB, SECTOR_BYTES);
  for (const client of clients) {
    t.is(await client.simple(), 0);
    await client.read(SECTOR_BYTES);
  }
  t.true(rssBytes() < 1024 * MIB);
  for (const client of clients) client.socket.destroy();
  await until('the connections are closed', () => descriptors() < 100);
  const again = await RawClient.attach(t, socket, 'file');
  again.request(COMMAND.FLUSH, 0, 0);
  t.is(await again.simple(), 0);
  alive();
});

test('connections that come and go leave no memory behind', async (t) => {
  const { socket, rssBytes } = await startLoadDaemon(t);
  const comeAndGo = async (times: number, disk: string): Promise<void> => {
    for (let i = 0; i < times; i++) {
      const client = await RawClient.attach(t, socket, disk);
      client.request(COMMAND.READ, 0, MIB);
      t.is(await client.simple(), 0);
      await client.read(MIB);
      client.socket.destroy();
    }
  };
  await comeAndGo(30, 'file');
  const before = rssBytes();
  await comeAndGo(150, 'file');
  t.true(rssBytes() - before < 96 * MIB, `${before} bytes before, ${rssBytes()} after`);
});

test('thousands of options, and the answers are not read', async (t) => {
  const seed = newSeed(t);
  const daemon = await startLoadDaemon(t);
  await beside(t, daemon, seed, async () => {
    const clients = await Promise.all(
      Array.from({ length: 8 }, async () => await RawClient.connect(t, daemon.socket)),
    );
    for (const client of clients) client.socket.pause();
    for (let i = 0; i < 4096; i++) for (const client of clients) client.sendOption(OPTION.LIST);
    const first = clients.at(0);
    if (first === undefined) return;
    first.socket.resume();
    // One more than there may be.
    first.sendOption(OPTION.LIST);
    const all = await first.closed();
    t.true(all.length > 4096 * BYTES.OPTION_REPLY);
  });
});
