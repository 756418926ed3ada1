// Real clients: libnbd's, QEMU's, fio's.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { requires } from '../../support/requires.js';
import { startNbd } from './raw-client.js';

const execute = promisify(execFile);

async function run(program: string, ...args: string[]): Promise<string> {
  return (await execute(program, args, { timeout: 60_000 })).stdout;
}

async function serve(t: ExecutionContext) {
  const { socket, folder } = await startNbd(t);
  const uri = (name: string): string => `nbd+unix:///${name}?socket=${socket}`;
  return { uri, folder };
}

test('nbdinfo: what each export can, the map and the list', async (t) => {
  if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;
  const { uri } = await serve(t);
  t.is((await run('nbdinfo', '--size', uri(''))).trim(), '1048576');
  for (const can of 'connect read write trim zero fast-zero flush fua df cache multi-conn structured-reply'.split(
    ' ',
  )) {
    await t.notThrowsAsync(run('nbdinfo', '--can', can, uri('scratch')), can);
  }
  await t.throwsAsync(run('nbdinfo', '--can', 'write', uri('locked')));
  t.regex(await run('nbdinfo', '--map', uri('locked')), /^ +0 +65536 +3 +hole,zero\n$/);
  const list = z
    .object({ exports: z.array(z.object({ 'export-name': z.string() })) })
    .parse(JSON.parse(await run('nbdinfo', '--list', '--json', uri(''))));
  t.deepEqual(
    list.exports.map((each) => each['export-name']),
    ['scratch', 'file', 'locked', 'cached', 'cached-file'],
  );
});

test('nbdcopy: both ways over four connections', async (t) => {
  if (!requires(t, 'nbdcopy', 'libnbd-bin')) return;
  const { uri, folder } = await serve(t);
  const [input, output] = [join(folder, 'in'), join(folder, 'out')];
  const data = Buffer.concat([randomBytes(300_000), Buffer.alloc(2 ** 20 - 300_000)]);
  writeFileSync(input, data);
  for (const name of ['scratch', 'file', 'cached', 'cached-file']) {
    await run('nbdcopy', '--connections=4', '--flush', input, uri(name));
    await run('nbdcopy', '--connections=4', uri(name), output);
    t.true(readFileSync(output).equals(data), name);
  }
});

test('qemu-io and qemu-img: patterns, zeroes, discard, convert and compare', async (t) => {
  if (!requires(t, 'qemu-io', 'qemu-utils') || !requires(t, 'qemu-img', 'qemu-utils')) return;
  const { uri, folder } = await serve(t);
  const commands = [
    'write -P 0xab 64k 64k',
    'read -P 0xab 64k 64k',
    'write -z -u 128k 64k',
    'write -z 192k 64k',
    'read -P 0 128k 128k',
    'discard 64k 64k',
    'write -f -P 1 0 512',
    'flush',
    'aio_write -P 5 512k 512k',
    'aio_flush',
    'read -P 5 512k 512k',
  ];
  for (const name of ['scratch', 'file', 'cached', 'cached-file']) {
    const said = await run(
      'qemu-io',
      '-f',
      'raw',
      ...commands.flatMap((each) => ['-c', each]),
      uri(name),
    );
    t.notRegex(said, /fail|error/i);
    const image = join(folder, `${name}.raw`);
    await run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', uri(name), image);
    t.regex(
      await run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', uri(name), image),
      /identical/,
    );
  }
});

test('fio writes at random and finds what it wrote', async (t) => {
  if (!requires(t, 'fio', 'fio')) return;
  const { uri, folder } = await serve(t);
  for (const name of ['scratch', 'file', 'cached', 'cached-file']) {
    const fio = [
      '--name=v',
      '--ioengine=nbd',
      `--uri=${uri(name)}`,
      '--rw=randwrite',
      '--bsrange=512-64k',
    ];
    const verify = ['--verify=crc32c', '--verify_fatal=1', '--do_verify=1', '--randseed=7'];
    const more = [
      '--size=1m',
      '--loops=8',
      '--iodepth=16',
      `--aux-path=${folder}`,
      '--verify_state_save=0',
    ];
    await t.notThrowsAsync(run('fio', ...fio, ...verify, ...more));
  }
});
