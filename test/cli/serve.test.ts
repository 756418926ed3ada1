// A daemon started by the command, and the commands that talk to it.

import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { failsWith, pinfold, type Running, start, succeeds, temporaryFolder } from './run.js';

interface Daemon {
  readonly folder: string;
  readonly socket: string;
  readonly running: Running;
}

async function serve(t: ExecutionContext, ...args: string[]): Promise<Daemon> {
  const folder = temporaryFolder(t);
  const socket = join(folder, 'socket');
  const running = start({}, 'serve', '--socket', socket, ...args);
  t.teardown(() => running.child.kill('SIGKILL'));
  await running.shows('serving on');
  return { folder, socket, running };
}

test('a disk is written, read, discarded, and SIGTERM ends the daemon with 0', async (t) => {
  const { folder, socket, running } = await serve(t, '--disk', 'scratch,size=4M');
  const on = ['scratch', '--socket', socket];
  const [input, output] = [join(folder, 'in'), join(folder, 'out')];
  const data = randomBytes(1_500_000);
  writeFileSync(input, data);
  failsWith(t, await pinfold('disk', 'write', ...on, '--input', input), 3, 'EINVAL', /--pad/);
  await succeeds(t, 'disk', 'write', ...on, '--offset', '1M', '--input', input, '--pad', '--flush');
  await succeeds(t, 'disk', 'read', ...on, '--offset', '1M', '--output', output);
  const back = readFileSync(output);
  t.is(back.length, 3 * 2 ** 20);
  t.true(back.subarray(0, data.length).equals(data));
  await succeeds(t, 'disk', 'discard', ...on, '--offset', '0', '--length', '4M');
  const hex = await succeeds(
    t,
    'disk',
    'read',
    ...on,
    '--offset',
    '1M',
    '--length',
    '512',
    '--hex',
  );
  t.regex(hex, /^0000100000 {2}00 00 .*\n\*\n/);
  await succeeds(t, 'disk', 'flush', ...on);
  running.child.kill('SIGTERM');
  t.is((await running.ended).exit, 0);
});

test('outside of a disk, and a disk that is not there', async (t) => {
  const { socket } = await serve(t, '--disk', 'scratch,size=4M');
  const on = ['--socket', socket];
  const outside = await pinfold(
    'disk',
    'read',
    'scratch',
    ...on,
    '--offset',
    '4M',
    '--length',
    '512',
  );
  failsWith(t, outside, 3, 'EINVAL', /past the end of disk scratch/);
  failsWith(t, await pinfold('disk', 'flush', 'other', ...on), 3, 'ENODEV', /it serves scratch/);
  const odd = await pinfold('disk', 'read', 'scratch', ...on, '--length', '100');
  failsWith(t, odd, 2, 'EUSAGE', /--length.*'100'.*512 to 1T/);
});

test('a region is the same memory for all who map it', async (t) => {
  const { folder, socket } = await serve(t, '--region', 'pmem,size=1M');
  const on = ['pmem', '--socket', socket];
  writeFileSync(join(folder, 'in'), 'hello');
  await succeeds(t, 'region', 'write', ...on, '--offset', '4K', '--input', join(folder, 'in'));
  t.is(await succeeds(t, 'region', 'dump', ...on, '--offset', '4096', '--length', '5'), 'hello');
  const outside = await pinfold('region', 'dump', ...on, '--offset', '1M', '--length', '1');
  failsWith(t, outside, 3, 'EINVAL', /past the end of region pmem, which has 1M/);
});

test('status and lists have stable fields', async (t) => {
  const { socket } = await serve(t, '--disk', 'd,size=1M', '--region', 'r,size=64K');
  const status = z
    .strictObject({
      socket: z.literal(socket),
      daemon: z.object({ pid: z.number(), release: z.string() }),
      disks: z.array(
        z.strictObject({
          name: z.string(),
          sizeBytes: z.number(),
          backing: z.string(),
          cache: z.null(),
          faults: z.array(z.string()),
        }),
      ),
      regions: z.array(z.strictObject({ name: z.string(), sizeBytes: z.number() })),
      volumes: z.array(z.unknown()),
      exports: z.array(z.unknown()),
      counters: z.record(z.string(), z.number()),
    })
    .parse(JSON.parse(await succeeds(t, 'status', '--socket', socket, '--json')));
  t.deepEqual(status.regions, [{ name: 'r', sizeBytes: 65536 }]);
  t.is(status.counters['clientsAccepted'], 1);
  const { disks } = z
    .strictObject({ disks: z.array(z.object({ name: z.string() })) })
    .parse(JSON.parse(await succeeds(t, 'disk', 'list', '--socket', socket, '--json')));
  t.deepEqual(
    disks.map(({ name }) => name),
    ['d'],
  );
});

test('a second daemon on the same socket is refused', async (t) => {
  const { socket, running } = await serve(t);
  const second = await pinfold('serve', '--socket', socket);
  const holder = new RegExp(`lock held by pid ${running.child.pid ?? 0}`);
  failsWith(t, second, 3, 'EADDRINUSE', holder);
});

test('nobody listens', async (t) => {
  const socket = join(temporaryFolder(t), 'socket');
  failsWith(t, await pinfold('status', '--socket', socket), 3, 'ECONNREFUSED', /pinfold serve/);
});

test('a wrong device flag is a usage error that names key, value and what is allowed', async (t) => {
  const socket = ['--socket', join(temporaryFolder(t), 'socket')];
  const size = await pinfold('serve', ...socket, '--disk', 'a,size=1X');
  failsWith(t, size, 2, 'EUSAGE', /disks\.0\.size is "1X": expected a size from 4K to 1T/);
  const key = await pinfold('serve', ...socket, '--region', 'a,length=1G');
  failsWith(t, key, 2, 'EUSAGE', /length=1G is no option, expected size=/);
  const twice = await pinfold('serve', ...socket, '--disk', 'a,size=1M', '--disk', 'a,size=1M');
  failsWith(t, twice, 2, 'EUSAGE', /name a twice/);
});

test('a backing file that is not there is told, with what to do', async (t) => {
  const folder = temporaryFolder(t);
  const args = ['--socket', join(folder, 'socket'), '--disk', `d,path=${join(folder, 'disk.img')}`];
  const missing = await pinfold('serve', ...args);
  failsWith(t, missing, 3, 'ENOENT', /disk\.img of disk d does not exist: give a size/);
  const unwritten = await pinfold('serve', args[0], args[1], '--disk', `${args[3]},size=1M,ro`);
  failsWith(t, unwritten, 3, 'ENOENT', /disk\.img of disk d does not exist: make it first/);
});
