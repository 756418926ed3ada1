// Copies follow `cp -r`: compared with the real one, on trees of the host.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type CopyOptions, type CopyResult, copyTree } from '../../clients/cli/copy/copy-tree.js';
import { HostTree } from '../../clients/cli/copy/host-tree.js';
import { temporaryFolder } from './run.js';

const OPTIONS: CopyOptions = {
  onProgress: () => undefined,
  onRefusal: () => undefined,
  syncEvery: 0,
  onSync: () => undefined,
  modeMask: 0o1777,
};

function copy(from: string, to: string): Promise<CopyResult> {
  return copyTree(new HostTree(), from, new HostTree(), to, OPTIONS);
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** What a tree looks like: a line for each node, with contents. */
function picture(folder: string, prefix = ''): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const status = lstatSync(path);
    const line = `${prefix}${name} ${(status.mode & 0o7777).toString(8)}`;
    if (status.isSymbolicLink()) return [`${line} -> ${readlinkSync(path)}`];
    if (status.isDirectory()) return [line, ...picture(path, `${prefix}${name}/`)];
    return [`${line} ${Math.round(status.mtimeMs)} ${sha256(path)}`];
  });
}

function plant(folder: string): void {
  mkdirSync(join(folder, 'src/deep/er'), { recursive: true });
  writeFileSync(join(folder, 'src/file'), 'contents');
  writeFileSync(join(folder, 'src/empty'), '');
  writeFileSync(join(folder, 'src/deep/ with space\n'), 'odd');
  writeFileSync(join(folder, 'src/deep/er/-rf'), 'x'.repeat(10_000));
  writeFileSync(join(folder, 'src/ünïcode 日本'), 'utf-8');
  chmodSync(join(folder, 'src/file'), 0o741);
  symlinkSync('deep/er', join(folder, 'src/to-folder'));
  symlinkSync('/no/such/file', join(folder, 'src/dangling'));
  chmodSync(join(folder, 'src/deep/er'), 0o555);
  mkdirSync(join(folder, 'there'));
  writeFileSync(join(folder, 'occupied'), 'a file in the way');
  symlinkSync('occupied', join(folder, 'to-occupied'));
  symlinkSync('nowhere', join(folder, 'to-nowhere'));
  symlinkSync('there', join(folder, 'to-there'));
  execFileSync('find', [folder, '-exec', 'touch', '-hd', '@1700000000.25', '{}', '+']);
}

const cases: readonly (readonly [name: string, from: string, to: string])[] = [
  ['a tree into a directory', 'src', 'there'],
  ['a tree with a slash into a directory', 'src/', 'there/'],
  ['a tree to a new name', 'src', 'new'],
  ['a tree to a new name with a slash', 'src', 'new/'],
  ['the contents of a tree', 'src/.', 'there'],
  ['a file into a directory', 'src/file', 'there'],
  ['a file to a new name', 'src/file', 'new'],
  ['a file over a file', 'src/file', 'occupied'],
  ['a file to a new name with a slash', 'src/file', 'new/'],
  ['a tree over a file', 'src', 'occupied'],
  ['a tree below what is missing', 'src', 'no/such'],
  ['a file with a slash', 'src/file/', 'there'],
  ['what is missing', 'src/nothing', 'there'],
  ['a file over a link to a file', 'src/file', 'to-occupied'],
  ['a file over a link to nowhere', 'src/file', 'to-nowhere'],
  ['a tree into a link to a directory', 'src', 'to-there'],
  ['a link', 'src/to-folder', 'there'],
  ['a link with a slash', 'src/to-folder/', 'there'],
];

for (const [name, from, to] of cases) {
  test(`as cp -rp: ${name}`, async (t) => {
    const [ours, theirs] = [temporaryFolder(t), temporaryFolder(t)];
    for (const folder of [ours, theirs]) plant(folder);
    let failed = false;
    try {
      execFileSync('cp', ['-rp', from, to], { cwd: theirs, stdio: 'ignore' });
    } catch {
      failed = true;
    }
    const result = await copy(`${ours}/${from}`, `${ours}/${to}`).catch(() => null);
    t.is(result === null || result.refusals.length > 0, failed);
    t.deepEqual(picture(ours), picture(theirs));
  });
}

test('special files are refused by name, and the rest is copied', async (t) => {
  const folder = temporaryFolder(t);
  plant(folder);
  execFileSync('mkfifo', [join(folder, 'src/pipe')]);
  const { refusals, files } = await copy(`${folder}/src`, `${folder}/new`);
  t.deepEqual(
    refusals.map(({ code, message }) => [code, message]),
    [['EINVAL', `${folder}/src/pipe is a FIFO: only files, directories and symlinks are copied`]],
  );
  t.is(files, 5);
});

test('a link in the way is replaced, not followed', async (t) => {
  const folder = temporaryFolder(t);
  plant(folder);
  mkdirSync(join(folder, 'new'));
  writeFileSync(join(folder, 'precious'), 'precious');
  symlinkSync(join(folder, 'precious'), join(folder, 'new/file'));
  await copy(`${folder}/src/.`, `${folder}/new`);
  t.is(readFileSync(join(folder, 'precious'), 'utf8'), 'precious');
  t.is(readFileSync(join(folder, 'new/file'), 'utf8'), 'contents');
});

test('a name that leads out of the tree is refused', async (t) => {
  const folder = temporaryFolder(t);
  plant(folder);
  class Hostile extends HostTree {
    override list(path: string): string[] {
      return path.endsWith('src') ? ['../occupied', '..', 'file'] : super.list(path);
    }
  }
  const { refusals } = await copyTree(
    new Hostile(),
    `${folder}/src`,
    new HostTree(),
    `${folder}/there`,
    OPTIONS,
  );
  t.deepEqual(
    refusals.map(({ code }) => code),
    ['EUCLEAN', 'EUCLEAN'],
  );
  t.false(existsSync(join(folder, 'there/occupied')));
  t.deepEqual(readdirSync(join(folder, 'there/src')), ['file']);
});
