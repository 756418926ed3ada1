// The handshake, with what no real client would say.

import test from 'ava';
import { OPTION, REPLY } from '../../../daemon/nbd/protocol.js';
import { goData, queries, RawClient, startNbd } from './raw-client.js';

test('unknown options are refused, one after the other, and the handshake goes on', async (t) => {
  const { socket } = await startNbd(t);
  const client = await RawClient.connect(t, socket);
  for (const option of [99, 4, 0xffffffff]) {
    t.deepEqual(await client.option(option, Buffer.from('x')), [
      { type: REPLY.ERR_UNSUP, data: Buffer.alloc(0) },
    ]);
  }
  const list = await client.option(OPTION.LIST);
  t.deepEqual(
    list.slice(0, 3).map(({ data }) => data.toString('utf8', 4, 4 + data.readUInt32BE(0))),
    ['scratch', 'file', 'locked'],
  );
  t.is((await client.option(OPTION.LIST, Buffer.from('x'))).at(0)?.type, REPLY.ERR_INVALID);
  t.is((await client.option(OPTION.GO, goData('nothing'))).at(0)?.type, REPLY.ERR_UNKNOWN);
  t.is((await client.option(OPTION.GO, Buffer.alloc(5))).at(0)?.type, REPLY.ERR_INVALID);
  const short = goData('scratch').subarray(0, 10);
  t.is((await client.option(OPTION.INFO, short)).at(0)?.type, REPLY.ERR_INVALID);
  t.is((await client.option(OPTION.GO, goData('', [0, 1, 2, 3]))).length, 5);
});

test('flags that were not offered, a wrong magic, and an option that is too long end it', async (t) => {
  const { socket } = await startNbd(t);
  t.is((await (await RawClient.connect(t, socket, 4)).closed()).length, 0);
  const magic = await RawClient.connect(t, socket);
  magic.socket.write(Buffer.alloc(16));
  t.is((await magic.closed()).length, 0);
  const long = await RawClient.connect(t, socket);
  long.sendOption(OPTION.GO, Buffer.alloc(0), 0x7fffffff);
  t.is((await long.answer()).type, REPLY.ERR_TOO_BIG);
  await long.closed();
});

test('thousands of options end, and others do not notice', async (t) => {
  const { socket } = await startNbd(t);
  const other = await RawClient.attach(t, socket, 'scratch');
  const client = await RawClient.connect(t, socket);
  for (let i = 0; i < 5000; i++) client.sendOption(77);
  await client.closed();
  other.request(0, 0, 512);
  t.is(await other.simple(), 0);
});

test('EXPORT_NAME: 124 zeroes unless they are given up, and the end for a wrong name', async (t) => {
  const { socket } = await startNbd(t);
  for (const [flags, bytes] of [
    [1, 134],
    [3, 10],
  ] as const) {
    const client = await RawClient.connect(t, socket, flags);
    client.sendOption(OPTION.EXPORT_NAME, Buffer.from('scratch'));
    const export_ = await client.read(bytes);
    t.is(export_.readBigUInt64BE(0), 1048576n);
    client.request(0, 0, 512);
    t.is(await client.simple(), 0);
  }
  const wrong = await RawClient.connect(t, socket);
  wrong.sendOption(OPTION.EXPORT_NAME, Buffer.from('nothing'));
  t.is((await wrong.closed()).length, 0);
  const extended = await RawClient.connect(t, socket);
  await extended.option(OPTION.EXTENDED_HEADERS);
  extended.sendOption(OPTION.EXPORT_NAME, Buffer.from('scratch'));
  t.is((await extended.closed()).length, 0);
});

test('meta contexts need structured replies, a known export and whole queries', async (t) => {
  const { socket } = await startNbd(t);
  const client = await RawClient.connect(t, socket);
  const set = OPTION.SET_META_CONTEXT;
  const listing = OPTION.LIST_META_CONTEXT;
  const last = async (option: number, data: Buffer) =>
    (await client.option(option, data)).at(-1)?.type;
  t.is(await last(set, queries('scratch', 'base:allocation')), REPLY.ERR_INVALID);
  await client.option(OPTION.STRUCTURED_REPLY);
  t.is(await last(set, queries('nothing', 'base:allocation')), REPLY.ERR_UNKNOWN);
  t.is(await last(set, queries('scratch', 'base:allocation').subarray(0, 20)), REPLY.ERR_INVALID);
  t.is((await client.option(set, queries('scratch', 'base:', 'x'))).length, 1);
  t.is((await client.option(set, queries('scratch', 'x', 'base:allocation'))).length, 2);
  t.is((await client.option(listing, queries('scratch'))).length, 2);
  t.is((await client.option(listing, queries('scratch', 'base:'))).length, 2);
  t.is((await client.option(listing, queries('scratch', 'y'))).length, 1);
});

test('ABORT is acknowledged, and half an option then the end troubles nobody', async (t) => {
  const { socket } = await startNbd(t);
  const client = await RawClient.connect(t, socket);
  await client.option(OPTION.ABORT);
  await client.closed();
  const half = await RawClient.connect(t, socket);
  half.socket.end(Buffer.from('IHAV'));
  await half.closed();
  await RawClient.attach(t, socket, 'scratch');
  t.pass();
});
