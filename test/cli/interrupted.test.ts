// What happens to a volume when the command that uses it is stopped, killed or started twice.

import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { failsWith, pinfold, start, succeeds, temporaryFolder } from './run.js';

const FILES = 400;
const FILE_BYTES = 50_000;

interface Setting {
  readonly folder: string;
  readonly source: string;
  readonly image: string;
}

/** A volume with one durable copy of a tree, whose second copy takes a while. */
async function setting(t: ExecutionContext): Promise<Setting> {
  const folder = temporaryFolder(t);
  const source = join(folder, 'source');
  mkdirSync(source);
  for (let i = 0; i < FILES; i++) writeFileSync(join(source, `f${i}`), randomBytes(FILE_BYTES));
  const image = join(folder, 'image');
  await succeeds(t, 'volume', 'mkfs', image, '--size', '128M');
  await succeeds(t, 'volume', 'put', image, source, '/first');
  return { folder, source, image };
}

function sums(folder: string): Map<string, string> {
  return new Map(
    readdirSync(folder).map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex'),
    ]),
  );
}

/** Starts a second copy, and waits until it has made some of its files. */
function secondPut({ source, image }: Setting, ...options: string[]) {
  return start({}, 'volume', 'put', image, source, '/second', '--verbose', ...options);
}

test.serial(
  'after kill -9 in the middle of a put what was synced is there, and fsck is clean',
  async (t) => {
    const all = await setting(t);
    const { folder, source, image } = all;
    const put = secondPut(all, '--sync-every', '20');
    await put.shows('synced 100 files');
    put.child.kill('SIGKILL');
    await put.ended;
    t.regex(await succeeds(t, 'volume', 'fsck', image), /sound/);
    const planted = sums(source);
    await succeeds(t, 'volume', 'get', image, '/first', join(folder, 'first'));
    t.deepEqual(sums(join(folder, 'first')), planted);
    await succeeds(t, 'volume', 'get', image, '/second', join(folder, 'second'));
    let whole = 0;
    for (const [name, sum] of sums(join(folder, 'second'))) {
      if (planted.get(name) === sum) whole++;
    }
    t.true(whole >= 100, `${whole} files of the second copy are whole`);
  },
);

for (const [signal, exit] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test.serial(`${signal} in a put unmounts cleanly and exits ${exit}`, async (t) => {
    const all = await setting(t);
    const put = secondPut(all, '--sync-every', '20');
    await put.shows('synced 20 files');
    put.child.kill(signal);
    const result = await put.ended;
    t.is(result.exit, exit, result.stderr);
    t.regex(result.stderr, new RegExp(`pinfold: EINTR: stopped by ${signal}\n$`));
    const report = await succeeds(t, 'volume', 'fsck', all.image);
    t.notRegex(report, /replayed/);
    const names = await succeeds(t, 'volume', 'ls', all.image, '/second');
    t.true(names.trim().split('\n').length >= 20);
  });
}

test.serial('an image in use is refused with the pid of its user', async (t) => {
  const all = await setting(t);
  const put = secondPut(all, '--sync-every', '1');
  await put.shows('synced 1 files');
  const result = await pinfold('volume', 'fsck', all.image);
  const holder = new RegExp(`lock held by pid ${put.child.pid ?? 0}`);
  put.child.kill('SIGKILL');
  failsWith(t, result, 3, 'EBUSY', holder);
  await put.ended;
});

test.serial(
  'a host without space ends a put with ENOSPC, and a volume that fsck finds sound',
  async (t) => {
    const folder = temporaryFolder(t);
    const small = join(folder, 'small');
    mkdirSync(small);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small], { stdio: 'ignore' });
    } catch {
      t.log('skipped: mounting a small tmpfs needs root');
      t.pass();
      return;
    }
    try {
      const image = join(small, 'image');
      await succeeds(t, 'volume', 'mkfs', image, '--size', '32M');
      writeFileSync(join(folder, 'big'), randomBytes(16 * 2 ** 20));
      const result = await pinfold('volume', 'put', image, join(folder, 'big'), '/');
      failsWith(t, result, 3, 'ENOSPC', /image/);
      const copy = join(folder, 'copy');
      execFileSync('cp', ['--sparse=always', image, copy]);
      const { exit, stdout } = await pinfold('volume', 'fsck', copy);
      t.is(exit, 0, stdout);
    } finally {
      execFileSync('umount', [small]);
    }
  },
);
