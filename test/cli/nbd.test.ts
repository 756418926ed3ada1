// pinfold serve for NBD clients: flags, status, socket activation, addresses of other machines.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { z } from 'zod';
import { requires } from '../support/requires.js';
import { failsWith, pinfold, start, succeeds, temporaryFolder } from './run.js';

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
  const { stdout } = await promisify(execFile)('nbdinfo', ['--size', ...nbd]);
  t.is(stdout, '1048576\n');
  running.child.kill('SIGTERM');
  t.is((await running.ended).exit, 0);
});

test('another machine may not connect, and activation needs a socket', async (t) => {
  const socket = ['--socket', join(temporaryFolder(t), 'ipc')];
  const wide = await pinfold('serve', ...socket, '--nbd-tcp', '0.0.0.0:10809');
  failsWith(t, wide, 2, 'EUSAGE', /0\.0\.0\.0:10809 can be reached from other machines/);
  const none = await pinfold('serve', ...socket, '--nbd-activated');
  failsWith(t, none, 3, 'EINVAL', /LISTEN_FDS is missing/);
});

test('nbdinfo starts the daemon itself, by socket activation', async (t) => {
  if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;
  const serve = ['serve', '--socket', join(temporaryFolder(t), 'ipc'), '--disk', 'd,size=1M'];
  const command = [process.execPath, ENTRY, ...serve, '--nbd-activated'];
  const { stdout } = await promisify(execFile)('nbdinfo', ['--size', '--', '[', ...command, ']']);
  t.regex(stdout, /^1048576$/m);
});
