// Volumes in backing files: made, filled, listed, emptied and checked by the command.

import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { failsWith, pinfold, start, succeeds, temporaryFolder } from './run.js';

/** What a tree looks like: a line for each node, with a sum of the contents. */
function picture(folder: string, prefix = ''): string[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      const status = lstatSync(path);
      const line = `${prefix}${name} ${(status.mode & 0o7777).toString(8)}`;
      if (status.isSymbolicLink()) return [`${line} -> ${readlinkSync(path)}`];
      const dated = `${line} ${Math.floor(status.mtimeMs)}`;
      if (status.isDirectory()) return [dated, ...picture(path, `${prefix}${name}/`)];
      return [`${dated} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`];
    });
}

/** Odd names, modes, links, empty files and folders, and a file larger than the machine's dirty limit. */
function plant(folder: string, bigBytes: number): void {
  mkdirSync(join(folder, 'a/b/c'), { recursive: true });
  mkdirSync(join(folder, 'empty folder'));
  const files: readonly (readonly [name: string, content: string | Buffer, mode: number])[] = [
    ['empty', '', 0o600],
    ['one byte', 'x', 0o444],
    ['a/192 bytes', 'i'.repeat(192), 0o755],
    ['a/page', randomBytes(4096), 0o640],
    ['a/b/page and a byte', randomBytes(4097), 0o4755],
    ['a/b/c/-rf *', 'harmless', 0o000],
    ['a/b/c/new\nline', 'odd', 0o777],
    ['日本語 ünïcode 🦀', 'utf-8', 0o644],
    ['x'.repeat(255), 'the longest name', 0o644],
    ['big', randomBytes(bigBytes), 0o644],
  ];
  for (const [name, content, mode] of files) {
    writeFileSync(join(folder, name), content);
    chmodSync(join(folder, name), mode);
  }
  for (let i = 0; i < 300; i++) writeFileSync(join(folder, 'a/b/c', `many ${i}`), `${i}`);
  utimesSync(join(folder, 'empty'), 1_000_000_000, 999_999_999.123);
  symlinkSync('a/b', join(folder, 'link'));
  symlinkSync('/no/where', join(folder, 'dangling'));
  symlinkSync('l'.repeat(1000), join(folder, 'long link'));
  chmodSync(join(folder, 'a/b/c'), 0o555);
}

async function newImage(folder: string, ...options: string[]): Promise<string> {
  const image = join(folder, 'image');
  const { exit, stderr } = await pinfold('volume', 'mkfs', image, ...options);
  if (exit !== 0) throw new Error(stderr);
  return image;
}

const FEATURES: readonly (readonly string[])[] = [
  [],
  ['--no-journal', '--inline-data'],
  ['--checksums', '--cow', '--inline-data'],
];

for (const features of FEATURES) {
  test.serial(`a tree comes back as it was: ${features.join(' ') || 'defaults'}`, async (t) => {
    const folder = temporaryFolder(t);
    const [source, back] = [join(folder, 'source'), join(folder, 'back')];
    mkdirSync(source);
    plant(source, 30 * 2 ** 20);
    const image = await newImage(folder, '--size', '64M', ...features);
    const put = z
      .strictObject({
        image: z.literal(image),
        src: z.string(),
        dest: z.string(),
        files: z.number(),
        directories: z.number(),
        symlinks: z.number(),
        bytes: z.number(),
        seconds: z.number(),
        refused: z.array(z.unknown()),
      })
      .parse(JSON.parse(await succeeds(t, 'volume', 'put', image, source, '/', '--json')));
    t.deepEqual([put.files, put.directories, put.symlinks], [310, 5, 3]);
    await succeeds(t, 'volume', 'fsck', image);
    t.is(await succeeds(t, 'volume', 'get', image, '/source', back, '--json').then(filesOf), 310);
    // The bits that make a file run as its owner are not taken from a volume.
    chmodSync(join(source, 'a/b/page and a byte'), 0o755);
    const [ours, theirs] = [picture(back), picture(source)];
    t.is(ours.length, theirs.length);
    for (const [i, line] of ours.entries()) t.is(line, theirs.at(i) ?? '');
  });
}

function filesOf(text: string): number {
  return z.object({ files: z.number() }).parse(JSON.parse(text)).files;
}

test.serial('files are listed, overwritten and removed', async (t) => {
  const folder = temporaryFolder(t);
  const image = await newImage(folder, '--size', '16M');
  const file = join(folder, 'file');
  writeFileSync(file, 'first');
  await succeeds(t, 'volume', 'put', image, file, '/');
  writeFileSync(file, '2nd');
  await succeeds(t, 'volume', 'put', image, file, '/');
  mkdirSync(join(folder, 'tree'));
  writeFileSync(join(folder, 'tree/leaf'), 'leaf');
  await succeeds(t, 'volume', 'put', image, join(folder, 'tree'), '/', '--sync-every', '1');
  const { entries } = z
    .strictObject({
      image: z.string(),
      path: z.literal('/'),
      entries: z.array(
        z.strictObject({
          path: z.string(),
          kind: z.enum(['file', 'directory', 'symlink']),
          mode: z.number(),
          sizeBytes: z.number(),
          modifiedMs: z.number(),
          target: z.string().nullable(),
        }),
      ),
    })
    .parse(JSON.parse(await succeeds(t, 'volume', 'ls', image, '--json')));
  t.deepEqual(
    entries.map(({ path, sizeBytes, kind }) => [path, kind, kind === 'file' ? sizeBytes : 0]),
    [
      ['/file', 'file', 3],
      ['/tree', 'directory', 0],
    ],
  );
  t.regex(await succeeds(t, 'volume', 'ls', image, '-l'), /^-rw-r--r-- +3 +\S+ +\/file$/m);
  failsWith(t, await pinfold('volume', 'rm', image, '/tree'), 3, 'EISDIR', /--recursive/);
  t.is(await succeeds(t, 'volume', 'rm', image, '-r', '/tree', '/file'), '3 removed\n');
  failsWith(t, await pinfold('volume', 'rm', image, '/file'), 3, 'ENOENT', /:\/file is missing/);
  t.is(await succeeds(t, 'volume', 'rm', image, '-f', '/file'), '0 removed\n');
  t.is(await succeeds(t, 'volume', 'ls', image), '');
});

test.serial('special files are refused by name, and the rest is copied', async (t) => {
  const folder = temporaryFolder(t);
  const image = await newImage(folder, '--size', '16M');
  const source = join(folder, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'file'), 'x');
  execFileSync('mkfifo', [join(source, 'pipe')]);
  const result = await pinfold('volume', 'put', image, source, '/');
  failsWith(t, result, 3, 'EINVAL', /source\/pipe is a FIFO: only files/);
  t.is(await succeeds(t, 'volume', 'ls', image, '/source'), '/source/file\n');
});

test.serial('a full volume says so, and stays sound', async (t) => {
  const folder = temporaryFolder(t);
  const image = await newImage(folder, '--size', '8M');
  const big = join(folder, 'big');
  writeFileSync(big, randomBytes(12 * 2 ** 20));
  failsWith(
    t,
    await pinfold('volume', 'put', image, big, '/'),
    3,
    'ENOSPC',
    /:\/big: the volume is full/,
  );
  await succeeds(t, 'volume', 'fsck', image);
});

test.serial('mkfs overwrites nothing that looks like data', async (t) => {
  const folder = temporaryFolder(t);
  const image = join(folder, 'image');
  failsWith(t, await pinfold('volume', 'mkfs', image), 2, 'EUSAGE', /is missing: give it a --size/);
  writeFileSync(image, Buffer.alloc(4 * 2 ** 20, 'data'));
  failsWith(t, await pinfold('volume', 'mkfs', image), 3, 'EEXIST', /holds data.*--force/);
  const made = z
    .strictObject({
      image: z.literal(image),
      sizeBytes: z.literal(4 * 2 ** 20),
      blocks: z.number(),
      blockBytes: z.literal(4096),
      inodes: z.number(),
      journalBytes: z.number(),
      features: z.array(z.string()),
    })
    .parse(JSON.parse(await succeeds(t, 'volume', 'mkfs', image, '--force', '--cow', '--json')));
  t.deepEqual(made.features, ['journal', 'cow']);
  failsWith(t, await pinfold('volume', 'mkfs', image), 3, 'EEXIST', /holds a volume already/);
  const resized = await pinfold('volume', 'mkfs', image, '--size', '8M', '--force');
  t.is(resized.exit, 0, resized.stderr);
  t.is(statSync(image).size, 8 * 2 ** 20);
});

test.serial('wrong sizes are named, with what is allowed', async (t) => {
  const image = join(temporaryFolder(t), 'image');
  for (const [value, says] of [
    ['1.5G', /such as 512M/],
    ['-1', /such as 512M|argument missing/],
    ['1K', /1M to 4T/],
    ['1000000', /1M to 4T/],
    ['2000000', /multiple of 4K/],
    ['9T', /1M to 4T/],
  ] as const) {
    failsWith(t, await pinfold('volume', 'mkfs', image, '--size', value), 2, 'EUSAGE', says);
  }
  const few = await pinfold('volume', 'mkfs', image, '--size', '1M', '--inode-count', '9');
  failsWith(t, few, 2, 'EUSAGE', /--inode-count.*'9'.*16 to/);
});

test.serial('what is no volume, too small, or missing', async (t) => {
  const folder = temporaryFolder(t);
  const image = join(folder, 'image');
  failsWith(t, await pinfold('volume', 'ls', image), 3, 'ENOENT', /image is missing/);
  writeFileSync(image, 'too small');
  failsWith(t, await pinfold('volume', 'ls', image), 3, 'EUCLEAN', /image/);
  failsWith(t, await pinfold('volume', 'fsck', image), 3, 'EUCLEAN', /image/);
  writeFileSync(image, randomBytes(2 ** 20));
  failsWith(t, await pinfold('volume', 'ls', image), 3, 'EUCLEAN', /image/);
  failsWith(t, await pinfold('volume', 'get', image, '/', folder), 3, 'EUCLEAN', /image/);
  failsWith(t, await pinfold('volume', 'ls', folder), 3, 'EINVAL', /neither a regular file/);
});

test.serial('damage is named by fsck, and what can be repaired is', async (t) => {
  const folder = temporaryFolder(t);
  const image = await newImage(folder, '--size', '16M');
  writeFileSync(join(folder, 'file'), 'contents');
  await succeeds(t, 'volume', 'put', image, join(folder, 'file'), '/');
  const fd = openSync(image, 'r+');
  writeSync(fd, randomBytes(4096), 0, 4096, 0);
  failsWith(t, await pinfold('volume', 'ls', image), 3, 'EUCLEAN', /no Pinfold volume/);
  const found = await pinfold('volume', 'fsck', image, '--json');
  t.is(found.exit, 1);
  const report = z
    .strictObject({
      image: z.literal(image),
      sound: z.literal(false),
      damageCount: z.number(),
      repaired: z.literal(0),
      damages: z.array(
        z.strictObject({
          code: z.string(),
          message: z.string(),
          ino: z.number(),
          block: z.number(),
          repaired: z.boolean(),
        }),
      ),
      replayedTransactions: z.number(),
      inodesInUse: z.number(),
      blocksInUse: z.number(),
    })
    .parse(JSON.parse(found.stdout));
  t.is(report.damages.at(0)?.code, 'bad-superblock');
  const repaired = await pinfold('volume', 'fsck', image, '--repair');
  t.is(repaired.exit, 1);
  t.regex(repaired.stdout, /bad-superblock: .* \(repaired\)\n.* 0 of them left/);
  await succeeds(t, 'volume', 'fsck', image);
  t.is(await succeeds(t, 'volume', 'ls', image), '/file\n');
});

test.serial('a volume that a daemon serves takes a tree and gives it back', async (t) => {
  const folder = temporaryFolder(t);
  const [source, back, socket] = ['source', 'back', 'socket'].map((name) => join(folder, name));
  mkdirSync(source);
  plant(source, 3 * 2 ** 20);
  const image = await newImage(folder, '--size', '64M');
  const daemon = start({}, 'serve', '--socket', socket, '--volume', `home,path=${image}`);
  t.teardown(() => daemon.child.kill('SIGKILL'));
  await daemon.shows('serving on');
  const on = ['--socket', socket];
  await succeeds(t, 'volume', 'put', 'home', source, '/', ...on);
  failsWith(t, await pinfold('volume', 'ls', image), 3, 'EBUSY', /lock held by pid/);
  failsWith(t, await pinfold('volume', 'ls', 'other', ...on), 3, 'ENODEV', /it serves home/);
  failsWith(
    t,
    await pinfold('volume', 'ls', 'home', '/no', ...on),
    3,
    'ENOENT',
    /home:\/no is missing/,
  );
  t.regex(await succeeds(t, 'volume', 'ls', 'home', '/source', '-l', ...on), /link -> a\/b$/m);
  await succeeds(t, 'volume', 'get', 'home', '/source', back, ...on);
  chmodSync(join(source, 'a/b/page and a byte'), 0o755);
  t.is(picture(back).join('\n'), picture(source).join('\n'));
  t.is(await succeeds(t, 'volume', 'rm', 'home', '-r', '/source', ...on), '318 removed\n');
  daemon.child.kill('SIGTERM');
  t.is((await daemon.ended).exit, 0);
  await succeeds(t, 'volume', 'fsck', image);
});
