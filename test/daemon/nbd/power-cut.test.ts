// The power of a disk with a volatile cache is cut, as its clients see it: what was flushed is there, what was not may be.

import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { ConfigInput } from '../../../daemon/config.js';
import { COMMAND, COMMAND_FLAG } from '../../../daemon/nbd/protocol.js';
import { memfdBytes } from '../../support/memfd.js';
import { startTestDaemon, temporaryFolder } from '../../support/test-daemon.js';
import { RawClient } from './raw-client.js';

const SIZE = 2 ** 20;
const { READ, WRITE, TRIM, FLUSH, WRITE_ZEROES } = COMMAND;
const { FUA, NO_HOLE } = COMMAND_FLAG;

type DiskInput = NonNullable<ConfigInput['disks']>[number];

/** A daemon with the disk `d` of 1 MiB, whose cache is volatile. */
async function startCached(t: ExecutionContext, more: Partial<DiskInput> = {}) {
  const folder = temporaryFolder(t);
  const socket = `${folder}/nbd`;
  const disk = { name: 'd', size: '1M', cache: 'volatile' as const, ...more };
  const test = await startTestDaemon(t, { nbd: { socket }, disks: [disk] });
  const client = await test.client();
  return { ...test, socket, client, disk: await client.disk('d') };
}

class Nbd {
  private constructor(
    private readonly t: ExecutionContext,
    readonly client: RawClient,
  ) {}

  static async attach(t: ExecutionContext, socket: string): Promise<Nbd> {
    return new Nbd(t, await RawClient.attach(t, socket, 'd'));
  }

  async does(...request: Parameters<RawClient['request']>): Promise<void> {
    this.client.request(...request);
    this.t.is(await this.client.simple(), 0);
  }

  async write(at: number, length: number, fill: number, flags = 0): Promise<void> {
    await this.does(WRITE, at, length, flags, Buffer.alloc(length, fill));
  }

  async read(at = 0, length = SIZE): Promise<Buffer> {
    await this.does(READ, at, length);
    return await this.client.read(length);
  }
}

for (const inFile of [false, true]) {
  const where = inFile ? 'in a file' : 'in memory';
  const place = (t: ExecutionContext): Partial<DiskInput> =>
    inFile ? { path: `${temporaryFolder(t)}/disk.img` } : {};

  test(`${where}: what was flushed survives, what was not does as the state says`, async (t) => {
    const { socket, disk } = await startCached(t, place(t));
    const left: Record<string, number[]> = {};
    for (const state of ['drop-all', 'keep-all', 'prefix:1', 'adversarial:3']) {
      const nbd = await Nbd.attach(t, socket);
      await nbd.write(0, 4096, 1);
      await nbd.does(FLUSH, 0, 0);
      await nbd.write(0, 512, 2);
      await nbd.write(512, 512, 3);
      const cut = await disk.cut({ state });
      t.like(cut, { state, writes: 2, openUnits: 2, images: '4' });
      t.true(cut.connections >= 1);
      t.is((await nbd.client.closed()).length, 0);
      const after = await Nbd.attach(t, socket);
      left[state] = [...(await after.read(0, 1536))].filter((_, at) => at % 512 === 0);
      t.is(
        cut.lostUnits,
        2 - (left[state].at(0) === 2 ? 1 : 0) - (left[state].at(1) === 3 ? 1 : 0),
      );
      // It does not change any more.
      t.deepEqual((await disk.read(0, 1536))[0], left[state].at(0));
    }
    t.deepEqual(left['drop-all'], [1, 1, 1]);
    t.deepEqual(left['keep-all'], [2, 3, 1]);
    t.deepEqual(left['prefix:1'], [2, 1, 1]);
    t.deepEqual(left['adversarial:3'].at(2), 1);
  });

  test(`${where}: FUA makes its own write durable and no earlier one, also of zeroes`, async (t) => {
    const { socket, disk } = await startCached(t, place(t));
    const nbd = await Nbd.attach(t, socket);
    await nbd.write(0, 8192, 1, FUA);
    await nbd.write(0, 512, 2);
    await nbd.write(512, 512, 3, FUA);
    await nbd.does(WRITE_ZEROES, 4096, 512, FUA);
    await nbd.does(WRITE_ZEROES, 4608, 512, FUA | NO_HOLE);
    await nbd.write(1024, 512, 4);
    await disk.cut({ state: 'drop-all' });
    const after = await Nbd.attach(t, socket);
    const expected = Buffer.alloc(8192, 1).fill(3, 512, 1024).fill(0, 4096, 5120);
    t.true((await after.read(0, 8192)).equals(expected));
  });

  test(`${where}: the same requests and the same state leave the same bytes, another seed leaves others`, async (t) => {
    const images: Buffer[] = [];
    for (const seed of ['random:7', 'random:7', 'random:8']) {
      const { socket, disk } = await startCached(t, { unit: '512', ...place(t) });
      const nbd = await Nbd.attach(t, socket);
      for (let i = 0; i < 40; i++) {
        const at = (i * 7919 * 128) % (SIZE / 2);
        if (i % 10 === 5) await nbd.does(FLUSH, 0, 0);
        else if (i % 10 === 6) await nbd.does(TRIM, at, 20_000);
        else await nbd.write(at, 30_000, i + 1);
      }
      const cut = await disk.cut({ state: seed });
      t.regex(cut.images ?? '', /^1e\d+$/);
      images.push(await (await Nbd.attach(t, socket)).read());
    }
    t.true(images[0].equals(images[1]));
    t.false(images[0].equals(images[2]));
  });
}

for (const [asked, first, second] of [
  ['after a READ', READ, WRITE],
  ['before a READ', WRITE, READ],
] as const) {
  test(`a WRITE ${asked}: a FLUSH covers it if the socket has taken its reply, and may leave it out otherwise`, async (t) => {
    const { socket, disk } = await startCached(t, { size: '4M' });
    const other = await Nbd.attach(t, socket);
    await other.does(WRITE, SIZE, SIZE, 0, Buffer.alloc(SIZE, 9));
    const slow = await Nbd.attach(t, socket);
    const { client } = slow;
    client.socket.pause();
    client.socket.cork();
    const count = 48;
    const length = SIZE / 4;
    const fills = Array.from({ length: count }, (_, i) => i + 1);
    for (const fill of fills) {
      for (const type of [first, second]) {
        // Several are sent together, and get stuck somewhere.
        if (type === READ) client.request(READ, SIZE, length);
        else client.request(WRITE, 512 * (fill - 1), 512, 0, Buffer.alloc(512, fill));
      }
    }
    client.socket.uncork();
    const there = async (nbd: Nbd): Promise<readonly number[]> => {
      const bytes = await nbd.read(0, 512 * count);
      return fills.filter((fill) => bytes[512 * (fill - 1)] === fill);
    };
    let done = 0;
    for (let same = 0; same < 100; same++) {
      const now = (await there(other)).length;
      if (now > done) same = 0;
      done = now;
    }
    t.true(done > 0 && done < count, String(done));
    await other.does(FLUSH, 0, 0);
    const cut = await disk.cut({ state: 'drop-all' });
    client.socket.resume();
    const got = await client.closed();
    // A pair of replies: 16 bytes and the data, and 16 bytes of the WRITE, after them or before.
    const taken = Math.floor((got.length + (first === WRITE ? length + 16 : 0)) / (length + 32));
    t.deepEqual(await there(await Nbd.attach(t, socket)), fills.slice(0, taken));
    t.is(cut.writes, done - taken);
  });
}

test('clients of the daemon: a request under way ends with EIO, the disk is usable afterwards', async (t) => {
  const { disk } = await startCached(t);
  await disk.write(0, Buffer.alloc(4096, 1), { fua: true });
  await disk.write(0, Buffer.alloc(4096, 2));
  const underWay = disk.write(SIZE / 2, Buffer.alloc(SIZE / 2, 3)).then(
    () => 'answered',
    (error: unknown) => String(error),
  );
  await disk.cut({ state: 'drop-all' });
  t.regex(await underWay, /^answered$|EIO|not answered/);
  t.is((await disk.read(0, 512))[0], 1);
  await disk.write(0, Buffer.alloc(512, 5));
  await disk.flush();
  await disk.cut({ state: 'drop-all' });
  t.is((await disk.read(0, 512))[0], 5);
});

test('a state that is none, or does not fit, and a disk without a cache: nothing happens', async (t) => {
  const { socket, disk, client } = await startCached(t);
  const nbd = await Nbd.attach(t, socket);
  await nbd.write(0, 512, 1);
  for (const state of ['', 'drop', 'prefix', 'random:-1', 'drop-all,7=1', 'keep-all,0=2']) {
    await t.throwsAsync(disk.cut({ state }), { code: 'EINVAL', message: /state/ }, state);
  }
  t.is((await nbd.read(0, 1))[0], 1);
  t.is((await disk.cut({ state: 'drop-all,0=1' })).lostUnits, 0);
  const plain = await client.disk('scratch');
  await t.throwsAsync(plain.cut(), { code: 'EINVAL', message: /scratch has no volatile cache/ });
});

test('atomic writes up to the limit are there as a whole or not at all', async (t) => {
  const { socket, disk } = await startCached(t, { atomic: '16K' });
  const seen = new Set<number>();
  for (let seed = 0; seed < 30; seed++) {
    const nbd = await Nbd.attach(t, socket);
    await nbd.write(0, 65536, 0xff, FUA);
    for (let at = 0; at < 65536; at += 16384) await nbd.write(at, 16384, seed + 1);
    await disk.cut({ state: `random:${seed}` });
    const left = await (await Nbd.attach(t, socket)).read(0, 65536);
    for (let at = 0; at < 65536; at += 16384) {
      const parts = new Set(left.subarray(at, at + 16384));
      t.is(parts.size, 1);
      seen.add(parts.has(0xff) ? 0 : 1);
    }
  }
  t.is(seen.size, 2);
});

/** Memory of the caches of disks in this process. */
const cacheBytes = (): number => memfdBytes('pinfold-cache');

test.serial(
  'memory is bounded by the disk and its versions, and a discarded range gives it back',
  async (t) => {
    const before = cacheBytes();
    const { socket } = await startCached(t, { size: '32M', versions: '1M' });
    const nbd = await Nbd.attach(t, socket);
    for (let pass = 1; pass <= 2; pass++) {
      for (let at = 0; at < 32 * SIZE; at += SIZE) await nbd.write(at, SIZE, pass);
    }
    t.true(cacheBytes() - before >= 32 * SIZE);
    // The disk, its versions, and as much that is free and stays in memory, with what is being received.
    t.true(cacheBytes() - before <= 36 * SIZE);
    await nbd.does(TRIM, 0, 32 * SIZE);
    t.true(cacheBytes() - before <= 4 * SIZE);
  },
);

for (const more of [{}, { path: 'disk.img' }, { unit: 4096, versions: '1M' }]) {
  test(`${JSON.stringify(more)}: any requests at any bytes read back what was written last`, async (t) => {
    const place = 'path' in more ? { path: `${temporaryFolder(t)}/disk.img` } : more;
    const { socket, disk } = await startCached(t, place);
    const nbd = await Nbd.attach(t, socket);
    const expected = Buffer.alloc(SIZE);
    const length = fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: SIZE }));
    const request = fc.tuple(
      fc.constantFrom(WRITE, WRITE, TRIM, WRITE_ZEROES, FLUSH, READ),
      fc.nat(SIZE - 1),
      length,
      fc.constantFrom(0, FUA),
    );
    let fill = 0;
    for (const [type, at, wanted, flags] of fc.sample(request, { numRuns: 200, seed: 4 })) {
      const bytes = Math.min(wanted, SIZE - at);
      if (type === WRITE) {
        fill = (fill % 255) + 1;
        await nbd.write(at, bytes, fill, flags);
        expected.fill(fill, at, at + bytes);
      } else if (type === READ) {
        t.true((await nbd.read(at, bytes)).equals(expected.subarray(at, at + bytes)));
      } else if (type === FLUSH) {
        await nbd.does(FLUSH, 0, 0);
      } else {
        await nbd.does(type, at, bytes, flags);
        expected.fill(0, at, at + bytes);
      }
    }
    t.true((await nbd.read()).equals(expected));
    await disk.cut({ state: 'keep-all' });
    t.true((await disk.read(0, SIZE)).equals(expected));
  });
}
