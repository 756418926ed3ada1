// Extended headers, which no client of Debian 12 speaks: lengths beyond 32 bits, maps of chosen contexts, errors as chunks.

import { statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CHUNK, CHUNK_DONE, COMMAND, COMMAND_FLAG, ERROR } from '../../../daemon/nbd/protocol.js';
import { startTestDaemon, temporaryFolder } from '../../support/test-daemon.js';
import { type Chunk, RawClient } from './raw-client.js';

const GIB = 2 ** 30;
const SIZE = 8 * GIB;
const { READ, WRITE, TRIM, WRITE_ZEROES, BLOCK_STATUS, FLUSH, CACHE } = COMMAND;
const { PAYLOAD_LEN, REQ_ONE, DF, FUA, NO_HOLE } = COMMAND_FLAG;
const HOLE_ZERO = 3;

async function attach(t: ExecutionContext) {
  const folder = temporaryFolder(t);
  const nbd = join(folder, 'nbd');
  const image = join(folder, 'disk.img');
  await startTestDaemon(t, {
    nbd: { socket: nbd },
    disks: [
      { name: 'memory', size: '8G' },
      { name: 'file', size: '8G', path: image },
    ],
  });
  return { nbd, image };
}

/** Of a request that is answered by one chunk. */
async function single(client: RawClient): Promise<Chunk> {
  const chunks = await client.chunks();
  if (chunks.length !== 1) throw new Error(`${chunks.length} chunks`);
  const chunk = chunks.at(0);
  if (chunk === undefined || chunk.flags !== CHUNK_DONE) throw new Error('not the last chunk');
  return chunk;
}

async function error(client: RawClient): Promise<number> {
  const { type, payload } = await single(client);
  if (type === CHUNK.NONE) return ERROR.NONE;
  if (type !== CHUNK.ERROR) throw new Error(`chunk type ${type}`);
  // | error 4 | length of the message 2 | message |
  if (payload.length !== 6 + payload.readUInt16BE(4)) throw new Error('an error of another length');
  return payload.readUInt32BE(0);
}

/** Pairs of length and flags. */
async function map(client: RawClient): Promise<number[][]> {
  const { type, payload } = await single(client);
  if (type !== CHUNK.BLOCK_STATUS_EXT || payload.readUInt32BE(0) !== 1) throw new Error('no map');
  const count = payload.readUInt32BE(4);
  if (payload.length !== 8 + 16 * count) throw new Error('a map of another length');
  return Array.from({ length: count }, (_, i) => [
    Number(payload.readBigUInt64BE(8 + 16 * i)),
    Number(payload.readBigUInt64BE(16 + 16 * i)),
  ]);
}

/** | effect length 8 | context 4 | ... | */
function filter(effect: number, ...contexts: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 + 4 * contexts.length);
  bytes.writeBigUInt64BE(BigInt(effect), 0);
  for (const [i, context] of contexts.entries()) bytes.writeUInt32BE(context, 8 + 4 * i);
  return bytes;
}

for (const name of ['memory', 'file']) {
  test(`${name}: maps, zeroes and trims of more than 4 GiB`, async (t) => {
    const { nbd, image } = await attach(t);
    const client = await RawClient.attach(t, nbd, name, 'extended');
    const block = Buffer.alloc(65536, 7);
    for (const at of [0, 5 * GIB, 7 * GIB]) {
      client.request(WRITE, at, block.length, PAYLOAD_LEN | FUA, block);
      t.is(await error(client), ERROR.NONE);
    }
    client.request(BLOCK_STATUS, 0, SIZE);
    const data = [65536, 0];
    t.deepEqual(await map(client), [
      data,
      [5 * GIB - 65536, HOLE_ZERO],
      data,
      [2 * GIB - 65536, HOLE_ZERO],
      data,
      [GIB - 65536, HOLE_ZERO],
    ]);
    client.request(BLOCK_STATUS, 65536, SIZE - 65536, REQ_ONE);
    t.deepEqual(await map(client), [[5 * GIB - 65536, HOLE_ZERO]]);
    client.request(TRIM, 0, 5 * GIB + 4096);
    t.is(await error(client), ERROR.NONE);
    client.request(CACHE, 0, SIZE);
    t.is(await error(client), ERROR.NONE);
    client.request(READ, 5 * GIB + 4096 - 512, 1024, DF);
    const { type, payload } = await single(client);
    t.is(type, CHUNK.OFFSET_DATA);
    t.is(payload.readBigUInt64BE(0), BigInt(5 * GIB + 4096 - 512));
    t.true(payload.subarray(8, 520).equals(Buffer.alloc(512)));
    t.true(payload.subarray(520).equals(Buffer.alloc(512, 7)));
    client.request(WRITE_ZEROES, 0, SIZE, FUA);
    t.is(await error(client), ERROR.NONE);
    client.request(BLOCK_STATUS, 0, SIZE);
    t.deepEqual(await map(client), [[SIZE, HOLE_ZERO]]);
    // The file has given its blocks back.
    if (name === 'file') t.true(statSync(image).blocks < 64);
    client.request(WRITE_ZEROES, 4096, SIZE);
    t.is(await error(client), ERROR.ENOSPC);
    client.request(TRIM, 4096, SIZE);
    t.is(await error(client), ERROR.EINVAL);
    client.request(BLOCK_STATUS, 0, 2 ** 63);
    t.is(await error(client), ERROR.EINVAL);
  });
}

test('maps of chosen contexts: those that were negotiated, and nothing else', async (t) => {
  const { nbd } = await attach(t);
  const client = await RawClient.attach(t, nbd, 'memory', 'extended');
  const ask = (payload: Buffer, flags = 0): void =>
    client.request(BLOCK_STATUS, GIB, payload.length, PAYLOAD_LEN | flags, payload);
  ask(filter(6 * GIB, 1));
  t.deepEqual(await map(client), [[6 * GIB, HOLE_ZERO]]);
  ask(filter(4096, 1), REQ_ONE);
  t.deepEqual(await map(client), [[4096, HOLE_ZERO]]);
  const wrong = [
    filter(4096),
    filter(4096, 0),
    filter(4096, 2),
    filter(4096, 1, 2),
    filter(0, 1),
    filter(SIZE, 1),
    filter(2 ** 52, 1),
    filter(4096, 1).subarray(0, 11),
    filter(4096, 1).subarray(0, 4),
    // Longer than what is looked at, and longer than what is received at once.
    filter(4096, ...Array<number>(2000).fill(1)),
    Buffer.concat([filter(4096, 1), Buffer.alloc(800_000)]),
  ];
  for (const payload of wrong) {
    ask(payload);
    t.is(await error(client), ERROR.EINVAL, payload.toString('hex', 0, 24));
  }
  ask(Buffer.alloc(0));
  t.is(await error(client), ERROR.EINVAL);
  ask(filter(4096, 1));
  t.deepEqual(await map(client), [[4096, HOLE_ZERO]]);
});

test('a payload where none belongs is thrown away, and its command is refused', async (t) => {
  const { nbd } = await attach(t);
  const client = await RawClient.attach(t, nbd, 'memory', 'extended');
  for (const type of [READ, FLUSH, TRIM, CACHE, WRITE_ZEROES, 9]) {
    client.request(type, 0, 5000, PAYLOAD_LEN, Buffer.alloc(5000, 0xff));
    t.is(await error(client), ERROR.EINVAL, `command ${type}`);
  }
  client.request(WRITE, 0, 4096);
  t.is(await error(client), ERROR.EINVAL);
  client.request(WRITE, SIZE - 1, 4096, PAYLOAD_LEN, Buffer.alloc(4096));
  t.is(await error(client), ERROR.ENOSPC);
  client.request(READ, 0, 2 ** 25 + 1, DF);
  t.is(await error(client), ERROR.EOVERFLOW);
  client.request(READ, 0, 2 ** 32 + 1);
  t.is(await error(client), ERROR.EINVAL);
  client.request(WRITE_ZEROES, 0, 4096, NO_HOLE | COMMAND_FLAG.FAST_ZERO);
  t.is(await error(client), ERROR.ENOTSUP);
  client.request(READ, 0, 8192);
  t.true((await single(client)).payload.subarray(8).equals(Buffer.alloc(8192)));
});

test('what one connection wrote, another flushes and a third one reads', async (t) => {
  const { nbd } = await attach(t);
  for (const disk of ['memory', 'file']) {
    const writer = await RawClient.attach(t, nbd, disk, 'extended');
    const flusher = await RawClient.attach(t, nbd, disk);
    const reader = await RawClient.attach(t, nbd, disk, 'structured');
    for (let i = 1; i <= 50; i++) {
      writer.request(WRITE, i * 4096, 4096, PAYLOAD_LEN, Buffer.alloc(4096, i));
      t.is(await error(writer), ERROR.NONE);
      flusher.request(FLUSH, 0, 0);
      t.is(await flusher.simple(), ERROR.NONE);
      reader.request(READ, i * 4096, 4096);
      const { payload } = await single(reader);
      t.true(payload.subarray(8).equals(Buffer.alloc(4096, i)), `block ${i} of ${disk}`);
    }
  }
});
