// The handshake, and every class of malformed frame: a clear error, and the other clients go on.

import { statSync } from 'node:fs';
import test from 'ava';
import { packControl } from '../../daemon/protocol/control.js';
import { encodeFrame, FRAME, UNVERSIONED } from '../../daemon/protocol/frame.js';
import { DATA_BYTES_MAX, HEADER_BYTES } from '../../daemon/protocol/limits.js';
import { RawClient } from '../support/raw-client.js';
import { startTestDaemon } from '../support/test-daemon.js';

const EMPTY = new Uint8Array(0);
const hello = (fields: object): Uint8Array =>
  encodeFrame(UNVERSIONED, FRAME.HELLO, 0, packControl(fields));

function announcing(payloadBytes: number, type: number): Uint8Array {
  const frame = encodeFrame(1, type, 1, EMPTY);
  new DataView(frame.buffer).setUint32(28, payloadBytes, true);
  return frame;
}

test('the socket is for its user only', async (t) => {
  const { path } = await startTestDaemon(t);
  t.is(statSync(path).mode & 0o777, 0o600);
});

test('versions that do not overlap are refused, saying which ones do', async (t) => {
  const { path } = await startTestDaemon(t);
  const client = await RawClient.connect(path);
  client.hello(2, 9);
  const error = await client.nextError();
  t.is(error.code, 'EPROTONOSUPPORT');
  t.regex(error.message, /versions 2 to 9 .* 1 to 1/);
  await client.ended;
});

test('a newer client is served at the version of the daemon', async (t) => {
  const { path } = await startTestDaemon(t);
  const client = await RawClient.connect(path);
  client.hello(1, 9);
  t.is((await client.next()).type, FRAME.WELCOME);
});

test('a user who is not allowed is told so', async (t) => {
  const { path, daemon } = await startTestDaemon(t, { allowedUids: [4242] });
  const error = await (await RawClient.connect(path)).nextError();
  t.is(error.code, 'EACCES');
  t.regex(error.message, /only 4242/);
  t.is(daemon.statistics()['clientsRefused'], 1);
});

/** Sent instead of HELLO. */
const badBeginnings: readonly (readonly [string, Uint8Array, string])[] = [
  ['no frame', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), 'EPROTO'],
  ['a request', encodeFrame(UNVERSIONED, FRAME.READ, 1, EMPTY), 'EPROTO'],
  ['a version before one was agreed on', encodeFrame(1, FRAME.HELLO, 0, EMPTY), 'EPROTONOSUPPORT'],
  [
    'a HELLO that is no MessagePack',
    encodeFrame(0, FRAME.HELLO, 0, Buffer.from([0xc1])),
    'EBADMSG',
  ],
  ['a HELLO without a name', hello({ versionMin: 1, versionMax: 1 }), 'EINVAL'],
  [
    'a token that was never given out',
    encodeFrame(0, FRAME.ATTACH, 0, packControl({ token: 'x' })),
    'EACCES',
  ],
];

for (const [what, bytes, code] of badBeginnings) {
  test(`a connection that begins with ${what} is closed with ${code}`, async (t) => {
    const { path, client } = await startTestDaemon(t);
    const other = await client();
    const raw = await RawClient.connect(path);
    raw.send(bytes);
    t.is((await raw.nextError()).code, code);
    await raw.ended;
    t.is((await other.list()).disks.length, 1);
  });
}

/** Sent after the handshake; the stream can't be trusted after them. */
const fatal: readonly (readonly [string, Uint8Array, string])[] = [
  ['bytes that are no frame', Buffer.alloc(HEADER_BYTES, 0xab), 'EPROTO'],
  ['a frame of an unknown version', encodeFrame(7, FRAME.READ, 1, EMPTY), 'EPROTONOSUPPORT'],
  ['an oversized write', announcing(DATA_BYTES_MAX + 1, FRAME.WRITE), 'EMSGSIZE'],
  ['an oversized call', announcing(0xffffffff, FRAME.CALL), 'EMSGSIZE'],
  ['a read with a payload', announcing(4096, FRAME.READ), 'EMSGSIZE'],
  ['the request id 0', encodeFrame(1, FRAME.READ, 0, EMPTY), 'EPROTO'],
];

for (const [what, bytes, code] of fatal) {
  test(`${what}: ${code}, and the connection is closed`, async (t) => {
    const { path, client, daemon } = await startTestDaemon(t);
    const other = await client();
    const raw = await RawClient.open(path);
    raw.send(bytes);
    t.is((await raw.nextError()).code, code);
    await raw.ended;
    t.is((await other.list()).disks.length, 1);
    t.is(daemon.statistics()['protocolErrors'], 1);
  });
}

test('a frame that is cut short by the end of the connection gets an error', async (t) => {
  const { path } = await startTestDaemon(t);
  const raw = await RawClient.open(path);
  raw.send(encodeFrame(1, FRAME.WRITE, 1, Buffer.alloc(4096)).subarray(0, 1000));
  raw.socket.end();
  const error = await raw.nextError();
  t.is(error.code, 'EPROTO');
  t.regex(error.message, /inside a frame/);
});

/** Refused one by one; the connection goes on. */
const refused: readonly (readonly [string, Uint8Array, string])[] = [
  ['a frame of an unknown type', encodeFrame(1, 200, 5, Buffer.alloc(100)), 'ENOSYS'],
  ['a frame that only daemons send', encodeFrame(1, FRAME.WELCOME, 5, EMPTY), 'ENOSYS'],
  [
    'a read of a handle that nobody has',
    encodeFrame(1, FRAME.READ, 5, EMPTY, { handle: 99 }),
    'EBADF',
  ],
  [
    'a read that is too long',
    encodeFrame(1, FRAME.READ, 5, EMPTY, { length: DATA_BYTES_MAX + 1 }),
    'EMSGSIZE',
  ],
  [
    'a discard that is too long',
    encodeFrame(1, FRAME.DISCARD, 5, EMPTY, { length: 0xffffffff }),
    'EMSGSIZE',
  ],
  [
    'a write with an unknown flag',
    encodeFrame(1, FRAME.WRITE, 5, EMPTY, { flags: 0x80 }),
    'EINVAL',
  ],
  [
    'a call that is no MessagePack',
    encodeFrame(1, FRAME.CALL, 5, Buffer.from([0xdd, 1, 2, 3, 4])),
    'EBADMSG',
  ],
  ['a call without a method', encodeFrame(1, FRAME.CALL, 5, packControl({})), 'EINVAL'],
  [
    'a method that does not exist',
    encodeFrame(1, FRAME.CALL, 5, packControl({ method: 'x', params: {} })),
    'ENOSYS',
  ],
  [
    'a parameter that does not exist',
    encodeFrame(1, FRAME.CALL, 5, packControl({ method: 'list', params: { a: 1 } })),
    'EINVAL',
  ],
];

for (const [what, bytes, code] of refused) {
  test(`${what} is refused with ${code}, and the connection goes on`, async (t) => {
    const { path } = await startTestDaemon(t);
    const raw = await RawClient.open(path);
    raw.send(bytes);
    const error = await raw.nextError();
    t.is(error.code, code);
    t.is(error.requestId, 5);
    raw.call(6, 'list', {});
    const { type, requestId } = await raw.next();
    t.deepEqual([type, requestId], [FRAME.REPLY, 6]);
  });
}

test('a request id in use by an unanswered request closes the connection', async (t) => {
  const { path, volume } = await startTestDaemon(t);
  volume.create('/f', false).pins = 1;
  const raw = await RawClient.open(path);
  raw.call(1, 'volume.open', { name: 'files' });
  await raw.next();
  raw.call(2, 'file.open', {
    handle: 1,
    path: '/f',
    create: false,
    exclusive: false,
    truncate: false,
    writable: true,
    direct: false,
    mode: 0,
  });
  await raw.next();
  raw.call(3, 'file.truncate', { handle: 2, sizeBytes: 0 });
  raw.call(3, 'file.truncate', { handle: 2, sizeBytes: 0 });
  const error = await raw.nextError();
  t.is(error.code, 'EPROTO');
  t.regex(error.message, /request id 3 is in use/);
  await raw.ended;
});

test('a client that says nothing is closed, one that stops in its HELLO too', async (t) => {
  const { path } = await startTestDaemon(t);
  const silent = await RawClient.connect(path);
  const halting = await RawClient.connect(path);
  halting.send(hello({ versionMin: 1, versionMax: 1, name: 'x' }).subarray(0, 40));
  for (const raw of [silent, halting]) {
    t.is((await raw.nextError()).code, 'ETIMEDOUT');
    await raw.ended;
  }
});
