// Checkers that others have written: file systems' own, SQLite's, and the fsck of our volumes.

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { z } from 'zod';
import { RecordingWriter } from '../../engine/block/recording/writer.js';
import { closeDescriptor, fileStatus, nextData, nextHole, openFile } from '../../native/index.js';
import { Script, UNIT } from '../block/recording/make.js';
import { hasFuse, mountExport, mountExt4 } from '../support/fuse.js';
import { requires } from '../support/requires.js';
import { pinfold, start, succeeds, temporaryFolder } from './run.js';

const ENTRY = new URL('../../clients/cli/pinfold.js', import.meta.url).pathname;
const SQLITE = new URL('../../../docs/examples/check-sqlite.sh', import.meta.url).pathname;
const PIECE_BYTES = 65_536;

/** A recording of a disk that held an image at first. */
function recordOn(image: string, path: string, write: (script: Script) => void): void {
  const fd = openFile(path, { create: true });
  const from = openSync(image, 'r');
  try {
    const { sizeBytes } = fileStatus(from);
    const writer = new RecordingWriter(fd, {
      sizeBytes,
      unitBytes: UNIT,
      atomicBytes: 0,
      startedMs: 0,
      seed: 1,
      garbage: false,
    });
    for (let at = nextData(from, 0); at >= 0; at = nextData(from, at)) {
      const end = nextHole(from, at);
      for (; at < end; at += PIECE_BYTES) {
        const piece = Buffer.alloc(Math.min(PIECE_BYTES, end - at));
        readSync(from, piece, 0, piece.length, at);
        if (piece.some((byte) => byte !== 0)) writer.extent(at, piece);
      }
      if (end >= sizeBytes) break;
      at = end;
    }
    writer.begin();
    write(new Script(writer));
    writer.end();
  } finally {
    closeDescriptor(fd);
    closeSync(from);
  }
}

const reportSchema = z.object({
  checked: z.int(),
  exhaustive: z.boolean(),
  failures: z.array(z.object({ message: z.string(), lost: z.string(), kept: z.string() })),
});

async function explored(t: ExecutionContext, exit: number, ...args: string[]) {
  const result = await pinfold('crash', 'explore', '--json', ...args);
  t.is(result.exit, exit, `${result.stderr}${result.stdout}`);
  return reportSchema.parse(JSON.parse(result.stdout));
}

/** Writes to free space, and then something odd at a place, which is mended before anything is flushed. */
function mended(s: Script, free: number, at: number, right: string): void {
  s.done(free, 'xy');
  s.sync();
  s.replied(s.bytes(at, '!!!!'));
  s.replied(s.bytes(at, right));
}

test('fsck.ext4 -fn: what is mended before a flush may still be found broken', async (t) => {
  if (!requires(t, 'fsck.ext4', 'e2fsprogs') || !requires(t, 'mkfs.ext4', 'e2fsprogs')) return;
  const folder = temporaryFolder(t);
  const [image, record] = [join(folder, 'ext4.img'), join(folder, 'run.rec')];
  execFileSync('mkfs.ext4', ['-q', '-b', '1024', '-O', '^has_journal', image, '1M']);
  // The number of inodes, of all things: s_inodes_count.
  const count = Buffer.alloc(4);
  const fd = openSync(image, 'r');
  readSync(fd, count, 0, 4, 1024);
  closeSync(fd);
  recordOn(image, record, (s) => mended(s, 2000, 1024, count.toString('latin1')));
  const report = await explored(t, 1, '--record', record, '--check', 'fsck.ext4 -fn {image}');
  t.true(report.exhaustive);
  t.is(report.failures.length, 1);
  t.like(report.failures[0], { lost: 'write #3, sector 2', kept: 'everything before' });
});

test('xfs_repair -n: the same in the header of an allocation group', async (t) => {
  if (!requires(t, 'xfs_repair', 'xfsprogs') || !requires(t, 'mkfs.xfs', 'xfsprogs')) return;
  const folder = temporaryFolder(t);
  const [image, record] = [join(folder, 'xfs.img'), join(folder, 'run.rec')];
  execFileSync('mkfs.xfs', ['-q', '-d', `file,name=${image},size=300m`]);
  recordOn(image, record, (s) => mended(s, 600_000, 512, 'XAGF'));
  const report = await explored(t, 1, '--record', record, '--check', 'xfs_repair -n {image}');
  t.true(report.exhaustive);
  t.true(report.failures.every(({ lost }) => lost === 'write #3, sector 1'));
});

/** A daemon with a disk that is also a file, and a recording of what `work` does with it; null where nobody can mount. */
async function recorded(
  t: ExecutionContext,
  folder: string,
  size: string,
  prepare: (file: string) => Promise<void> | void,
  work: (file: string) => Promise<void> | void,
): Promise<string | null> {
  const [socket, nbd, record] = ['ipc', 'nbd', 'run.rec'].map((name) => join(folder, name));
  const on = ['--socket', socket];
  const serve = ['serve', ...on, '--disk', `d,size=${size}`, '--nbd-socket', nbd];
  const daemon = start({}, ...serve);
  t.teardown(() => daemon.child.kill('SIGKILL'));
  await daemon.shows('NBD clients connect');
  const disk = await mountExport(t, folder, `nbd+unix:///?socket=${nbd}`);
  if (disk === null) return null;
  await prepare(disk.file);
  const recording = start({}, 'disk', 'record', 'd', '--output', record, '--unit', '4096', ...on);
  t.teardown(() => recording.child.kill('SIGKILL'));
  await recording.shows('recording disk d');
  await work(disk.file);
  recording.child.kill('SIGINT');
  t.is((await recording.ended).exit, 0);
  await disk.unmount();
  daemon.child.kill('SIGTERM');
  t.is((await daemon.ended).exit, 0);
  return record;
}

/** Ten operations of SQLite on fuse2fs on nbdfuse. */
async function sqlite(t: ExecutionContext, synchronous: 'FULL' | 'OFF'): Promise<string | null> {
  const folder = temporaryFolder(t);
  const database = join(folder, 'ext4', 'db.sqlite');
  const run = (sql: string): void => {
    execFileSync('sqlite3', [database, `PRAGMA locking_mode=EXCLUSIVE; ${sql}`]);
  };
  return await recorded(
    t,
    folder,
    '8M',
    async (file) => {
      execFileSync('mkfs.ext4', ['-F', '-q', '-b', '4096', '-O', '^metadata_csum', file]);
      const unmount = mountExt4(t, file, folder);
      run('PRAGMA journal_mode=WAL; CREATE TABLE t(n, v);');
      await unmount();
      execFileSync('rmdir', [join(folder, 'ext4')]);
    },
    async (file) => {
      const unmount = mountExt4(t, file, folder);
      run(
        `PRAGMA synchronous=${synchronous}; INSERT INTO t VALUES(1, hex(randomblob(2000)));` +
          'INSERT INTO t VALUES(2, hex(randomblob(2000))); UPDATE t SET v = hex(randomblob(3000));' +
          'PRAGMA wal_checkpoint; UPDATE t SET v = hex(randomblob(3000));',
      );
      await unmount();
    },
  );
}

test('SQLite on fuse2fs: sound with synchronous=FULL, and not with OFF', async (t) => {
  for (const [program, debianPackage] of [
    ['sqlite3', 'sqlite3'],
    ['fuse2fs', 'fuse2fs'],
    ['debugfs', 'e2fsprogs'],
  ] as const)
    if (!requires(t, program, debianPackage)) return;
  if (!hasFuse(t)) return;
  const check = ['--check', `${SQLITE} {image}`, '--limit', '30', '--sample', '8'];
  const full = await sqlite(t, 'FULL');
  if (full === null) return;
  const safe = await explored(t, 0, '--record', full, ...check, '--budget', '80');
  t.true(safe.checked >= 40);
  const off = await sqlite(t, 'OFF');
  if (off === null) return;
  const unsafe = await explored(t, 1, '--record', off, ...check, '--first');
  t.regex(unsafe.failures[0].message, /^integrity_check: /);
});

test('pinfold volume fsck: a copy into a volume leaves it sound wherever the power fails', async (t) => {
  if (!hasFuse(t)) return;
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'notes'), 'what survives');
  const record = await recorded(
    t,
    folder,
    '4M',
    async (file) => {
      await succeeds(t, 'volume', 'mkfs', file);
    },
    async (file) => {
      await succeeds(t, 'volume', 'put', file, join(folder, 'notes'), '/');
    },
  );
  if (record === null) return;
  const check = `${process.execPath} ${ENTRY} volume fsck {image}`;
  const report = await explored(t, 0, '--record', record, '--check', check, '--budget', '24');
  t.is(report.checked, 24);
});
