// Faults over the daemon's own socket: lists, waits, what is refused, configuration, the end of a daemon.

import { join } from 'node:path';
import test from 'ava';
import { startDaemon } from '../../../daemon/lifecycle.js';
import { startTestDaemon, temporaryFolder, testConfig } from '../../support/test-daemon.js';

const SECTOR = Buffer.alloc(512, 1);

test('a wait ends when the layer has fired often enough, with how often it has', async (t) => {
  const { client } = await startTestDaemon(t);
  const disk = await (await client()).disk('scratch');
  const { id } = await disk.addFault('error,op=write');
  const wait = disk.waitForFault(id, { times: 3 });
  let over = false;
  void wait.then(() => {
    over = true;
  });
  for (let i = 0; i < 2; i++) await t.throwsAsync(disk.write(0, SECTOR), { code: 'EIO' });
  t.is((await disk.faults()).at(0)?.fired, 2);
  t.false(over);
  await t.throwsAsync(disk.write(0, SECTOR), { code: 'EIO' });
  t.is(await wait, 3);
  t.is(await disk.waitForFault(id), 3);
});

test('a wait is withdrawn by its signal, and ends with an error when its layer is cleared', async (t) => {
  const { client } = await startTestDaemon(t);
  const disk = await (await client()).disk('scratch');
  const { id } = await disk.addFault('error,op=write');
  const withdrawn = disk.waitForFault(id, { signal: AbortSignal.timeout(20) });
  await t.throwsAsync(withdrawn, { name: 'AbortError', code: 'EINTR' });
  const lost = disk.waitForFault(id);
  await disk.faults(); // so the wait has arrived
  await disk.clearFaults();
  await t.throwsAsync(lost, { code: 'ENOENT', message: /disk scratch has no fault layer 1/ });
  await t.throwsAsync(disk.waitForFault(id), { code: 'ENOENT', message: /it has none/ });
  await t.throwsAsync(disk.clearFaults(7), { code: 'ENOENT' });
});

test('a client that goes while it waits, and a daemon that stops, leave nothing behind', async (t) => {
  const { client, daemon } = await startTestDaemon(t);
  const disk = await (await client()).disk('scratch');
  const { id } = await disk.addFault('error,op=trim');
  const leaving = await client();
  const left = (await leaving.disk('scratch')).waitForFault(id);
  await Promise.all([t.throwsAsync(left), leaving.close()]);
  const waiting = disk.waitForFault(id);
  await Promise.all([t.throwsAsync(waiting), daemon.close()]);
});

test('a bad fault is refused with what is allowed, and the disk stays as it was', async (t) => {
  const { client } = await startTestDaemon(t);
  const daemon = await client();
  const disk = await daemon.disk('scratch');
  await t.throwsAsync(disk.addFault('error,rate=3'), {
    code: 'EINVAL',
    message: /the fault for disk scratch: rate is "3": expected a share from 0 to 1/,
  });
  await t.throwsAsync(disk.addFault({ kind: 'torn' }), { message: /expected one of error, delay/ });
  await t.throwsAsync(disk.addFault('error,range=1M-'), {
    message: /past the end of disk scratch/,
  });
  for (let i = 0; i < 64; i++) await disk.addFault('error,rate=0');
  await t.throwsAsync(disk.addFault('error'), { code: 'ENOSPC', message: /64 fault layers/ });
  await disk.write(0, SECTOR);
  t.is((await daemon.list()).disks.at(0)?.faults.length, 64);
  t.is(await disk.clearFaults(), 64);
  t.deepEqual((await daemon.list()).disks.at(0)?.faults, []);
});

test('layers of the configuration are there from the beginning, in their order', async (t) => {
  const faults = ['error,op=write,seed=5', { kind: 'delay', mean: '1us', op: ['read'], seed: 6 }];
  const { client } = await startTestDaemon(t, { disks: [{ name: 'bad', size: '64K', faults }] });
  const daemon = await client();
  t.deepEqual(
    (await daemon.list()).disks.map(({ name, faults: texts }) => [name, ...texts]),
    [
      ['scratch'],
      [
        'bad',
        'error,errno=EIO,op=write,seed=5',
        'delay,mean=1us,distribution=constant,time=wall,op=read,seed=6',
      ],
    ],
  );
  const disk = await daemon.disk('bad');
  await t.throwsAsync(disk.write(0, SECTOR), { code: 'EIO' });
  await (await daemon.disk('scratch')).write(0, SECTOR);
  await disk.read(0, 512);
  t.is((await daemon.statistics())['faultsFired'], 2);
});

test('a configuration with a bad layer is refused, naming disk, layer and key', async (t) => {
  const config = (fault: unknown) =>
    testConfig(join(temporaryFolder(t), 'socket'), {
      volumes: [],
      disks: [{ name: 'bad', size: '64K', faults: ['error', fault] }],
    });
  t.throws(() => config('eror'), {
    message: /disks\.1\.faults\.1 is "eror": kind is "eror": expected one of error, delay/,
  });
  t.throws(() => config({ kind: 'error', nht: 5 }), {
    message: /nht is no option; expected errno/,
  });
  await t.throwsAsync(startDaemon(config('error,range=1M-')), {
    code: 'EINVAL',
    message: /the range 1M- lies past the end of disk bad/,
  });
});
