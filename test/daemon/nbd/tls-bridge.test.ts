// The bridge between TLS and plaintext by itself: handshakes that never end, and ends that close.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { TlsBridge } from '../../../daemon/nbd/tls-bridge.js';
import { loadCredentials } from '../../../daemon/nbd/tls-credentials.js';
import { socketPair } from '../../../native/index.js';
import { makePki } from '../../support/pki.js';
import { requires } from '../../support/requires.js';
import { temporaryFolder, until } from '../../support/test-daemon.js';

/** A bridge, with what it reported, and a way to give it a client. */
function makeBridge(t: ExecutionContext, handshakeTimeout: number) {
  const certificates = makePki(join(temporaryFolder(t), 'pki'));
  const credentials = loadCredentials(
    { mode: 'required', certificates, verifyPeer: false },
    () => undefined,
  );
  const failures: string[] = [];
  let closed = 0;
  const bridge = new TlsBridge(
    credentials,
    { failed: (reason) => failures.push(reason), closed: () => closed++ },
    handshakeTimeout,
  );
  const take = () => {
    const [client, outer] = socketPair();
    const [plain, inner] = socketPair();
    const raw = new Socket({ fd: client, allowHalfOpen: true });
    const text = new Socket({ fd: plain, allowHalfOpen: true });
    t.teardown(() => {
      raw.destroy();
      text.destroy();
    });
    bridge.take({ client: outer, plain: inner });
    return { raw, text, leave: () => bridge.leave(inner) };
  };
  const secure = async (raw: Socket): Promise<TLSSocket> => {
    const ca = readFileSync(join(certificates, 'ca-cert.pem'));
    const socket = connectTls({ socket: raw, ca, servername: 'localhost' });
    await once(socket, 'secureConnect');
    return socket;
  };
  return { bridge, take, secure, failures, closed: () => closed };
}

test('a client that never ends its handshake is closed, and so is its plaintext', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { take, failures, closed } = makeBridge(t, 50);
  const { raw, text } = take();
  raw.resume();
  text.resume();
  await Promise.all([once(raw, 'end'), once(text, 'end')]);
  await until('it is reported', () => closed() === 1);
  t.deepEqual(failures, ['TLS handshake timeout (ERR_TLS_HANDSHAKE_TIMEOUT)']);
});

test('a handshake ends with its plaintext', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { take, closed } = makeBridge(t, 60_000);
  const { raw, text, leave } = take();
  text.destroy();
  leave();
  raw.resume();
  await once(raw, 'end');
  await until('it is closed', () => closed() === 1);
  t.pass();
});

test('what was sent before the end of one side arrives at the other, and then the end', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { take, secure, closed } = makeBridge(t, 60_000);
  const megabytes = Buffer.alloc(8 * 2 ** 20, 'every byte of it');
  const inwards = take();
  const client = await secure(inwards.raw);
  client.end(megabytes);
  t.true((await collect(inwards.text)).equals(megabytes));
  inwards.text.end('an answer to all that');
  t.is(String(await collect(client)), 'an answer to all that');
  inwards.raw.destroy();
  const outwards = take();
  const reader = await secure(outwards.raw);
  outwards.text.end(megabytes);
  t.true((await collect(reader)).equals(megabytes));
  reader.end();
  await until('both are closed', () => closed() === 2);
});

test('a client that reads nothing more is let go a while after its plaintext was closed', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { take, secure, closed } = makeBridge(t, 60_000);
  const { raw, text, leave } = take();
  const client = await secure(raw);
  client.pause();
  text.on('error', () => undefined);
  // More is under way than all sockets hold.
  for (let i = 0; i < 512; i++) text.write(Buffer.alloc(64 * 1024));
  let [left, polls] = [0, 0];
  await until('nothing moves any more', () => {
    polls = text.writableLength === left ? polls + 1 : 0;
    left = text.writableLength;
    return polls === 50;
  });
  text.destroy();
  leave();
  await until('it is closed', () => closed() === 1);
  t.pass();
});

/** All until the end; the other direction stays open. */
async function collect(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of socket.iterator({ destroyOnReturn: false })) {
    if (Buffer.isBuffer(part)) parts.push(part);
  }
  return Buffer.concat(parts);
}
