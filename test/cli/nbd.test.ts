// pinfold serve for NBD clients: flags, status, socket activation, addresses of other machines.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { z } from 'zod';
import { BYTES, COMMAND, ERROR, MAGIC, OPTION } from '../../daemon/nbd/protocol.js';
import { closeDescriptor, socketPair } from '../../native/index.js';
import { goData, optionBytes, RawClient } from '../daemon/nbd/raw-client.js';
import { makePki } from '../support/pki.js';
import { requires } from '../support/requires.js';
import { failsWith, pinfold, start, succeeds, temporaryFolder } from './run.js';

const execute = promisify(execFile);
const ENTRY = new URL('../../clients/cli/pinfold.js', import.meta.url).pathname;

test('a disk over NBD: status counts connections, and SIGTERM takes the socket away', async (t) => {
  const folder = temporaryFolder(t);
  const [socket, nbd] = [join(folder, 'ipc'), join(folder, 'nbd')];
  const on = ['--socket', socket];
  const running = start({}, 'serve', ...on, '--disk', 'd,size=1M,ro', '--nbd-socket', nbd);
  t.teardown(() => running.child.kill('SIGKILL'));
  await running.shows(`NBD clients connect to nbd+unix:///?socket=${nbd}`);
  t.true(existsSync(nbd));
  t.regex(await succeeds(t, 'status', ...on), /nbdConnections +0/);
  const second = await pinfold('serve', '--socket', join(folder, 'b'), '--nbd-socket', nbd);
  failsWith(t, second, 3, 'EADDRINUSE', /lock held by pid/);
  running.child.kill('SIGTERM');
  t.is((await running.ended).exit, 0);
  t.false(existsSync(nbd));
});

test('a file of a volume over NBD: serve makes it, status lists it, and fsck finds it in order', async (t) => {
  if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;
  const folder = temporaryFolder(t);
  const [socket, nbd, image] = ['ipc', 'nbd', 'v.img'].map((each) => join(folder, each));
  await succeeds(t, 'volume', 'mkfs', image, '--size', '16M');
  const on = ['--socket', socket];
  const what = ['--volume', `v,path=${image}`, '--export', 'vm,volume=v,file=/vm.raw,size=1M'];
  const running = start({}, 'serve', ...on, ...what, '--nbd-socket', nbd);
  t.teardown(() => running.child.kill('SIGKILL'));
  await running.shows(`NBD clients connect to nbd+unix:///?socket=${nbd}`);
  const uri = `nbd+unix:///vm?socket=${nbd}`;
  const { stdout } = await promisify(execFile)('nbdinfo', ['--size', uri]);
  t.is(stdout, '1048576\n');
  t.regex(await succeeds(t, 'status', ...on), /export +vm +1\.0 MiB +\/vm\.raw of volume v/);
  running.child.kill('SIGTERM');
  t.is((await running.ended).exit, 0);
  await succeeds(t, 'volume', 'fsck', image);
});

test('over TCP, serve says which port it got, and nbdinfo connects there', async (t) => {
  if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;
  const on = ['--socket', join(temporaryFolder(t), 'ipc'), '--nbd-tcp', 'localhost:0', '--json'];
  const running = start({}, 'serve', ...on, '--disk', 'd,size=1M');
  t.teardown(() => running.child.kill('SIGKILL'));
  const said: unknown = JSON.parse(await running.shows('}\n'));
  const { nbd } = z.object({ nbd: z.array(z.string()) }).parse(said);
  t.is(nbd.length, 1);
  const { stdout } = await execute('nbdinfo', ['--size', ...nbd]);
  t.is(stdout, '1048576\n');
  running.child.kill('SIGTERM');
  t.is((await running.ended).exit, 0);
});

test('another machine may not connect without TLS, and activation needs a socket', async (t) => {
  const socket = ['--socket', join(temporaryFolder(t), 'ipc')];
  const wide = await pinfold('serve', ...socket, '--nbd-tcp', '0.0.0.0:10809');
  failsWith(t, wide, 2, 'EUSAGE', /0\.0\.0\.0:10809 can be reached from other machines/);
  const none = await pinfold('serve', ...socket, '--nbd-activated');
  failsWith(t, none, 3, 'EINVAL', /LISTEN_FDS is missing/);
});

test('nbdinfo starts the daemon itself, by socket activation, beside any other', async (t) => {
  if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;
  for (const flag of [[], ['--nbd-activated']]) {
    const command = [process.execPath, ENTRY, 'serve', '--disk', 'd,size=1M', ...flag];
    const { stdout } = await execute('nbdinfo', ['--size', '--', '[', ...command, ']']);
    t.is(stdout, '1048576\n');
  }
});

test('with TLS, serve tells the addresses, and nbdinfo connects there', async (t) => {
  if (!requires(t, 'nbdinfo', 'libnbd-bin') || !requires(t, 'openssl', 'openssl')) return;
  const folder = temporaryFolder(t);
  const pki = makePki(join(folder, 'pki'));
  const where = ['--nbd-socket', join(folder, 'nbd'), '--nbd-tcp', 'localhost:0'];
  const tls = ['--nbd-tls-certificates', pki, '--nbd-tls-verify-peer'];
  const device = ['--socket', join(folder, 'ipc'), '--disk', 'd,size=1M'];
  const running = start({}, 'serve', ...device, ...where, ...tls, '--json');
  t.teardown(() => running.child.kill('SIGKILL'));
  const said: unknown = JSON.parse(await running.shows('}\n'));
  const { nbd } = z.object({ nbd: z.array(z.string()) }).parse(said);
  t.deepEqual(
    nbd.map((uri) => uri.replace(/:\d+$/, '')),
    [`nbds+unix:///?socket=${join(folder, 'nbd')}`, 'nbds://localhost'],
  );
  for (const uri of nbd) {
    const sign = uri.includes('?') ? '&' : '/?';
    const { stdout } = await execute('nbdinfo', ['--size', `${uri}${sign}tls-certificates=${pki}`]);
    t.is(stdout, '1048576\n');
  }
  running.child.kill('SIGTERM');
  t.is((await running.ended).exit, 0);
});

test('what is wrong with TLS is said before anybody connects', async (t) => {
  const folder = temporaryFolder(t);
  const serve = ['serve', '--socket', join(folder, 'ipc'), '--nbd-socket', join(folder, 'nbd')];
  const neither = await pinfold(...serve, '--nbd-tls', 'required');
  failsWith(t, neither, 2, 'EUSAGE', /either certificates \(a folder\) or pskFile \(a file\)/);
  const psk = join(folder, 'keys.psk');
  const verify = await pinfold(...serve, '--nbd-tls-psk', psk, '--nbd-tls-verify-peer');
  failsWith(
    t,
    verify,
    2,
    'EUSAGE',
    /nbd\.tls\.verifyPeer is true: expected only with certificates/,
  );
  const missing = await pinfold(...serve, '--nbd-tls-psk', psk);
  failsWith(t, missing, 3, 'ENOENT', /keys\.psk, the keys of the clients, cannot be read/);
  writeFileSync(psk, `alice:${'a1'.repeat(32)}\n`, { mode: 0o644 });
  const running = start({}, ...serve, '--nbd-tls-psk', psk);
  t.teardown(() => running.child.kill('SIGKILL'));
  await running.shows(`NBD clients connect to nbds+unix:///?socket=${join(folder, 'nbd')}`);
  running.child.kill('SIGTERM');
  t.regex((await running.ended).stderr, /keys\.psk can be read by every user of this machine/);
});

test('--stdio serves the client at the other end of one socket, and ends with it', async (t) => {
  const [ours, theirs] = socketPair();
  const args = [ENTRY, 'serve', '--stdio', '--disk', 'd,size=1M'];
  const child = spawn(process.execPath, args, { stdio: [theirs, theirs, 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  closeDescriptor(theirs);
  const ended = once(child, 'close');
  const client = await RawClient.over(t, new Socket({ fd: ours }));
  await client.option(OPTION.GO, goData('d'));
  client.request(COMMAND.WRITE, 512, 512, 0, Buffer.alloc(512, 7));
  t.is(await client.simple(), ERROR.NONE);
  client.request(COMMAND.READ, 512, 512);
  t.is(await client.simple(), ERROR.NONE);
  t.true((await client.read(512)).equals(Buffer.alloc(512, 7)));
  client.request(COMMAND.DISC, 0, 0);
  t.deepEqual(await ended, [0, null]);
});

test('--stdio goes through two pipes, also those of a shell, and the last reply arrives', async (t) => {
  const folder = temporaryFolder(t);
  const input = join(folder, 'in');
  const flags = Buffer.from([0, 0, 0, 3]);
  const read = Buffer.alloc(28);
  read.writeUInt32BE(MAGIC.REQUEST);
  read.writeUInt32BE(2 ** 20, 24);
  writeFileSync(input, Buffer.concat([flags, optionBytes(OPTION.EXPORT_NAME), read]));
  const pipeline = 'set -o pipefail; cat "$0" | "$@" | cat';
  const serve = [process.execPath, ENTRY, 'serve', '--stdio', '--disk', 'd,size=1M'];
  const { stdout } = await execute('bash', ['-c', pipeline, input, ...serve], {
    encoding: 'buffer',
    maxBuffer: 2 ** 22,
  });
  t.is(stdout.toString('latin1', 0, 8), 'NBDMAGIC');
  t.is(stdout.length, BYTES.GREETING + 10 + BYTES.SIMPLE_REPLY + 2 ** 20);
});

test('--stdio needs a client there, and standard output for itself', async (t) => {
  const file = openSync('/dev/null', 'r+');
  t.teardown(() => closeSync(file));
  const args = [ENTRY, 'serve', '--stdio'];
  const child = spawn(process.execPath, args, { stdio: [file, file, 'pipe'] });
  let stderr = '';
  child.stderr?.on('data', (text: Buffer) => {
    stderr += text.toString();
  });
  t.deepEqual(await once(child, 'close'), [3, null]);
  t.regex(
    stderr,
    /^pinfold: EINVAL: standard input is neither a socket nor a pipe: .*--nbd-socket/,
  );
  const json = await pinfold('serve', '--stdio', '--json');
  failsWith(t, json, 2, 'EUSAGE', /--json would write to standard output/);
  const two = await pinfold('serve', '--stdio', '--nbd-socket', 'nbd');
  failsWith(t, two, 2, 'EUSAGE', /nbd\.stdio is true: expected without socket, tcp and activated/);
});
