// Files of a volume over NBD with real clients: libnbd's, QEMU's, fio's; and what is left after a kill -9.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { connect } from '../../../clients/node/index.js';
import { requires } from '../../support/requires.js';
import { startProgram } from '../../support/test-daemon.js';
import { damageOf, MIB, startVolume, volumeConfig } from './volume-rig.js';

const execute = promisify(execFile);

async function run(program: string, ...args: string[]): Promise<string> {
  return (await execute(program, args, { timeout: 60_000 })).stdout;
}

test.serial('nbdinfo tells of an export: what it is, what it can, what it holds', async (t) => {
  if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;
  const { uri, volume } = await startVolume(t, { disks: [{ name: 'd', size: '1M' }] });
  const said = await run('nbdinfo', uri('vm'));
  t.regex(said, /description: file \/vm\.raw of volume v, best-known/);
  t.regex(said, /export-size: 16777216 /);
  for (const can of ['write', 'trim', 'zero', 'fast-zero', 'flush', 'fua', 'df', 'multi-conn']) {
    await t.notThrowsAsync(run('nbdinfo', '--can', can, uri('vm')), can);
  }
  t.regex(await run('nbdinfo', '--map', uri('vm')), /^ +0 +16777216 +3 +hole,zero\n$/);
  await (await volume.open('/vm.raw')).pwrite(4096, Buffer.from('data'));
  t.regex(await run('nbdinfo', '--map', uri('vm')), / 4096 +4096 +0 +data\n/);
  const names = (await run('nbdinfo', '--list', uri(''))).match(/export="[^"]*"/g);
  t.deepEqual(names, ['export="d"', 'export="vm"']);
});

test.serial('nbdcopy: both ways over four connections, of a file and a disk', async (t) => {
  if (!requires(t, 'nbdcopy', 'libnbd-bin')) return;
  const { uri, folder, volume } = await startVolume(t, { disks: [{ name: 'd', size: '16M' }] });
  const [input, output] = [join(folder, 'in'), join(folder, 'out')];
  const data = Buffer.alloc(16 * MIB);
  randomBytes(5 * MIB + 300_000).copy(data, MIB);
  writeFileSync(input, data);
  await run('nbdcopy', '--connections=4', '--flush', input, uri('vm'));
  await run('nbdcopy', '--connections=4', uri('vm'), output);
  t.true(readFileSync(output).equals(data));
  await run('nbdcopy', '--synchronous', uri('vm'), uri('d'));
  await run('nbdcopy', '--synchronous', uri('d'), output);
  t.true(readFileSync(output).equals(data));
  const file = await volume.open('/vm.raw');
  t.true((await file.pread(MIB, MIB)).equals(data.subarray(MIB, 2 * MIB)));
});

test.serial('qemu-io and qemu-img: patterns, zeroes, discard, convert and compare', async (t) => {
  if (!requires(t, 'qemu-io', 'qemu-utils') || !requires(t, 'qemu-img', 'qemu-utils')) return;
  const { uri, folder, volume, client, daemon, image } = await startVolume(t);
  const commands = [
    'write -P 0xab 64k 64k',
    'read -P 0xab 64k 64k',
    'write -z -u 128k 64k',
    'write -z 192k 64k',
    'read -P 0 128k 128k',
    'discard 64k 64k',
    'read -P 0 64k 64k',
    'write -f -P 1 0 512',
    'flush',
    'aio_write -P 5 8M 5M',
    'aio_write -P 6 2M 1000k',
    'aio_flush',
    'read -P 5 8M 5M',
  ];
  const each = commands.flatMap((command) => ['-c', command]);
  t.notRegex(await run('qemu-io', '-f', 'raw', ...each, uri('vm')), /fail|error/i);
  const raw = join(folder, 'out.raw');
  await run('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', uri('vm'), raw);
  const same = await run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', uri('vm'), raw);
  t.regex(same, /identical/);
  const file = await volume.open('/vm.raw');
  t.true((await file.pread(2 * MIB, 1000 * 1024)).equals(Buffer.alloc(1000 * 1024, 6)));
  await client.close();
  await daemon.close();
  t.deepEqual(damageOf(image), []);
});

test.serial('fio writes at random from two jobs, and finds what it wrote', async (t) => {
  if (!requires(t, 'fio', 'fio')) return;
  const { uri, folder } = await startVolume(t);
  const fio = ['--name=v', '--ioengine=nbd', `--uri=${uri('vm')}`, '--rw=randwrite'];
  const shape = ['--bsrange=512-64k', '--size=4m', '--numjobs=2', '--offset_increment=8m'];
  const verify = ['--verify=crc32c', '--verify_fatal=1', '--do_verify=1', '--randseed=7'];
  const more = ['--iodepth=16', '--fsync=64', `--aux-path=${folder}`, '--verify_state_save=0'];
  await t.notThrowsAsync(run('fio', ...fio, ...shape, ...verify, ...more));
});

test.serial('what was flushed survives kill -9 of the daemon', async (t) => {
  if (!requires(t, 'qemu-io', 'qemu-utils')) return;
  const { config, ipc, uri, image } = volumeConfig(t);
  const start = async () => {
    const daemon = startProgram(t, 'daemon-program', [JSON.stringify(config), 'engine']);
    await daemon.line();
    return daemon;
  };
  const first = await start();
  const io = async (...commands: string[]): Promise<string> =>
    await run('qemu-io', '-f', 'raw', ...commands.flatMap((each) => ['-c', each]), uri('vm'));
  await io('write -f -P 1 0 1M');
  await io('write -P 2 4M 3M', 'flush');
  first.process.kill('SIGKILL');
  t.is(await first.exit, 'SIGKILL');
  const second = await start();
  t.notRegex(await io('read -P 1 0 1M', 'read -P 2 4M 3M', 'read -P 0 8M 1M'), /fail|error/i);
  const client = await connect(ipc, { reconnect: false });
  const file = await (await client.volume('v')).open('/vm.raw');
  t.true((await file.pread(4 * MIB, MIB)).equals(Buffer.alloc(MIB, 2)));
  await client.close();
  second.process.kill('SIGTERM');
  t.is(await second.exit, 0);
  t.deepEqual(damageOf(image), []);
});
