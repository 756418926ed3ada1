// NBD under TLS: certificates and pre-shared keys with libnbd's programs, and what a raw client could try around them.
// One after the other: each has a daemon with three threads, and one counts the sockets of the process.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { ConfigInput } from '../../../daemon/config.js';
import { COMMAND, ERROR, OPTION, REPLY } from '../../../daemon/nbd/protocol.js';
import { makePki, strangersFolder, withoutClient } from '../../support/pki.js';
import { requires } from '../../support/requires.js';
import { temporaryFolder, until } from '../../support/test-daemon.js';
import { goData, optionBytes, queries, RawClient, startNbd } from './raw-client.js';

const execute = promisify(execFile);
type Tls = Omit<NonNullable<NonNullable<ConfigInput['nbd']>['tls']>, 'certificates'>;

async function run(program: string, ...args: string[]): Promise<string> {
  return (await execute(program, args, { timeout: 30_000 })).stdout;
}

/** A daemon with a new authority, and what a raw client needs to trust it and to prove itself. */
async function startTls(t: ExecutionContext, tls: Tls = {}) {
  const pki = makePki(join(temporaryFolder(t), 'pki'));
  const started = await startNbd(t, '/tmp', {
    tcp: 'localhost:0',
    tls: { certificates: pki, ...tls },
  });
  const pem = (name: string): Buffer => readFileSync(join(pki, name));
  const trust = { ca: pem('ca-cert.pem') };
  const proof = { ...trust, cert: pem('client-cert.pem'), key: pem('client-key.pem') };
  const uris = (folder: string, name = ''): string[] => [
    `nbds+unix:///${name}?socket=${started.socket}&tls-certificates=${folder}`,
    `nbds://localhost:${started.daemon.nbdPort ?? 0}/${name}?tls-certificates=${folder}`,
  ];
  return { ...started, pki, trust, proof, uris };
}

/** Sends STARTTLS, and is under TLS when it returns. */
async function secured(t: ExecutionContext, socket: string, trust: { ca: Buffer }) {
  const client = await RawClient.connect(t, socket);
  t.is((await client.option(OPTION.STARTTLS)).at(-1)?.type, REPLY.ACK);
  return await client.secure(trust);
}

/** Sockets of this process. */
function openSockets(): number {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // the one that the folder was read by
    }
  });
  return targets.filter((target) => target.startsWith('socket:')).length;
}

async function lastType(client: RawClient, option: number, data?: Uint8Array) {
  return (await client.option(option, data)).at(-1)?.type;
}

test.serial('nbdinfo and nbdcopy with certificates, over TCP and a Unix socket', async (t) => {
  if (!requires(t, 'openssl', 'openssl') || !requires(t, 'nbdcopy', 'libnbd-bin')) return;
  const { uris, pki, folder, daemon } = await startTls(t);
  const [input, output] = [join(folder, 'in'), join(folder, 'out')];
  for (const uri of uris(pki, 'scratch')) {
    t.regex(await run('nbdinfo', uri), /newstyle-fixed with TLS, using structured packets/);
    writeFileSync(input, randomBytes(2 ** 20));
    await run('nbdcopy', '--connections=4', '--flush', input, uri);
    await run('nbdcopy', '--connections=4', uri, output);
    t.true(readFileSync(output).equals(readFileSync(input)));
  }
  t.is(daemon.statistics()['nbdTlsFailures'], 0);
});

test.serial(
  'a client that does not trust the server, or whom the server does not trust, gets nothing',
  async (t) => {
    if (!requires(t, 'openssl', 'openssl') || !requires(t, 'nbdinfo', 'libnbd-bin')) return;
    const { uris, pki, folder, daemon } = await startTls(t, { verifyPeer: true });
    const others = makePki(join(folder, 'others'));
    const stranger = strangersFolder(pki, join(folder, 'stranger'));
    mkdirSync(join(folder, 'bare'));
    const bare = withoutClient(pki, join(folder, 'bare'));
    for (const wrong of [others, stranger, bare]) {
      for (const uri of uris(wrong))
        await t.throwsAsync(run('nbdinfo', '--size', uri), undefined, uri);
    }
    await until('all failures are counted', () => daemon.statistics()['nbdTlsFailures'] === 6);
    for (const uri of uris(pki)) t.is(await run('nbdinfo', '--size', uri), '1048576\n');
  },
);

test.serial(
  'pre-shared keys: the right one opens, a wrong key and an unknown user do not',
  async (t) => {
    if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;
    const folder = temporaryFolder(t);
    const keys = (name: string, ...lines: string[]): string => {
      writeFileSync(join(folder, name), lines.join('\n'), { mode: 0o600 });
      return join(folder, name);
    };
    const [alice, bob] = ['a1'.repeat(32), 'b0'.repeat(16)];
    const pskFile = keys('all', `alice:${alice}`, `bob:${bob}`, '');
    const { socket, daemon } = await startNbd(t, '/tmp', { tls: { pskFile } });
    const size = (user: string, file: string) =>
      run('nbdinfo', '--size', `nbds+unix://${user}@/?socket=${socket}&tls-psk-file=${file}`);
    t.is(await size('alice', keys('alice', `alice:${alice}`)), '1048576\n');
    t.is(await size('bob', keys('bob', `bob:${bob}`)), '1048576\n');
    await t.throwsAsync(size('bob', keys('wrong', `bob:${alice}`)));
    await t.throwsAsync(size('eve', keys('eve', `eve:${alice}`)));
    await t.throwsAsync(run('nbdinfo', '--size', `nbd+unix:///?socket=${socket}`));
    t.is(daemon.statistics()['nbdTlsFailures'], 2);
  },
);

test.serial('where TLS is required, nothing is told, listed or attached without it', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { socket, trust } = await startTls(t);
  const client = await RawClient.connect(t, socket);
  for (const option of [OPTION.LIST, OPTION.STRUCTURED_REPLY, OPTION.EXTENDED_HEADERS, 99]) {
    t.deepEqual(await client.option(option), [{ type: REPLY.ERR_TLS_REQD, data: Buffer.alloc(0) }]);
  }
  for (const option of [OPTION.GO, OPTION.INFO]) {
    t.is(await lastType(client, option, goData('scratch')), REPLY.ERR_TLS_REQD);
  }
  t.is(await lastType(client, OPTION.STARTTLS, Buffer.from('x')), REPLY.ERR_INVALID);
  t.is(await lastType(client, OPTION.STARTTLS), REPLY.ACK);
  const secure = await client.secure(trust);
  t.is(await lastType(secure, OPTION.GO, goData('scratch')), REPLY.ACK);
  const named = await RawClient.connect(t, socket);
  named.sendOption(OPTION.EXPORT_NAME, Buffer.from('scratch'));
  t.is((await named.closed()).length, 0);
  const old = await RawClient.connect(t, socket, 0);
  t.is((await old.closed()).length, 0);
  const leaves = await RawClient.connect(t, socket);
  t.is(await lastType(leaves, OPTION.ABORT), REPLY.ACK);
});

test.serial(
  'where TLS is allowed, a client has the choice; where there is none, it is refused',
  async (t) => {
    if (!requires(t, 'openssl', 'openssl') || !requires(t, 'nbdinfo', 'libnbd-bin')) return;
    const { socket, uris, pki } = await startTls(t, { mode: 'allowed' });
    t.is(await run('nbdinfo', '--size', `nbd+unix:///?socket=${socket}`), '1048576\n');
    for (const uri of uris(pki)) t.is(await run('nbdinfo', '--size', uri), '1048576\n');
    const plain = await startNbd(t);
    const client = await RawClient.connect(t, plain.socket);
    t.is(await lastType(client, OPTION.STARTTLS), REPLY.ERR_POLICY);
    t.is(await lastType(client, OPTION.GO, goData('scratch')), REPLY.ACK);
  },
);

test.serial(
  'TLS begins anew: what was negotiated before is forgotten, and a second STARTTLS is wrong',
  async (t) => {
    if (!requires(t, 'openssl', 'openssl')) return;
    const { socket, trust } = await startTls(t, { mode: 'allowed' });
    const client = await RawClient.connect(t, socket);
    t.is(await lastType(client, OPTION.EXTENDED_HEADERS), REPLY.ACK);
    const context = queries('scratch', 'base:allocation');
    t.is(await lastType(client, OPTION.SET_META_CONTEXT, context), REPLY.ACK);
    t.is(await lastType(client, OPTION.STARTTLS), REPLY.ACK);
    const secure = await client.secure(trust);
    t.is(await lastType(secure, OPTION.STARTTLS), REPLY.ERR_INVALID);
    t.is(await lastType(secure, OPTION.SET_META_CONTEXT, context), REPLY.ERR_INVALID);
    t.is(await lastType(secure, OPTION.GO, goData('scratch')), REPLY.ACK);
    secure.request(COMMAND.BLOCK_STATUS, 0, 512);
    t.is(await secure.simple(), ERROR.EINVAL);
    secure.request(COMMAND.READ, 0, 512);
    t.is(await secure.simple(), ERROR.NONE);
    await secure.read(512);
  },
);

test.serial('NO_ZEROES was said before TLS, and holds under it', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { socket, trust } = await startTls(t);
  for (const [flags, bytes] of [
    [1, 134],
    [3, 10],
  ] as const) {
    const client = await RawClient.connect(t, socket, flags);
    await client.option(OPTION.STARTTLS);
    const secure = await client.secure(trust);
    secure.sendOption(OPTION.EXPORT_NAME, Buffer.from('scratch'));
    t.is((await secure.read(bytes)).readBigUInt64BE(0), 1048576n);
    secure.request(COMMAND.READ, 0, 512);
    t.is(await secure.simple(), ERROR.NONE);
    await secure.read(512);
  }
});

test.serial('plaintext behind STARTTLS in the same packet is never heard', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { socket, trust } = await startTls(t, { mode: 'allowed' });
  const client = await RawClient.connect(t, socket);
  const injected = [optionBytes(OPTION.STRUCTURED_REPLY), optionBytes(OPTION.GO, goData('locked'))];
  client.socket.write(Buffer.concat([optionBytes(OPTION.STARTTLS), ...injected]));
  t.deepEqual(await client.answer(), { type: REPLY.ACK, data: Buffer.alloc(0) });
  const secure = await client.secure(trust);
  const listed = await secure.option(OPTION.LIST);
  t.true(listed.slice(0, -1).every(({ type }) => type === REPLY.SERVER));
  t.is(await lastType(secure, OPTION.GO, goData('scratch')), REPLY.ACK);
  secure.request(COMMAND.WRITE, 0, 512, 0, Buffer.alloc(512, 1));
  t.is(await secure.simple(), ERROR.NONE);
});

test.serial('after STARTTLS plaintext ends the connection', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { socket, daemon } = await startTls(t, { mode: 'allowed' });
  const client = await RawClient.connect(t, socket);
  await client.option(OPTION.STARTTLS);
  client.sendOption(OPTION.GO, goData('scratch'));
  // What comes is an alert at most.
  t.true((await client.closed()).length < BYTES_OF_AN_OPTION_REPLY);
  await until('the connection is over', () => daemon.statistics()['nbdConnections'] === 0);
  t.is(daemon.statistics()['nbdTlsFailures'], 1);
});

const BYTES_OF_AN_OPTION_REPLY = 20;

test.serial(
  'clients that vanish in the middle of their handshake leave nothing behind',
  async (t) => {
    if (!requires(t, 'openssl', 'openssl')) return;
    const { socket, trust, daemon } = await startTls(t);
    const hello = Buffer.from([22, 3, 1, 1, 0, 1]);
    const before = readdirSync('/proc/self/fd').length;
    for (let i = 0; i < 100; i++) {
      const tcp = connect(daemon.nbdPort ?? 0, '127.0.0.1');
      const client =
        i % 2 === 0 ? await RawClient.connect(t, socket) : await RawClient.over(t, tcp);
      client.sendOption(OPTION.STARTTLS);
      if (i % 4 > 1) await client.answer();
      if (i % 8 > 3) client.socket.write(hello);
      if (i % 2 === 0) tcp.destroy();
      else if (i % 16 > 7) tcp.resetAndDestroy();
      client.socket.destroy();
    }
    await until('all are gone', () => daemon.statistics()['nbdConnections'] === 0);
    await until('nothing is open', () => openSockets() <= before);
    const client = await secured(t, socket, trust);
    t.is(await lastType(client, OPTION.GO, goData('scratch')), REPLY.ACK);
  },
);

test.serial('a hundred clients under TLS at one time, then none', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { socket, trust, daemon } = await startTls(t);
  const clients = await Promise.all(
    Array.from({ length: 100 }, async () => await secured(t, socket, trust)),
  );
  await Promise.all(
    clients.map(async (client, i) => {
      t.is(await lastType(client, OPTION.GO, goData('scratch')), REPLY.ACK);
      const block = Buffer.alloc(4096, i);
      client.request(COMMAND.WRITE, i * 4096, block.length, 0, block);
      t.is(await client.simple(), ERROR.NONE);
      client.request(COMMAND.READ, i * 4096, block.length);
      t.is(await client.simple(), ERROR.NONE);
      t.true((await client.read(block.length)).equals(block));
    }),
  );
  t.is(daemon.statistics()['nbdConnections'], 100);
  for (const [i, client] of clients.entries()) {
    if (i % 2 === 0) client.request(COMMAND.DISC, 0, 0);
    else client.socket.destroy();
  }
  await Promise.all(clients.map(async (client) => await client.closed()));
  await until('all are gone', () => daemon.statistics()['nbdConnections'] === 0);
});

test.serial('who does not read holds up neither others nor the end of the daemon', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const { socket, trust, daemon } = await startTls(t);
  const slow = await secured(t, socket, trust);
  await slow.option(OPTION.GO, goData('scratch'));
  slow.socket.pause();
  for (let i = 0; i < 64; i++) slow.request(COMMAND.READ, 0, 2 ** 20);
  const quick = await secured(t, socket, trust);
  await quick.option(OPTION.GO, goData('scratch'));
  for (let i = 0; i < 10; i++) {
    quick.request(COMMAND.READ, 0, 512);
    t.is(await quick.simple(), ERROR.NONE);
    await quick.read(512);
  }
  slow.socket.resume();
  for (let i = 0; i < 64; i++) {
    t.is(await slow.simple(), ERROR.NONE);
    await slow.read(2 ** 20);
  }
  slow.socket.pause();
  for (let i = 0; i < 64; i++) slow.request(COMMAND.READ, 0, 2 ** 20);
  await daemon.close();
  await quick.closed();
  t.pass();
});
