// The published vulnerabilities of nbdkit, tried here: each is a mistake that any NBD server could make.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  CHUNK,
  COMMAND,
  COMMAND_FLAG,
  ERROR,
  INFO,
  OPTION,
  REPLY,
} from '../../../daemon/nbd/protocol.js';
import { makePki } from '../../support/pki.js';
import { requires } from '../../support/requires.js';
import { startTestDaemon, temporaryFolder } from '../../support/test-daemon.js';
import { type Chunk, goData, optionBytes, queries, RawClient, startNbd } from './raw-client.js';

const GIB = 2 ** 30;
/** The longest that a request without extended headers can be. */
const LONGEST = 2 ** 32 - 1;

/** Disks of 8 GiB, `large` in memory and `file`, each with 4 KiB of data at 1 GiB. */
async function startLarge(t: ExecutionContext) {
  const folder = temporaryFolder(t);
  const socket = join(folder, 'nbd');
  await startTestDaemon(t, {
    nbd: { socket },
    disks: [
      { name: 'large', size: '8G' },
      { name: 'file', size: '8G', path: join(folder, 'disk.img') },
    ],
  });
  for (const name of ['large', 'file']) {
    const client = await RawClient.attach(t, socket, name);
    client.request(COMMAND.WRITE, GIB, 4096, 0, Buffer.alloc(4096, 1));
    t.is(await client.simple(), ERROR.NONE);
    client.request(COMMAND.DISC, 0, 0);
  }
  return socket;
}

/** What the extents of the one chunk cover; every length is positive. */
function covered(t: ExecutionContext, chunks: readonly Chunk[]): number {
  t.is(chunks.length, 1);
  const { type, payload } = chunks.at(0) ?? { type: 0, payload: Buffer.alloc(0) };
  const extended = type === CHUNK.BLOCK_STATUS_EXT;
  t.true(extended || type === CHUNK.BLOCK_STATUS);
  let total = 0;
  for (let at = extended ? 8 : 4; at < payload.length; at += extended ? 16 : 8) {
    const length = extended ? Number(payload.readBigUInt64BE(at)) : payload.readUInt32BE(at);
    t.true(length > 0);
    total += length;
  }
  return total;
}

// nbdkit opened its back end for everybody who connected: a port scan made it do all the work of an attachment.
test.serial('CVE-2019-14850: who only connects, or only asks, opens nothing', async (t) => {
  const { socket, daemon } = await startNbd(t);
  const descriptors = (): number => readdirSync('/proc/self/fd').length;
  await (await RawClient.connect(t, socket)).option(OPTION.LIST);
  const before = descriptors();
  const count = 50;
  for (let i = 0; i < count; i++) {
    const client = await RawClient.connect(t, socket, i % 2 === 0 ? null : 3);
    if (i % 2 === 0) continue;
    await client.option(OPTION.LIST);
    await client.option(OPTION.INFO, goData('file', [INFO.NAME, INFO.BLOCK_SIZE]));
  }
  // Both ends of each connection are in this process, and nothing else.
  t.is(descriptors(), before + 2 * count);
  t.is(daemon.statistics()['nbdRequests'], 0);
});

// The fix of the former opened at NBD_OPT_INFO, and asserted at the next option that nothing was open yet.
test('CVE-2019-14851: INFO may be followed by anything, in any order', async (t) => {
  const { socket } = await startNbd(t);
  const finals = [OPTION.INFO, OPTION.GO, OPTION.EXPORT_NAME] as const;
  for (const final of finals) {
    const client = await RawClient.connect(t, socket);
    const context = queries('file', 'base:allocation');
    for (const [option, data] of [
      [OPTION.INFO, goData('scratch')],
      [OPTION.INFO, goData('file')],
      [OPTION.INFO, goData('nothing')],
      [OPTION.STRUCTURED_REPLY, Buffer.alloc(0)],
      [OPTION.INFO, goData('locked')],
      [OPTION.SET_META_CONTEXT, context],
      [OPTION.INFO, goData('file')],
      [OPTION.SET_META_CONTEXT, context],
      [OPTION.STRUCTURED_REPLY, Buffer.alloc(0)],
      [OPTION.LIST, Buffer.alloc(0)],
      [OPTION.LIST_META_CONTEXT, queries('scratch')],
    ] as const) {
      const last = (await client.option(option, data)).at(-1)?.type;
      t.is(last, data.includes('nothing') ? REPLY.ERR_UNKNOWN : REPLY.ACK);
    }
    if (final === OPTION.EXPORT_NAME) {
      client.sendOption(final, Buffer.from('scratch'));
      t.is((await client.read(10)).readBigUInt64BE(0), 1048576n);
    } else {
      t.is((await client.option(final, goData('scratch'))).at(-1)?.type, REPLY.ACK);
    }
    if (final !== OPTION.INFO) {
      client.request(COMMAND.READ, 0, 512);
      t.is((await client.chunks()).length, 1);
    }
  }
});

// Who stood in between put NBD_OPT_STRUCTURED_REPLY in front of STARTTLS. The server remembered it under TLS, and the client
// did not understand what it was sent.
test('CVE-2021-3716: an option before STARTTLS has no effect under TLS', async (t) => {
  if (!requires(t, 'openssl', 'openssl')) return;
  const certificates = makePki(join(temporaryFolder(t), 'pki'));
  const ca = readFileSync(join(certificates, 'ca-cert.pem'));
  for (const injected of [OPTION.STRUCTURED_REPLY, OPTION.EXTENDED_HEADERS]) {
    const { socket } = await startNbd(t, '/tmp', { tls: { certificates, mode: 'allowed' } });
    const client = await RawClient.connect(t, socket);
    const after = optionBytes(OPTION.GO, goData('locked'));
    const packet = [optionBytes(injected), optionBytes(OPTION.STARTTLS), after];
    client.socket.write(Buffer.concat(packet));
    t.is((await client.answer()).type, REPLY.ACK);
    t.is((await client.answer()).type, REPLY.ACK);
    const secure = await client.secure({ ca });
    t.is((await secure.option(OPTION.GO, goData('scratch'))).at(-1)?.type, REPLY.ACK);
    secure.request(COMMAND.READ, 0, 512);
    t.is(await secure.simple(), ERROR.NONE);
    t.is((await secure.read(512)).length, 512);
  }
});

// An extent of a whole request of 4 GiB - 1 was taken for one that does not fit into 32 bits, and asserted.
test('CVE-2025-47711: the status of as many blocks as can be asked for', async (t) => {
  const socket = await startLarge(t);
  for (const name of ['large', 'file']) {
    const client = await RawClient.attach(t, socket, name, 'structured');
    for (const length of [LONGEST, LONGEST - 1, LONGEST - 511, 2 ** 31]) {
      for (const offset of [0, 2 * GIB, 8 * GIB - length]) {
        client.request(COMMAND.BLOCK_STATUS, offset, length);
        t.is(covered(t, await client.chunks()), length, `${length} from ${offset}`);
      }
    }
    const extended = await RawClient.attach(t, socket, name, 'extended');
    for (const length of [LONGEST, 2 ** 32, 2 ** 32 + 1, 8 * GIB]) {
      extended.request(COMMAND.BLOCK_STATUS, 0, length);
      t.is(covered(t, await extended.chunks()), length, `${length}`);
    }
  }
});

// The blocksize filter rounded such a request up to whole blocks: in 32 bits that is none at all, and it asserted.
test('CVE-2025-47712: the same from the middle of a block, and for one extent only', async (t) => {
  const socket = await startLarge(t);
  for (const name of ['large', 'file']) {
    const client = await RawClient.attach(t, socket, name, 'structured');
    for (const offset of [1, 511, 4095, 2 * GIB + 1]) {
      client.request(COMMAND.BLOCK_STATUS, offset, LONGEST);
      t.is(covered(t, await client.chunks()), LONGEST, `from ${offset}`);
      client.request(COMMAND.BLOCK_STATUS, offset, LONGEST, COMMAND_FLAG.REQ_ONE);
      const one = covered(t, await client.chunks());
      t.is(one, offset < GIB ? GIB - offset : LONGEST, `one from ${offset}`);
    }
    client.request(COMMAND.READ, GIB, 4096);
    const read = (await client.chunks()).at(0);
    t.true(read?.payload.subarray(8).equals(Buffer.alloc(4096, 1)));
  }
});
