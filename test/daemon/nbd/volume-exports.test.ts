// Files of a volume over NBD, byte by byte: all styles of replies, many requests at a time, what goes wrong, and what other
// clients of the volume and of the daemon see meanwhile.

import { randomBytes } from 'node:crypto';
import test from 'ava';
import { parseConfig } from '../../../daemon/config.js';
import { startDaemon } from '../../../daemon/lifecycle.js';
import { CHUNK, COMMAND, COMMAND_FLAG, ERROR, putUint32 } from '../../../daemon/nbd/protocol.js';
import { until } from '../../support/test-daemon.js';
import { RawClient } from './raw-client.js';
import { damageOf, MIB, startVolume } from './volume-rig.js';

const SIZE = 16 * MIB;
const PAGE = 4096;
const { READ, WRITE, TRIM, FLUSH, CACHE, WRITE_ZEROES, BLOCK_STATUS, DISC } = COMMAND;

test.serial('what is wrong is told, and the connection goes on', async (t) => {
  const { socket } = await startVolume(t);
  const client = await RawClient.attach(t, socket, 'vm');
  const says = async (error: number, ...request: Parameters<RawClient['request']>) => {
    client.request(...request);
    t.is(await client.simple(), error, JSON.stringify(request));
  };
  const sector = Buffer.alloc(512, 7);
  await says(ERROR.EINVAL, READ, SIZE, 512);
  await says(ERROR.ENOSPC, WRITE, SIZE, 512, 0, sector);
  await says(ERROR.ENOSPC, WRITE_ZEROES, SIZE - 1, 512);
  await says(ERROR.EINVAL, TRIM, SIZE - 1, 512);
  await says(ERROR.EINVAL, 8, 0, 0);
  await says(ERROR.EINVAL, WRITE, 0, 512, 0x8000, sector);
  await says(ERROR.EINVAL, READ, 0, 512, COMMAND_FLAG.DF);
  await says(ERROR.EINVAL, BLOCK_STATUS, 0, 512);
  await says(ERROR.NONE, WRITE, 0, 512, COMMAND_FLAG.FUA, sector);
  await says(ERROR.NONE, FLUSH, 0, 0, COMMAND_FLAG.FUA);
  await says(ERROR.NONE, CACHE, 0, SIZE);
  await says(ERROR.NONE, WRITE, 0, 0);
  await says(ERROR.NONE, WRITE, 0, 0, COMMAND_FLAG.FUA);
  await says(ERROR.NONE, READ, 0, 0);
  await says(ERROR.NONE, WRITE, 510, 5, 0, Buffer.from('hello'));
  client.request(READ, 509, 7);
  t.is(await client.simple(), 0);
  t.is((await client.read(7)).toString('latin1'), '\u0007hello\0');
  await says(ERROR.NONE, WRITE_ZEROES, 0, 511, COMMAND_FLAG.NO_HOLE | COMMAND_FLAG.FUA);
  await says(ERROR.ENOTSUP, WRITE_ZEROES, 0, 1, COMMAND_FLAG.NO_HOLE | COMMAND_FLAG.FAST_ZERO);
  await says(ERROR.NONE, WRITE_ZEROES, 0, 1, COMMAND_FLAG.FAST_ZERO);
  await says(ERROR.NONE, TRIM, 511, SIZE - 511);
  client.request(READ, 0, SIZE);
  t.is(await client.simple(), 0);
  t.true((await client.read(SIZE)).equals(Buffer.alloc(SIZE)));
  client.request(DISC, 0, 0);
  t.is((await client.closed()).length, 0);
});

for (const style of ['simple', 'structured', 'extended'] as const) {
  test.serial(`${style} replies: large and small, whole and in pieces`, async (t) => {
    const { socket, volume } = await startVolume(t);
    const client = await RawClient.attach(t, socket, 'vm', style);
    const carries = style === 'extended' ? COMMAND_FLAG.PAYLOAD_LEN : 0;
    const error = async (): Promise<number> => {
      if (style !== 'extended') return await client.simple();
      const [chunk] = await client.chunks();
      return chunk.type === CHUNK.ERROR ? chunk.payload.readUInt32BE(0) : 0;
    };
    const read = async (offset: number, length: number, flags = 0): Promise<Buffer> => {
      client.request(READ, offset, length, flags);
      if (style === 'simple') {
        t.is(await client.simple(), 0);
        return await client.read(length);
      }
      const all = Buffer.alloc(length);
      const chunks = await client.chunks();
      for (const { type, payload } of chunks) {
        t.is(type, CHUNK.OFFSET_DATA);
        payload.copy(all, Number(payload.readBigUInt64BE(0)) - offset, 8);
      }
      if ((flags & COMMAND_FLAG.DF) !== 0) t.is(chunks.length, 1);
      return all;
    };
    const data = randomBytes(9 * MIB + 777);
    client.request(WRITE, 1000, data.length, carries, data);
    t.is(await error(), 0);
    t.true((await read(1000, data.length)).equals(data));
    t.true((await read(1001, 300_000)).equals(data.subarray(1, 300_001)));
    t.true((await read(5000, 70_000)).equals(data.subarray(4000, 74_000)));
    if (style !== 'simple') {
      t.true((await read(1000, data.length, COMMAND_FLAG.DF)).equals(data));
      t.true((await read(1000, 1, COMMAND_FLAG.DF)).equals(data.subarray(0, 1)));
    }
    const file = await volume.open('/vm.raw');
    t.true((await file.pread(1000, MIB)).equals(data.subarray(0, MIB)));
  });
}

test.serial(
  'a map: holes, data that is only in the cache, one extent if one is asked for',
  async (t) => {
    const { socket } = await startVolume(t);
    const client = await RawClient.attach(t, socket, 'vm', 'extended');
    const map = async (offset: number, length: number, flags = 0): Promise<number[]> => {
      client.request(BLOCK_STATUS, offset, length, flags);
      const [{ payload }] = await client.chunks();
      const numbers: number[] = [];
      for (let at = 8; at < payload.length; at += 8)
        numbers.push(Number(payload.readBigUInt64BE(at)));
      return numbers;
    };
    t.deepEqual(await map(0, SIZE), [SIZE, 3]);
    client.request(WRITE, MIB, 1, COMMAND_FLAG.PAYLOAD_LEN, Buffer.from('x'));
    await client.chunks();
    const expected = [MIB, 3, PAGE, 0, SIZE - MIB - PAGE, 3];
    t.deepEqual(await map(0, SIZE), expected);
    t.deepEqual(await map(0, SIZE, COMMAND_FLAG.REQ_ONE), [MIB, 3]);
    t.deepEqual(await map(MIB + 1, 100), [100, 0]);
    const effect = Buffer.alloc(12);
    putUint32(effect, 4, 2 * MIB);
    putUint32(effect, 8, 1);
    client.request(BLOCK_STATUS, 0, 12, COMMAND_FLAG.PAYLOAD_LEN, effect);
    t.is((await client.chunks()).at(0)?.payload.readUInt32BE(4), 3);
    putUint32(effect, 8, 9);
    client.request(BLOCK_STATUS, 0, 12, COMMAND_FLAG.PAYLOAD_LEN, effect);
    t.is((await client.chunks()).at(0)?.payload.readUInt32BE(0), ERROR.EINVAL);
  },
);

test.serial('hundreds of requests at a time, of all sizes', async (t) => {
  const { socket, volume, daemon, image, client: ipc } = await startVolume(t);
  const client = await RawClient.attach(t, socket, 'vm');
  const content = Buffer.alloc(SIZE);
  let at = 0;
  let count = 0;
  for (let length = 1; at + length < SIZE; length = (length * 7 + 3) % 90_000, count++) {
    const part = content.subarray(at, at + length);
    part.fill(count % 256);
    client.request(WRITE, at, length, count % 50 === 0 ? COMMAND_FLAG.FUA : 0, Buffer.from(part));
    at += length;
  }
  client.request(FLUSH, 0, 0);
  for (let i = 0; i <= count; i++) t.is(await client.simple(), 0);
  client.request(READ, 0, SIZE);
  t.is(await client.simple(), 0);
  t.true((await client.read(SIZE)).equals(content));
  const { pinsAcquired, pinsReleased } = await volume.statistics();
  t.is(pinsAcquired, pinsReleased);
  t.true(pinsAcquired > count);
  await ipc.close();
  await daemon.close();
  t.deepEqual(damageOf(image), []);
});

test.serial(
  'clients that die in a write, or with replies to come, or that never read',
  async (t) => {
    const { socket, daemon } = await startVolume(t);
    const dying = await RawClient.attach(t, socket, 'vm');
    dying.request(WRITE, 0, 8 * MIB, 0, Buffer.alloc(3 * MIB, 1));
    const leaving = await RawClient.attach(t, socket, 'vm');
    for (let i = 0; i < 40; i++) leaving.request(READ, i * 100_000, 100_000);
    leaving.request(FLUSH, 0, 0);
    const silent = await RawClient.attach(t, socket, 'vm');
    silent.socket.pause();
    for (let i = 0; i < 1000; i++) silent.request(READ, 0, MIB);
    dying.socket.destroy();
    leaving.socket.destroy();
    const other = await RawClient.attach(t, socket, 'vm');
    for (let i = 0; i < 50; i++) {
      other.request(WRITE, i * 512, 512, 0, Buffer.alloc(512, 2));
      t.is(await other.simple(), 0);
    }
    silent.socket.destroy();
    await until('the others are gone', () => daemon.statistics()['nbdConnections'] === 1);
    other.request(READ, 50 * 512, SIZE - 50 * 512);
    t.is(await other.simple(), 0);
    const rest = await other.read(SIZE - 50 * 512);
    const end = rest.indexOf(0);
    t.true(rest.subarray(0, Math.max(end, 0)).every((byte) => byte === 1));
    t.is((end + 50 * 512) % 512, 0);
  },
);

test.serial(
  'a request that waits for another client of the volume holds up nobody else',
  async (t) => {
    const more = {
      disks: [{ name: 'd', size: '1M' }],
      exports: [
        { name: 'vm', volume: 'v', file: '/vm.raw', size: '16M' },
        { name: 'log', volume: 'v', file: '/log', size: '1M' },
      ],
    };
    const { socket, volume } = await startVolume(t, more);
    const file = await volume.open('/vm.raw');
    const pin = await (await file.map(0, MIB)).pin(0, PAGE, { longterm: true });
    const waiting = await RawClient.attach(t, socket, 'vm');
    waiting.request(TRIM, 0, PAGE);
    for (const name of ['d', 'log', 'vm']) {
      const client = await RawClient.attach(t, socket, name);
      client.request(WRITE, 8 * PAGE, PAGE, 0, Buffer.alloc(PAGE, 3));
      t.is(await client.simple(), 0);
      client.request(READ, 8 * PAGE, PAGE);
      t.is(await client.simple(), 0);
      t.true((await client.read(PAGE)).equals(Buffer.alloc(PAGE, 3)));
    }
    // Also of the same connection: replies come as the requests are done.
    waiting.request(READ, 8 * PAGE, 1);
    t.is(await waiting.simple(), 0);
    t.is((await waiting.read(1))[0], 3);
    await pin.unpin();
    t.is(await waiting.simple(), 0);
  },
);

test.serial('a file that is cut under a connected client, and gets its size again', async (t) => {
  const { socket, volume } = await startVolume(t);
  const client = await RawClient.attach(t, socket, 'vm');
  const file = await volume.open('/vm.raw');
  client.request(WRITE, 0, MIB, 0, Buffer.alloc(MIB, 1));
  t.is(await client.simple(), 0);
  await file.truncate(MIB / 2);
  const says = async (error: number, ...request: Parameters<RawClient['request']>) => {
    client.request(...request);
    t.is(await client.simple(), error, JSON.stringify(request.slice(0, 3)));
  };
  await says(ERROR.EIO, READ, MIB / 2 - 1, 2);
  await says(ERROR.EIO, READ, MIB, MIB);
  await says(ERROR.EIO, WRITE, MIB / 2 - 1, 2, 0, Buffer.from('xy'));
  await says(ERROR.EIO, WRITE, 0, MIB, 0, Buffer.alloc(MIB, 2));
  await says(ERROR.EIO, TRIM, MIB, MIB);
  await says(ERROR.NONE, WRITE, 0, 1, COMMAND_FLAG.FUA, Buffer.from('z'));
  await file.truncate(SIZE);
  client.request(READ, MIB / 2, MIB);
  t.is(await client.simple(), 0);
  t.true((await client.read(MIB)).equals(Buffer.alloc(MIB)));
  await says(ERROR.NONE, WRITE, MIB, 1, 0, Buffer.from('y'));
  t.is((await file.pread(MIB, 1)).toString(), 'y');
});

test.serial(
  'a large read that fails on the way ends with an error, or the connection',
  async (t) => {
    const { socket, volume } = await startVolume(t);
    const file = await volume.open('/vm.raw');
    await file.pwrite(0, Buffer.alloc(MIB, 1));
    await file.truncate(MIB);
    const structured = await RawClient.attach(t, socket, 'vm', 'structured');
    structured.request(READ, 0, 2 * MIB);
    const last = (await structured.chunks()).at(-1);
    t.is(last?.type, CHUNK.ERROR);
    t.is(last?.payload.readUInt32BE(0), ERROR.EIO);
    structured.request(READ, 0, 512);
    t.is((await structured.chunks()).at(0)?.type, CHUNK.OFFSET_DATA);
    // A simple reply has promised all of it by then.
    const simple = await RawClient.attach(t, socket, 'vm');
    simple.request(READ, 0, 2 * MIB);
    t.is(await simple.simple(), 0);
    t.true((await simple.closed()).length < 2 * MIB);
  },
);

test.serial('a full volume is ENOSPC, and zeroes give its blocks back', async (t) => {
  const exports = [{ name: 'vm', volume: 'v', file: '/vm.raw', size: '256M' }];
  const { socket } = await startVolume(t, { exports });
  const client = await RawClient.attach(t, socket, 'vm');
  let error: number = ERROR.NONE;
  for (let at = 0; at < 256 && error === ERROR.NONE; at++) {
    client.request(WRITE, at * MIB, MIB, 0, Buffer.alloc(MIB, 1));
    error = await client.simple();
  }
  t.is(error, ERROR.ENOSPC);
  client.request(FLUSH, 0, 0);
  t.is(await client.simple(), 0);
  client.request(WRITE_ZEROES, 0, 32 * MIB);
  t.is(await client.simple(), 0);
  client.request(WRITE, 200 * MIB, MIB, COMMAND_FLAG.FUA, Buffer.alloc(MIB, 2));
  t.is(await client.simple(), 0);
});

test.serial('a file that is read-only, and a daemon that stops', async (t) => {
  const { socket, volume, daemon, client: ipc, config } = await startVolume(t);
  await (await volume.open('/vm.raw')).pwrite(0, Buffer.from('read-only'));
  await ipc.close();
  await daemon.close();
  const exports = [{ name: 'vm', volume: 'v', file: '/vm.raw', readOnly: true }];
  const second = await startDaemon(parseConfig({ ...config, exports }, 'test'));
  t.teardown(async () => await second.close());
  const client = await RawClient.attach(t, socket, 'vm');
  client.request(READ, 0, 9);
  t.is(await client.simple(), 0);
  t.is((await client.read(9)).toString(), 'read-only');
  for (const type of [WRITE, TRIM, WRITE_ZEROES]) {
    client.request(type, 0, 512, 0, type === WRITE ? Buffer.alloc(512) : undefined);
    t.is(await client.simple(), ERROR.EPERM);
  }
  client.request(FLUSH, 0, 0);
  t.is(await client.simple(), 0);
  const closing = second.close();
  await t.throwsAsync(async () => {
    // Served until the thread has heard of it, then refused, then closed.
    for (;;) {
      client.request(READ, 0, 1);
      const error = await client.simple();
      if (error === ERROR.NONE) await client.read(1);
      else t.is(error, ERROR.ESHUTDOWN);
    }
  });
  await closing;
});
