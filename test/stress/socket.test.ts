// The stress through a daemon: real sockets, a real machine behind them, the same oracle.

import { join } from 'node:path';
import test from 'ava';
import { formatReport, runStress } from '../../clients/stress/index.js';
import { parseConfig } from '../../daemon/config.js';
import { startDaemon } from '../../daemon/lifecycle.js';
import { openDisk } from '../../engine/block/disk.js';
import { mkfs } from '../../engine/fs/mkfs.js';
import { type Test, temporaryFolder } from '../support/test-daemon.js';

async function serve(t: Test, profile: string): Promise<string> {
  const folder = temporaryFolder(t);
  const path = join(folder, 'volume.img');
  const disk = openDisk(path, { createBytes: 64 * 2 ** 20 });
  mkfs(disk, { checksums: true });
  disk.close();
  const socket = join(folder, 'socket');
  const volumes = [{ name: 'v', path, profile, memory: '16M', lockdep: true }];
  const daemon = await startDaemon(parseConfig({ socket, volumes, logLevel: 'silent' }, 'test'));
  t.teardown(() => daemon.close());
  return socket;
}

const BASE = { cpus: 2, devices: 1, seconds: 2, seed: 5 };

for (const profile of ['best-known', 'linux-6.12']) {
  test.serial(`${profile} is clean as far as a client can see`, async (t) => {
    const socket = await serve(t, profile);
    const report = await runStress({ ...BASE, profile, socket });
    t.true(report.ok, formatReport(report));
    t.deepEqual(report.findings, []);
    t.true(report.operations['mmap-store'] > 0 && report.operations['dma-write'] > 0);
    t.is(report.verifiedCells, 2 * 256 * 64);
  });
}

test.serial('a profile that the daemon does not have is refused', async (t) => {
  const socket = await serve(t, 'best-known');
  const error = await t.throwsAsync(runStress({ ...BASE, profile: 'linux-5.2', socket }));
  t.regex(error.message, /EINVAL.*no volume under linux-5\.2.*v \(best-known\)/);
  await t.throwsAsync(runStress({ ...BASE, profile: 'best-known', socket: `${socket}-none` }), {
    message: /ECONNREFUSED|ENOENT/,
  });
});
