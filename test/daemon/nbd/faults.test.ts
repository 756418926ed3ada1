// Fault layers as NBD clients meet them: each does what it says, where it may, while clients are connected; other disks
// don't notice.

import { execFile } from 'node:child_process';
import { truncateSync } from 'node:fs';
import { promisify } from 'node:util';
import test from 'ava';
import { z } from 'zod';
import { CHUNK, COMMAND, COMMAND_FLAG, ERROR } from '../../../daemon/nbd/protocol.js';
import { requires } from '../../support/requires.js';
import type { Test } from '../../support/test-daemon.js';
import { RawClient, startNbd } from './raw-client.js';

const SIZE = 2 ** 20;
const KIB = 1024;

/** A connection with simple replies, one request at a time. */
class Prober {
  private constructor(readonly client: RawClient) {}

  static async attach(t: Test, socket: string, disk: string): Promise<Prober> {
    return new Prober(await RawClient.attach(t, socket, disk));
  }

  /** @returns the data, or an error */
  async read(offset: number, length: number): Promise<Buffer | number> {
    this.client.request(COMMAND.READ, offset, length);
    const error = await this.client.simple();
    return error === ERROR.NONE ? await this.client.read(length) : error;
  }

  async write(offset: number, payload: Buffer, flags = 0): Promise<number> {
    this.client.request(COMMAND.WRITE, offset, payload.length, flags, payload);
    return await this.client.simple();
  }

  async ask(command: number, offset = 0, length = 0): Promise<number> {
    this.client.request(command, offset, length);
    return await this.client.simple();
  }
}

async function start(t: Test, disk = 'scratch') {
  const { socket, client } = await startNbd(t);
  const daemon = await client();
  const path = (await daemon.list()).disks.find(({ name }) => name === disk)?.backing ?? '';
  const ipc = await daemon.disk(disk);
  return { ipc, path, socket, nbd: await Prober.attach(t, socket, disk) };
}

function filled(length: number, fill: number): Buffer {
  return Buffer.alloc(length, fill);
}

for (const name of ['scratch', 'file']) {
  test(`${name}: errors come and go under a connected client, in their range only`, async (t) => {
    const { ipc, socket, nbd } = await start(t, name);
    const other = await Prober.attach(t, socket, name === 'file' ? 'scratch' : 'file');
    t.is(await nbd.write(0, filled(4096, 1)), ERROR.NONE);
    const added = await ipc.addFault('error,errno=ENOSPC,op=write,range=64K-128K,seed=1');
    t.deepEqual(added, { id: 1, fault: 'error,errno=ENOSPC,op=write,range=64K-128K,seed=1' });
    t.is(await nbd.write(64 * KIB, filled(512, 2)), ERROR.ENOSPC);
    t.is(await nbd.write(64 * KIB - 512, filled(100 * KIB, 2)), ERROR.ENOSPC);
    t.is(await nbd.write(128 * KIB, filled(512, 2)), ERROR.NONE);
    t.deepEqual(await nbd.read(63 * KIB, 2 * KIB), filled(2 * KIB, 0));
    t.is(await other.write(64 * KIB, filled(512, 2)), ERROR.NONE);
    // A client of the daemon meets the same.
    await t.throwsAsync(ipc.write(64 * KIB, filled(512, 3)), { code: 'ENOSPC' });
    t.deepEqual(await ipc.read(0, 4096), filled(4096, 1));
    t.is(await ipc.clearFaults(), 1);
    t.is(await nbd.write(64 * KIB, filled(512, 4)), ERROR.NONE);
    t.deepEqual(await ipc.read(64 * KIB, 512), filled(512, 4));
  });
}

test('each operation can fail, with each error that NBD has', async (t) => {
  const { ipc, nbd } = await start(t);
  const sector = filled(512, 1);
  const asks: Readonly<Record<string, () => Promise<number>>> = {
    read: async () => Number(await nbd.read(0, 512)),
    write: async () => await nbd.write(0, sector),
    zero: async () => await nbd.ask(COMMAND.WRITE_ZEROES, 0, 512),
    trim: async () => await nbd.ask(COMMAND.TRIM, 0, 512),
    flush: async () => await nbd.ask(COMMAND.FLUSH),
    cache: async () => await nbd.ask(COMMAND.CACHE, 0, 512),
  };
  const { NONE, ...errors } = ERROR;
  t.is(NONE, 0);
  for (const [errno, number] of Object.entries(errors)) {
    await ipc.addFault(`error,errno=${errno}`);
    for (const [op, ask] of Object.entries(asks)) t.is(await ask(), number, `${op} ${errno}`);
    await ipc.clearFaults();
  }
});

test('structured and extended replies tell errors, too, and holes are never told by a layer that spoils', async (t) => {
  const { ipc, socket } = await start(t);
  for (const style of ['structured', 'extended'] as const) {
    const client = await RawClient.attach(t, socket, 'scratch', style);
    await ipc.addFault({ kind: 'latent-error', rate: 1, range: '64K-128K' });
    await ipc.addFault({ kind: 'stuck-bits', rate: 1, value: 1, range: ['512K-513K'] });
    client.request(COMMAND.READ, 32 * KIB, 64 * KIB);
    const failed = await client.chunks();
    t.deepEqual(
      failed.map(({ type }) => type),
      [CHUNK.ERROR],
    );
    t.is(failed.at(0)?.payload.readUInt32BE(0), ERROR.EIO);
    client.request(COMMAND.READ, 256 * KIB, 512 * KIB);
    const chunks = await client.chunks();
    t.false(chunks.some(({ type }) => type === CHUNK.OFFSET_HOLE));
    const data = Buffer.concat(chunks.map(({ payload }) => payload.subarray(8)));
    t.is(data.length, 512 * KIB);
    const wrong = [...data.entries()].filter(([, byte]) => byte !== 0).map(([at]) => at / 512);
    t.deepEqual(wrong.map(Math.floor), [512, 513]);
    client.request(COMMAND.BLOCK_STATUS, 0, SIZE);
    const map = (await client.chunks()).at(0)?.payload.toString('hex');
    const all = style === 'extended' ? '000000010000000000100000' : '00100000';
    t.is(map, `00000001${all}${style === 'extended' ? '00000000' : ''}00000000`);
    t.is(await ipc.clearFaults(), 2);
  }
});

for (const name of ['scratch', 'file']) {
  test(`${name}: rotten bits are read by all clients, until they are written again`, async (t) => {
    const { ipc, nbd } = await start(t, name);
    t.is(await nbd.write(0, filled(64 * KIB, 0)), ERROR.NONE);
    await ipc.addFault('bit-rot,rate=1,range=8K-9K,seed=4');
    const read = await nbd.read(0, 64 * KIB);
    if (typeof read === 'number') return t.fail();
    const wrong = [...read.entries()].filter(([, byte]) => byte !== 0).map(([at]) => at);
    t.deepEqual(
      wrong.map((at) => Math.floor(at / 512)),
      [16, 17],
    );
    const [layer] = await ipc.faults();
    t.is(layer.fired, 2);
    t.regex(
      layer.last.at(0) ?? '',
      /^request 1, read of 65536 bytes at 0: bit \d of the byte at 8\d{3} flipped$/,
    );
    await ipc.clearFaults();
    t.deepEqual(await nbd.read(8 * KIB, KIB), filled(KIB, 0));
    return undefined;
  });

  test(`${name}: a torn write keeps its first sub-units, small or large, and says that all is well`, async (t) => {
    const { ipc, nbd } = await start(t, name);
    for (const length of [4 * KIB, 300 * KIB]) {
      t.is(await nbd.write(0, filled(length, 1)), ERROR.NONE);
      await ipc.addFault('torn-write,unit=1K,once');
      t.is(await nbd.write(0, filled(length, 2)), ERROR.NONE);
      const read = await nbd.read(0, length);
      if (typeof read === 'number') return t.fail();
      const kept = read.lastIndexOf(2) + 1;
      t.true(kept > 0 && kept < length && kept % KIB === 0, `${kept} of ${length}`);
      t.deepEqual(read.subarray(0, kept), filled(kept, 2));
      t.deepEqual(read.subarray(kept), filled(length - kept, 1));
      await ipc.clearFaults();
    }
    return undefined;
  });

  test(`${name}: a misdirected write lands elsewhere, small or large, aligned or not`, async (t) => {
    const { ipc, nbd } = await start(t, name);
    for (const [at, length, shift] of [
      [512, 512, 1024],
      [0, 200 * KIB, 256 * KIB],
      [0, 200 * KIB, 256 * KIB + 100],
    ] as const) {
      await ipc.addFault(`misdirected-write,shift=${shift},op=write,op=zero`);
      t.is(await nbd.write(at, filled(length, 5)), ERROR.NONE);
      t.deepEqual(await nbd.read(at, length), filled(length, 0));
      t.deepEqual(await nbd.read(at + shift, length), filled(length, 5));
      t.is(await nbd.ask(COMMAND.WRITE_ZEROES, at, length), ERROR.NONE);
      t.deepEqual(await nbd.read(0, SIZE), filled(SIZE, 0));
      t.is((await ipc.faults()).at(0)?.fired, 2);
      await ipc.clearFaults();
    }
  });
}

test('a latent error is over when its unit is written; the write does not see it', async (t) => {
  const { ipc, nbd } = await start(t);
  await ipc.addFault('latent-error,rate=1,range=4K-8K');
  t.is(await nbd.read(0, 8 * KIB), ERROR.EIO);
  t.is(await nbd.write(4 * KIB, filled(2 * KIB, 1)), ERROR.NONE);
  t.is(await nbd.read(0, 8 * KIB), ERROR.EIO);
  t.is(await nbd.ask(COMMAND.WRITE_ZEROES, 6 * KIB, 2 * KIB), ERROR.NONE);
  t.deepEqual(
    await nbd.read(4 * KIB, 4 * KIB),
    Buffer.concat([filled(2 * KIB, 1), filled(2 * KIB, 0)]),
  );
});

test('a full device: new units fail, old ones and trims do not', async (t) => {
  const { ipc, nbd } = await start(t);
  await ipc.addFault('full-device,free=64K');
  t.is(await nbd.write(0, filled(64 * KIB, 1)), ERROR.NONE);
  t.is(await nbd.write(64 * KIB, filled(512, 1)), ERROR.ENOSPC);
  t.is(await nbd.write(0, filled(64 * KIB, 2)), ERROR.NONE);
  t.is(await nbd.ask(COMMAND.TRIM, 0, 32 * KIB), ERROR.NONE);
  t.is(await nbd.write(64 * KIB, filled(512, 1)), ERROR.NONE);
});

test('delays: by a virtual clock a day passes at once, and replies come in the order of their times', async (t) => {
  const { ipc, socket } = await start(t);
  await ipc.addFault('delay,mean=3600s,time=virtual,op=read');
  await ipc.addFault('delay,mean=1800s,time=virtual,op=write,op=trim');
  const client = await RawClient.attach(t, socket, 'scratch', 'structured');
  for (let i = 0; i < 8; i++) {
    client.socket.cork(); // they come at once: time does not pass in between
    client.request(COMMAND.READ, 0, 512);
    client.request(COMMAND.WRITE, 0, 512, 0, filled(512, i));
    client.request(COMMAND.FLUSH, 0, 0);
    client.socket.uncork();
    t.is(await client.simple(), ERROR.NONE, 'the flush is not held back');
    t.is(await client.simple(), ERROR.NONE, 'then the write');
    const [chunk] = await client.chunks();
    // A READ is done when its time has come: it sees the write.
    t.deepEqual(chunk.payload.subarray(8), filled(512, i));
  }
});

test('clearing the layers answers what they hold back', async (t) => {
  const { ipc, nbd } = await start(t);
  const { id } = await ipc.addFault('delay,mean=3600s');
  const write = nbd.write(0, filled(512, 7));
  await ipc.waitForFault(id);
  t.is(await ipc.clearFaults(id), 1);
  t.is(await write, ERROR.NONE);
  t.deepEqual(await nbd.read(0, 512), filled(512, 7));
});

test('a delay in time that passes, and a rate limit, hold back at least as long', async (t) => {
  const { ipc, nbd } = await start(t);
  const began = performance.now();
  await ipc.addFault('delay,mean=30ms,op=read');
  await nbd.read(0, 512);
  t.true(performance.now() - began >= 30);
  await ipc.clearFaults();
  await ipc.addFault('rate-limit,bytes=1M,op=write');
  const limited = performance.now();
  for (let i = 0; i < 4; i++) t.is(await nbd.write(0, filled(16 * KIB, 1)), ERROR.NONE);
  t.true(performance.now() - limited >= 62);
});

test('a lying flush succeeds where an honest one fails', async (t) => {
  const { ipc, nbd, path } = await start(t, 'file');
  truncateSync(path, 0);
  t.teardown(() => truncateSync(path, SIZE));
  t.is(await nbd.ask(COMMAND.FLUSH), ERROR.EIO);
  await ipc.addFault('lying-flush,nth=2');
  t.is(await nbd.ask(COMMAND.FLUSH), ERROR.EIO);
  t.is(await nbd.ask(COMMAND.FLUSH), ERROR.NONE);
  await t.throwsAsync(ipc.flush(), { code: 'EIO' });
  await ipc.flush();
  t.deepEqual((await ipc.faults()).at(0)?.last, [
    'request 2, flush: acknowledged, nothing made durable',
    'request 4, flush: acknowledged, nothing made durable',
  ]);
});

test('FUA may be a lie, too', async (t) => {
  const { ipc, nbd } = await start(t);
  await ipc.addFault('lying-flush,op=write,range=0-1K');
  t.is(await nbd.ask(COMMAND.FLUSH), ERROR.NONE);
  t.is(await nbd.write(0, filled(512, 1), COMMAND_FLAG.FUA), ERROR.NONE);
  t.is(await nbd.write(KIB, filled(512, 1), COMMAND_FLAG.FUA), ERROR.NONE);
  t.is(await nbd.write(0, filled(512, 1)), ERROR.NONE);
  t.deepEqual((await ipc.faults()).at(0)?.last, [
    'request 1, write of 512 bytes at 0: acknowledged, nothing made durable',
  ]);
});

test('the order of the stack counts, and a layer can be put before another', async (t) => {
  const { ipc, nbd } = await start(t);
  const repair = await ipc.addFault('latent-error,rate=1,range=0-512');
  await ipc.addFault('error,op=read,errno=EPERM,range=0-512', { before: repair.id });
  t.deepEqual(
    (await ipc.faults()).map(({ id }) => id),
    [2, 1],
  );
  t.is(await nbd.read(0, 512), ERROR.EPERM);
  t.is((await ipc.faults()).at(1)?.seen, 0);
  await ipc.clearFaults(2);
  t.is(await nbd.read(0, 512), ERROR.EIO);
  await t.throwsAsync(ipc.addFault('error', { before: 2 }), {
    code: 'ENOENT',
    message: /it has 1/,
  });
});

test('the same seed and the same requests meet the same faults', async (t) => {
  const { ipc, nbd } = await start(t);
  const run = async (): Promise<number[]> => {
    const errors: number[] = [];
    await ipc.addFault('error,rate=0.3,seed=42');
    for (let i = 0; i < 50; i++) errors.push(await nbd.write(0, filled(512, i)));
    await ipc.clearFaults();
    return errors;
  };
  const first = await run();
  t.true(first.includes(ERROR.EIO) && first.includes(ERROR.NONE));
  t.deepEqual(await run(), first);
});

test('requests of many clients while layers come and go: each is answered, none twice', async (t) => {
  const { ipc, socket } = await start(t);
  const clients = await Promise.all(
    [1, 2, 3, 4].map(async () => await Prober.attach(t, socket, 'scratch')),
  );
  let over = false;
  const busy = clients.map(async (each, i) => {
    let count = 0;
    for (; !over; count++) {
      const at = (i * 64 + (count % 64)) * KIB;
      const wrote = await each.write(at, filled(KIB, count));
      t.true(wrote === ERROR.NONE || wrote === ERROR.EIO);
      const read = await each.read(at, KIB);
      if (typeof read === 'number') t.is(read, ERROR.EIO);
      else if (wrote === ERROR.NONE) t.deepEqual(read, filled(KIB, count));
    }
    return count;
  });
  for (let i = 0; i < 20; i++) {
    const layer = await ipc.addFault('error,rate=0.2');
    await ipc.addFault('delay,mean=200us,p99=1ms');
    await ipc.addFault('stuck-bits,rate=1,range=1000K-');
    await ipc.waitForFault(layer.id, { times: 3 });
    await ipc.clearFaults(i % 2 === 0 ? null : layer.id);
  }
  await ipc.clearFaults();
  over = true;
  for (const count of await Promise.all(busy)) t.true(count > 0);
});

test('qemu-io meets a torn write and an error', async (t) => {
  if (!requires(t, 'qemu-io', 'qemu-utils')) return;
  const { ipc, socket } = await start(t);
  const uri = `nbd+unix:///scratch?socket=${socket}`;
  const qemuIo = async (...commands: string[]): Promise<string> => {
    const args = ['-f', 'raw', ...commands.flatMap((each) => ['-c', each]), uri];
    const run = await promisify(execFile)('qemu-io', args).catch((error: unknown) => error);
    const { stdout, stderr } = z.object({ stdout: z.string(), stderr: z.string() }).parse(run);
    return stdout + stderr;
  };
  await ipc.addFault('torn-write,range=0-64K');
  const torn = await qemuIo('write -P 1 0 4k', 'read -P 1 0 4k');
  t.regex(torn, /wrote 4096\/4096 bytes[\s\S]*Pattern verification failed at offset 0/);
  await ipc.addFault('error,errno=ENOSPC,op=write,range=64K-128K');
  t.regex(await qemuIo('write 64k 4k'), /write failed: No space left on device/);
  t.regex(await qemuIo('write -P 2 128k 4k', 'read -P 2 128k 4k'), /read 4096\/4096 bytes/);
});
