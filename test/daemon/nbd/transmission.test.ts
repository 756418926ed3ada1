// Requests and replies in all three styles, with ranges, flags and ends that are wrong.

import test from 'ava';
import { CHUNK, COMMAND, COMMAND_FLAG, ERROR } from '../../../daemon/nbd/protocol.js';
import { smallFs } from '../../support/small-fs.js';
import { until } from '../../support/test-daemon.js';
import { RawClient, startNbd } from './raw-client.js';

const SIZE = 2 ** 20;
const { READ, WRITE, TRIM, FLUSH, CACHE, WRITE_ZEROES, BLOCK_STATUS, DISC } = COMMAND;

for (const name of ['scratch', 'file', 'cached', 'cached-file']) {
  test(`${name}: what is wrong is told, and the connection goes on`, async (t) => {
    const { socket } = await startNbd(t);
    const client = await RawClient.attach(t, socket, name);
    const says = async (error: number, ...request: Parameters<RawClient['request']>) => {
      client.request(...request);
      t.is(await client.simple(), error, JSON.stringify(request));
    };
    const sector = Buffer.alloc(512, 7);
    await says(ERROR.EINVAL, READ, SIZE, 512);
    await says(ERROR.EINVAL, READ, SIZE - 511, 512);
    await says(ERROR.EINVAL, READ, 2 ** 63, 512);
    await says(ERROR.ENOSPC, WRITE, SIZE, 512, 0, sector);
    await says(ERROR.ENOSPC, WRITE_ZEROES, SIZE - 1, 512);
    await says(ERROR.EINVAL, TRIM, SIZE - 1, 512);
    await says(ERROR.EINVAL, CACHE, SIZE, 1);
    await says(ERROR.EINVAL, 8, 0, 0);
    await says(ERROR.EINVAL, 0xffff, 0, 0);
    await says(ERROR.EINVAL, WRITE, 0, 512, 0x8000, sector);
    await says(ERROR.EINVAL, READ, 0, 512, COMMAND_FLAG.DF);
    await says(ERROR.EINVAL, BLOCK_STATUS, 0, 512);
    await says(ERROR.NONE, WRITE, 0, 512, COMMAND_FLAG.FUA, sector);
    await says(ERROR.NONE, FLUSH, 0, 0, COMMAND_FLAG.FUA);
    await says(ERROR.NONE, CACHE, 0, SIZE);
    await says(ERROR.NONE, WRITE, 0, 0);
    // Odd places are fine.
    await says(ERROR.NONE, WRITE, 510, 5, 0, Buffer.from('hello'));
    client.request(READ, 509, 7);
    t.is(await client.simple(), 0);
    t.is((await client.read(7)).toString('latin1'), '\u0007hello\0');
    await says(ERROR.NONE, WRITE_ZEROES, 0, 511, COMMAND_FLAG.NO_HOLE);
    await says(ERROR.NONE, TRIM, 511, SIZE - 511);
    client.request(READ, 0, SIZE);
    t.is(await client.simple(), 0);
    t.true((await client.read(SIZE)).equals(Buffer.alloc(SIZE)));
    client.request(DISC, 0, 0);
    t.is((await client.closed()).length, 0);
  });

  test(`${name}: holes, one chunk with DF, and the map`, async (t) => {
    const { socket } = await startNbd(t);
    const client = await RawClient.attach(t, socket, name, 'structured');
    client.request(WRITE, 65536, 65536, 0, Buffer.alloc(65536, 3));
    t.is(await client.simple(), 0);
    client.request(READ, 0, 262144);
    const chunks = await client.chunks();
    t.deepEqual(chunks.map(({ type }) => type).slice(0, 2), [CHUNK.OFFSET_HOLE, CHUNK.OFFSET_DATA]);
    t.is(chunks.at(0)?.payload.toString('hex'), '000000000000000000010000');
    client.request(READ, 4000, 200);
    t.deepEqual((await client.chunks()).at(0)?.payload.subarray(8), Buffer.alloc(200));
    client.request(READ, 0, 262144, COMMAND_FLAG.DF);
    const whole = await client.chunks();
    t.deepEqual(
      whole.map(({ type, payload }) => [type, payload.length]),
      [[CHUNK.OFFSET_DATA, 262152]],
    );
    const expected = Buffer.alloc(262144).fill(3, 65536, 131072);
    t.true(whole.at(0)?.payload.subarray(8).equals(expected));
    // Reading a hole has not made it data.
    client.request(BLOCK_STATUS, 0, SIZE, COMMAND_FLAG.REQ_ONE);
    t.is((await client.chunks()).at(0)?.payload.toString('hex'), '000000010001000000000003');
    client.request(READ, SIZE, 1);
    const [error] = await client.chunks();
    t.is(error.type, CHUNK.ERROR);
    t.is(error.payload.readUInt32BE(0), ERROR.EINVAL);
    client.request(BLOCK_STATUS, 0, 0);
    t.is((await client.chunks()).at(0)?.payload.readUInt32BE(0), ERROR.EINVAL);
  });

  test(`${name}: many holes in one reply, and pages that are written in part after a TRIM`, async (t) => {
    const { socket } = await startNbd(t);
    const client = await RawClient.attach(t, socket, name);
    const model = Buffer.alloc(SIZE);
    const write = async (offset: number, length: number, byte: number) => {
      client.request(WRITE, offset, length, 0, Buffer.alloc(length, byte));
      t.is(await client.simple(), 0);
      model.fill(byte, offset, offset + length);
    };
    const check = async (offset: number, length: number) => {
      client.request(READ, offset, length);
      t.is(await client.simple(), 0);
      t.true((await client.read(length)).equals(model.subarray(offset, offset + length)));
    };
    for (let page = 1; page < 128; page += 2) await write(page * 4096, 4096, page);
    await check(0, SIZE);
    await write(400_000, 200_000, 1);
    client.request(TRIM, 1000, 500_000);
    t.is(await client.simple(), 0);
    model.fill(0, 1000, 501_000);
    await check(0, SIZE);
    await write(8192 + 512, 512, 2);
    await write(262_144 - 100, 200, 3);
    await check(8192, 4096);
    await check(0, SIZE);
  });

  test(`${name}: extended headers`, async (t) => {
    const { socket } = await startNbd(t);
    const client = await RawClient.attach(t, socket, name, 'extended');
    const error = async () => {
      const [chunk] = await client.chunks();
      return chunk.type === CHUNK.ERROR ? chunk.payload.readUInt32BE(0) : 0;
    };
    client.request(WRITE, 0, 4096, COMMAND_FLAG.PAYLOAD_LEN, Buffer.alloc(4096, 5));
    t.is(await error(), 0);
    client.request(WRITE, 0, 4096);
    t.is(await error(), ERROR.EINVAL);
    client.request(READ, 0, 100, COMMAND_FLAG.PAYLOAD_LEN, Buffer.alloc(100));
    t.is(await error(), ERROR.EINVAL);
    client.request(READ, 0, 4096);
    t.true((await client.chunks()).at(0)?.payload.subarray(8).equals(Buffer.alloc(4096, 5)));
    client.request(WRITE_ZEROES, 0, 2 ** 40);
    t.is(await error(), ERROR.ENOSPC);
    client.request(BLOCK_STATUS, 0, SIZE);
    const [status] = await client.chunks();
    t.is(status.type, CHUNK.BLOCK_STATUS_EXT);
    t.is(status.payload.readUInt32BE(4), 2);
    const effect = Buffer.from('000000000000100000000001', 'hex');
    client.request(BLOCK_STATUS, 0, 12, COMMAND_FLAG.PAYLOAD_LEN, effect);
    t.is((await client.chunks()).at(0)?.payload.readUInt32BE(4), 1);
    effect[11] = 9;
    client.request(BLOCK_STATUS, 0, 12, COMMAND_FLAG.PAYLOAD_LEN, effect);
    t.is(await error(), ERROR.EINVAL);
  });

  test(`${name}: a client that dies in a write leaves whole units, or nothing behind a cache`, async (t) => {
    const { socket } = await startNbd(t);
    const client = await RawClient.attach(t, socket, name);
    client.request(WRITE, 0, 200_000, 0, Buffer.alloc(100_000, 1));
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.destroy();
    const other = await RawClient.attach(t, socket, name);
    other.request(READ, 0, 200_192);
    t.is(await other.simple(), 0);
    const data = await other.read(200_192);
    const kept = name.startsWith('cached') ? 0 : Math.floor(100_000 / 512) * 512;
    t.is(data.indexOf(0), kept);
    t.true(data.subarray(data.indexOf(0)).every((byte) => byte === 0));
  });
}

for (const name of ['scratch', 'cached']) {
  test(`${name}: replies come before a payload that does not, and one by one to who waits for each`, async (t) => {
    const { socket } = await startNbd(t);
    const client = await RawClient.attach(t, socket, name);
    const length = 65536;
    const payload = (i: number) => Buffer.alloc(length, i);
    // Many at once, then the header of one more.
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 15; i++) client.request(WRITE, i * length, length, 0, payload(i));
      client.request(WRITE, 15 * length, length);
      for (let i = 0; i < 15; i++) t.is(await client.simple(), 0);
      client.socket.write(payload(15));
      t.is(await client.simple(), 0);
    }
    // Two at a time: the second has to be answered before there is a third.
    for (let i = 0; i < 20; i++) {
      client.request(WRITE, 0, length, 0, payload(16));
      client.request(WRITE, length, length, 0, payload(17));
      t.deepEqual([await client.simple(), await client.simple()], [0, 0]);
    }
    client.request(READ, 0, SIZE);
    t.is(await client.simple(), 0);
    const pages = [16, 17, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map(payload);
    t.true((await client.read(SIZE)).equals(Buffer.concat(pages)));
  });
}

test('a unit that is cut where the receive buffer ends goes on', async (t) => {
  const { socket } = await startNbd(t);
  const client = await RawClient.attach(t, socket, 'scratch');
  client.socket.pause();
  const payload = Buffer.alloc(4096, 6);
  for (let i = 0; i < 400; i++) client.request(WRITE, 0, 4096, 0, payload);
  client.socket.resume();
  for (let i = 0; i < 400; i++) t.is(await client.simple(), 0);
});

test('a read-only disk', async (t) => {
  const { socket } = await startNbd(t);
  const client = await RawClient.attach(t, socket, 'locked');
  for (const type of [WRITE, TRIM, WRITE_ZEROES]) {
    client.request(type, 0, 512, 0, type === WRITE ? Buffer.alloc(512) : undefined);
    t.is(await client.simple(), ERROR.EPERM);
  }
  client.request(FLUSH, 0, 0);
  t.is(await client.simple(), 0);
});

test('a payload beyond all bounds and a wrong magic end the connection; a large one is refused', async (t) => {
  const { socket } = await startNbd(t);
  const huge = await RawClient.attach(t, socket, 'scratch');
  huge.request(WRITE, 0, 0xffffffff);
  t.is((await huge.closed()).length, 0);
  const magic = await RawClient.attach(t, socket, 'scratch');
  magic.socket.write(Buffer.alloc(28));
  t.is((await magic.closed()).length, 0);
  const large = await RawClient.attach(t, socket, 'scratch');
  large.request(WRITE, 0, 2 ** 25 + 1, 0, Buffer.alloc(2 ** 25 + 1));
  t.is(await large.simple(), ERROR.ENOSPC);
  large.request(READ, 0, 2 ** 25 + 1);
  t.is(await large.simple(), ERROR.EINVAL);
});

test('one who does not read his replies is not in the way of others', async (t) => {
  const { socket } = await startNbd(t);
  const slow = await RawClient.attach(t, socket, 'scratch');
  slow.socket.pause();
  for (let i = 0; i < 1000; i++) slow.request(READ, 0, SIZE);
  const other = await RawClient.attach(t, socket, 'scratch');
  for (let i = 0; i < 100; i++) {
    other.request(READ, 0, 512);
    t.is(await other.simple(), 0);
    await other.read(512);
  }
});

test('what a client of the daemon writes, NBD reads, and the other way round', async (t) => {
  const { socket, client, daemon } = await startNbd(t);
  const names = ['scratch', 'file', 'cached', 'cached-file'];
  for (const name of names) {
    const disk = await (await client()).disk(name);
    const nbd = await RawClient.attach(t, socket, name);
    await disk.write(512, Buffer.alloc(512, 1));
    nbd.request(READ, 512, 512);
    t.is(await nbd.simple(), 0);
    t.true((await nbd.read(512)).equals(Buffer.alloc(512, 1)));
    nbd.request(WRITE, 1024, 512, 0, Buffer.alloc(512, 2));
    t.is(await nbd.simple(), 0);
    t.true(Buffer.from(await disk.read(1024, 512)).equals(Buffer.alloc(512, 2)));
  }
  t.is(daemon.statistics()['nbdConnections'], names.length);
});

test.serial('when the daemon stops, clients are let go and the socket goes', async (t) => {
  const { socket, daemon } = await startNbd(t);
  const client = await RawClient.attach(t, socket, 'scratch');
  const block = Buffer.alloc(SIZE, 7);
  client.request(WRITE, 0, SIZE, 0, block);
  t.is(await client.simple(), ERROR.NONE);
  // More than a socket holds is on its way to this client, so that it is waited for.
  client.socket.pause();
  for (let i = 0; i < 4; i++) client.request(READ, 0, SIZE);
  const closing = daemon.close();
  await until('nobody can connect', async () => {
    const stranger = await RawClient.connect(t, socket).catch(() => null);
    stranger?.socket.destroy();
    return stranger === null;
  });
  client.request(READ, 0, 512);
  client.socket.resume();
  let error = await client.simple();
  for (let i = 0; i < 4 && error === ERROR.NONE; i++) {
    t.true((await client.read(SIZE)).equals(block));
    error = await client.simple();
  }
  t.is(error, ERROR.ESHUTDOWN);
  await closing;
  await client.closed();
  await t.throwsAsync(RawClient.connect(t, socket), { code: 'ENOENT' });
});

test('a full backing file system is ENOSPC for who writes, and what was there is read', async (t) => {
  const place = smallFs(t);
  if (place === null) return;
  const { socket } = await startNbd(t, place);
  const client = await RawClient.attach(t, socket, 'file');
  const block = Buffer.alloc(4096, 5);
  let written = 0;
  let error: number = ERROR.NONE;
  for (let at = 0; at < SIZE && error === ERROR.NONE; at += block.length) {
    client.request(WRITE, at, block.length, 0, block);
    error = await client.simple();
    if (error === ERROR.NONE) written = at + block.length;
  }
  t.is(error, ERROR.ENOSPC);
  t.true(written > 0);
  client.request(READ, 0, written);
  t.is(await client.simple(), ERROR.NONE);
  t.true((await client.read(written)).equals(Buffer.alloc(written, 5)));
  // Space that is given back can be written to elsewhere.
  client.request(TRIM, 0, written);
  t.is(await client.simple(), ERROR.NONE);
  client.request(WRITE, SIZE - block.length, block.length, COMMAND_FLAG.FUA, block);
  t.is(await client.simple(), ERROR.NONE);
});
