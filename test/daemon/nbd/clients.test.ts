// Real clients: libnbd's, QEMU's, fio's.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { mountExport } from '../../support/fuse.js';
import { requires } from '../../support/requires.js';
import { startTestDaemon, temporaryFolder } from '../../support/test-daemon.js';
import { startNbd } from './raw-client.js';

const execute = promisify(execFile);
const CAPABILITIES =
  'connect read write trim zero fast-zero flush fua df cache multi-conn structured-reply'.split(
    ' ',
  );

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
  for (const name of ['scratch', 'file']) {
    for (const can of CAPABILITIES)
      await t.notThrowsAsync(run('nbdinfo', '--can', can, uri(name)), `${can} of ${name}`);
    await t.throwsAsync(run('nbdinfo', '--is', 'read-only', uri(name)));
    await t.throwsAsync(run('nbdinfo', '--is', 'rotational', uri(name)));
  }
  await t.notThrowsAsync(run('nbdinfo', '--is', 'read-only', uri('locked')));
  for (const can of ['write', 'trim', 'zero', 'fast-zero'])
    await t.throwsAsync(run('nbdinfo', '--can', can, uri('locked')), undefined, can);
  t.regex(await run('nbdinfo', '--map', uri('locked')), /^ +0 +65536 +3 +hole,zero\n$/);
  const list = z
    .object({ exports: z.array(z.object({ 'export-name': z.string() })) })
    .parse(JSON.parse(await run('nbdinfo', '--list', '--json', uri(''))));
  t.deepEqual(
    list.exports.map((each) => each['export-name']),
    ['scratch', 'file', 'locked', 'cached', 'cached-file'],
  );
});

test('maps: nbdinfo and qemu-img see the same data and holes', async (t) => {
  if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;
  if (!requires(t, 'qemu-io', 'qemu-utils') || !requires(t, 'qemu-img', 'qemu-utils')) return;
  const { uri } = await serve(t);
  for (const name of ['scratch', 'file']) {
    await run('qemu-io', '-f', 'raw', '-c', 'write -P 3 128k 64k', uri(name));
    const lines = (await run('nbdinfo', '--map', uri(name))).trim().split('\n');
    t.deepEqual(
      lines.map((line) => line.trim().split(/ +/)),
      [
        ['0', '131072', '3', 'hole,zero'],
        ['131072', '65536', '0', 'data'],
        ['196608', '851968', '3', 'hole,zero'],
      ],
    );
    const totals = await run('nbdinfo', '--map', '--totals', uri(name));
    t.regex(totals, /^ +65536 +6\.2% +0 +data\n +983040 +93\.8% +3 +hole,zero\n$/);
    const extents = z
      .array(z.object({ start: z.int(), length: z.int(), zero: z.boolean(), data: z.boolean() }))
      .parse(JSON.parse(await run('qemu-img', 'map', '-f', 'raw', '--output=json', uri(name))));
    t.deepEqual(
      extents.map(({ start, length, zero, data }) => [start, length, zero, data]),
      [
        [0, 131072, true, false],
        [131072, 65536, false, true],
        [196608, 851968, true, false],
      ],
    );
  }
});

test('qemu-img bench: writes with flushes, reads, at some depth', async (t) => {
  if (!requires(t, 'qemu-img', 'qemu-utils')) return;
  const { uri } = await serve(t);
  for (const name of ['scratch', 'file']) {
    const bench = ['bench', '-f', 'raw', '-d', '32', '-s', '4096'];
    const writes = ['-w', '-c', '2000', '--flush-interval=64', '--pattern=7', uri(name)];
    t.regex(await run('qemu-img', ...bench, ...writes), /Run completed/);
    t.regex(await run('qemu-img', ...bench, '-c', '4000', uri(name)), /Run completed/);
  }
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
    'write -z -u -f 512k 256k',
    'read -P 0 512k 256k',
    'aio_write -z 768k 64k',
    'aio_write -P 6 832k 64k',
    'aio_flush',
    'aio_read -P 0 768k 64k',
    'aio_read -P 6 832k 64k',
    'read -P 6 890881 511',
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

test('fio: eight jobs at once on both disks, with flushes, find what they wrote', async (t) => {
  if (!requires(t, 'fio', 'fio')) return;
  const { uri, folder } = await serve(t);
  const jobs = ['scratch', 'file'].flatMap((name) => [
    ...[`--name=${name}`, `--uri=${uri(name)}`, '--numjobs=4', '--offset_increment=256k'],
  ]);
  const work = ['--rw=randwrite', '--bsrange=512-32k', '--size=256k', '--loops=20', '--iodepth=8'];
  const verify = ['--verify=crc32c', '--verify_fatal=1', '--randseed=11', '--fsync=16'];
  const quiet = [`--aux-path=${folder}`, '--verify_state_save=0', '--group_reporting'];
  await t.notThrowsAsync(run('fio', '--ioengine=nbd', ...work, ...verify, ...quiet, ...jobs));
});

test('a file system on the disk, by nbdfuse: mkfs.ext4 with files, and e2fsck', async (t) => {
  if (!requires(t, 'mkfs.ext4', 'e2fsprogs') || !requires(t, 'e2fsck', 'e2fsprogs')) return;
  const folder = temporaryFolder(t);
  const nbd = join(folder, 'nbd');
  await startTestDaemon(t, {
    nbd: { socket: nbd },
    disks: [
      { name: 'memory', size: '32M' },
      { name: 'file', size: '32M', path: join(folder, 'disk.img') },
    ],
  });
  const files = join(folder, 'files');
  mkdirSync(files);
  for (let i = 0; i < 40; i++) writeFileSync(join(files, `file${i}`), randomBytes(i * 5000));
  for (const name of ['memory', 'file']) {
    const mounted = await mountExport(t, folder, `nbd+unix:///${name}?socket=${nbd}`);
    if (mounted === null) return;
    const { file } = mounted;
    await run('mkfs.ext4', '-q', '-d', files, file);
    t.regex(await run('e2fsck', '-fn', file), /51\/\d+ files/);
    for (const each of ['file1', 'file39']) {
      const back = join(folder, 'back');
      await run('debugfs', '-R', `dump ${each} ${back}`, file);
      t.true(readFileSync(back).equals(readFileSync(join(files, each))));
    }
  }
});
