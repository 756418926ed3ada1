// pinfold disk cut, and what becomes of a cache over a file when the daemon ends in one way or the other.

import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { requires } from '../support/requires.js';
import { failsWith, pinfold, type Running, start, succeeds, temporaryFolder } from './run.js';

async function serve(t: ExecutionContext, spec: string, ...more: string[]) {
  const on = ['--socket', join(temporaryFolder(t), 'socket')];
  const running = start({}, 'serve', ...on, '--disk', spec, ...more);
  t.teardown(() => running.child.kill('SIGKILL'));
  await running.shows('serving on');
  return { on, running };
}

async function ends(running: Running, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  running.child.kill(signal);
  await running.ended;
}

test('what was written is cut at random, by seed and by state, and the state is printed', async (t) => {
  const { on } = await serve(t, 'd,size=4M,cache=volatile');
  t.regex(await succeeds(t, 'disk', 'list', ...on), /memory, volatile cache/);
  const write = async () =>
    await succeeds(t, 'disk', 'write', 'd', ...on, '--input', '/etc/passwd', '--pad');
  await write();
  const json = z.object({
    disk: z.string(),
    state: z.string(),
    images: z.string(),
    openUnits: z.number(),
  });
  const cut = json.parse(
    JSON.parse(await succeeds(t, 'disk', 'cut', 'd', ...on, '--seed', '42', '--json')),
  );
  t.is(cut.state, 'random:42');
  t.true(cut.openUnits > 0);
  await write();
  const text = await succeeds(t, 'disk', 'cut', 'd', ...on, '--state', 'drop-all');
  t.regex(text, /^d: the power was cut at drop-all\n(\d+) of \1 open units lost, of 1 writes/);
  t.regex(await succeeds(t, 'disk', 'cut', 'd', ...on), /cut at random:\d+\n/);
  t.regex(
    await succeeds(t, 'disk', 'cut', 'd', ...on, '--state', 'adversarial', '--seed', '1'),
    /adversarial:1/,
  );
});

test('wrong states and disks are refused', async (t) => {
  const { on } = await serve(t, 'd,size=4M,cache=volatile', '--disk', 'plain,size=4M');
  const cut = async (...args: string[]) => await pinfold('disk', 'cut', ...args, ...on);
  failsWith(t, await cut('d', '--state', 'lost'), 3, 'EINVAL', /state 'lost'.*drop-all/);
  failsWith(t, await cut('d', '--state', 'drop-all', '--seed', '1'), 2, 'EUSAGE', /--seed/);
  failsWith(t, await cut('plain'), 3, 'EINVAL', /plain has no volatile cache.*cache=volatile/);
  const bad = async (spec: string) => await pinfold('serve', ...on, '--disk', spec);
  failsWith(
    t,
    await bad('d,size=4M,unit=512'),
    2,
    'EUSAGE',
    /cache is missing: expected 'volatile'/,
  );
  failsWith(
    t,
    await bad('d,size=4M,cache=volatile,unit=1024'),
    2,
    'EUSAGE',
    /unit is "1024": expected 512 or 4096/,
  );
  failsWith(
    t,
    await bad('d,size=4M,cache=volatile,unit=4096,atomic=512'),
    2,
    'EUSAGE',
    /multiple of unit/,
  );
  failsWith(t, await bad('d,size=4M,cache=volatile,ro'), 2, 'EUSAGE', /can be written/);
});

test('over a file: SIGKILL loses what was not flushed, SIGTERM loses nothing', async (t) => {
  const image = join(temporaryFolder(t), 'disk.img');
  const spec = `d,path=${image},size=4M,cache=volatile`;
  const input = join(temporaryFolder(t), 'in');
  const write = async (on: string[], fill: number, ...more: string[]): Promise<void> => {
    writeFileSync(input, Buffer.alloc(512, fill));
    await succeeds(t, 'disk', 'write', 'd', ...on, '--input', input, ...more);
  };
  const first = await serve(t, spec);
  await write(first.on, 1, '--flush');
  await write(first.on, 2);
  await ends(first.running, 'SIGKILL');
  t.is(readFileSync(image)[0], 1);
  const second = await serve(t, spec);
  await write(second.on, 3);
  await ends(second.running, 'SIGTERM');
  t.is(readFileSync(image)[0], 3);
});

test('qemu-io and nbdcopy: what they flush is there after a cut', async (t) => {
  if (!requires(t, 'qemu-io', 'qemu-utils') || !requires(t, 'nbdcopy', 'libnbd-bin')) return;
  const folder = temporaryFolder(t);
  const nbd = join(folder, 'nbd');
  const { on } = await serve(t, 'd,size=4M,cache=volatile', '--nbd-socket', nbd);
  const uri = `nbd+unix:///d?socket=${nbd}`;
  const run = async (program: string, ...args: string[]): Promise<string> =>
    (await promisify(execFile)(program, args)).stdout;
  // Writethrough: each of its writes has FUA, or is flushed.
  await run('qemu-io', '-f', 'raw', '-t', 'writethrough', '-c', 'write -P 7 0 64k', uri);
  await succeeds(t, 'disk', 'cut', 'd', ...on, '--state', 'drop-all');
  t.notRegex(await run('qemu-io', '-f', 'raw', '-c', 'read -P 7 0 64k', uri), /fail/);
  const [source, back] = [join(folder, 'source'), join(folder, 'back')];
  writeFileSync(source, Buffer.alloc(4 * 2 ** 20, 'all of it'));
  await run('nbdcopy', '--flush', '--connections=4', source, uri);
  await succeeds(t, 'disk', 'cut', 'd', ...on, '--state', 'drop-all');
  await run('nbdcopy', uri, back);
  t.true(readFileSync(back).equals(readFileSync(source)));
});
