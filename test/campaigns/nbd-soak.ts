// A campaign: clients of all kinds come and go at random. Those that behave own a region of a disk each and read back what
// they wrote; others send nonsense, stop half-way, die in a WRITE, or don't read what they asked for. The daemon's memory
// and descriptors have to stay bounded, and all of them are given back in the end.
//
//   npm run campaign:nbd-soak -- [--minutes N] [--seed N]     2 minutes, a new seed

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { COMMAND } from '../../daemon/nbd/protocol.js';
import { clientBytes, fuzzCases } from '../daemon/nbd/fuzz/client-bytes.js';
import { fuzz } from '../daemon/nbd/fuzz/socket-client.js';
import { type LoadDaemon, MIB, startLoadDaemon } from '../daemon/nbd/load-daemon.js';
import { RawClient } from '../daemon/nbd/raw-client.js';
import { Region, RegionClient } from '../daemon/nbd/region-client.js';
import { randomNumbers } from '../daemon/nbd/stamps.js';
import { until } from '../support/test-daemon.js';

const ACTORS = 24;
const SECTORS = 2048;
const REPORT_MS = 10_000;
/** Beyond what it had when all kinds of clients had been there. */
const GROWTH_BYTES_MAX = 128 * MIB;
const DESCRIPTORS_MAX = 40 + 2 * ACTORS;

const ends: (() => Promise<void> | void)[] = [];
const t = { teardown: (end: () => Promise<void> | void): void => void ends.push(end) };

/** Sockets of clients are closed by themselves: nothing is kept of them here. */
const nothing = { teardown: (): void => undefined };

class Soak {
  readonly counts = { behaved: 0, steps: 0, halves: 0, nonsense: 0, slow: 0, stopped: 0 };

  constructor(
    private readonly daemon: LoadDaemon,
    private readonly deadline: number,
  ) {}

  async actor(index: number, seed: number): Promise<void> {
    const random = randomNumbers(seed + index);
    const disk = index % 2 === 0 ? 'calm-memory' : 'calm-file';
    const region = new Region(Math.floor(index / 2) * SECTORS, SECTORS, index + 1);
    while (performance.now() < this.deadline) {
      const kind = random(10);
      if (kind < 4) await this.#behave(disk, region, random);
      else if (kind < 6) await this.#dieInWrite(disk, region, random);
      else if (kind < 8) await this.#talkNonsense(random);
      else if (kind < 9) await this.#stopReading(random);
      else await this.#stopHalfWay(random);
    }
    await this.#check(disk, region, random);
  }

  async #behave(disk: string, region: Region, random: (below: number) => number): Promise<void> {
    const client = await RawClient.attach(nothing, this.daemon.socket, disk);
    const worker = new RegionClient(client, region, random);
    for (let steps = 10 + random(200); steps > 0; steps--) await worker.step();
    await worker.check();
    this.counts.behaved++;
    this.counts.steps += worker.steps;
    if (random(2) === 0) client.request(COMMAND.DISC, 0, 0);
    else client.socket.destroy();
    await client.closed();
  }

  async #dieInWrite(disk: string, region: Region, random: (below: number) => number) {
    const client = await RawClient.attach(nothing, this.daemon.socket, disk);
    new RegionClient(client, region, random).half();
    await new Promise<void>((resolve) => client.socket.end(() => resolve()));
    await client.closed();
    this.counts.halves++;
    await this.#check(disk, region, random);
  }

  async #check(disk: string, region: Region, random: (below: number) => number): Promise<void> {
    const client = await RawClient.attach(nothing, this.daemon.socket, disk);
    await new RegionClient(client, region, random).adopt();
    client.socket.destroy();
  }

  async #talkNonsense(random: (below: number) => number): Promise<void> {
    const seed = random(2 ** 31);
    for (const each of fc.sample(fuzzCases, { numRuns: 10, seed })) {
      await fuzz(this.daemon.socket, each);
      this.counts.nonsense++;
    }
  }

  async #stopReading(random: (below: number) => number): Promise<void> {
    const disk = random(2) === 0 ? 'memory' : 'file';
    const client = await RawClient.attach(nothing, this.daemon.socket, disk);
    client.socket.pause();
    for (let i = 0; i < 64; i++) client.request(COMMAND.READ, 0, 16 * MIB);
    await sleep(random(1000));
    this.counts.slow++;
    client.socket.destroy();
    await client.closed();
  }

  async #stopHalfWay(random: (below: number) => number): Promise<void> {
    const fuzzed = fc.sample(fuzzCases, { numRuns: 1, seed: random(2 ** 31) }).at(0);
    if (fuzzed === undefined) return;
    const bytes = clientBytes(fuzzed);
    const socket = connect(this.daemon.socket);
    socket.on('error', () => undefined);
    // The server may be first.
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(bytes.subarray(0, random(bytes.length)));
    await sleep(random(1000));
    this.counts.stopped++;
    socket.destroy();
    await closed;
  }
}

async function soak(minutes: number, seed: number): Promise<void> {
  const daemon = await startLoadDaemon(t);
  const idle = daemon.sockets();
  const deadline = performance.now() + minutes * 60_000;
  const run = new Soak(daemon, deadline);
  let warm = 0;
  const look = (): void => {
    daemon.alive();
    const [rss, descriptors] = [daemon.rssBytes(), daemon.descriptors()];
    if (warm === 0) warm = rss;
    console.log(
      `rss ${Math.round(rss / MIB)} MiB, ${descriptors} descriptors, ${JSON.stringify(run.counts)}`,
    );
    if (rss > warm + GROWTH_BYTES_MAX) throw new Error(`memory grows: ${rss} bytes, then ${warm}`);
    if (descriptors > DESCRIPTORS_MAX) throw new Error(`${descriptors} descriptors are open`);
  };
  const actors = Array.from({ length: ACTORS }, async (_, i) => await run.actor(i, seed));
  const all = Promise.all(actors);
  while (performance.now() < deadline) await Promise.race([all, sleep(REPORT_MS).then(look)]);
  await all;
  await until('all connections are closed', () => daemon.sockets() === idle);
  look();
}

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' } },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const minutes = Number(values.minutes ?? 2);
console.log(`${minutes} minutes, seed ${seed}`);
try {
  await soak(minutes, seed);
  console.log('passed');
} catch (error) {
  console.log(`FAILED: ${error instanceof Error ? (error.stack ?? '') : String(error)}`);
  process.exitCode = 1;
} finally {
  for (const end of ends.reverse()) await end();
}
process.exit();
