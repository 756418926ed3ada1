// fsck, second pass: all directories from the root on, and the links that they add up to.

import { blockCrc } from './dinode.js';
import { bucketOf } from './dir.js';
import { type Dirent, direntType, ENTRY_WORDS_MAX, hashName, listBlock } from './dir-block.js';
import type { Checked, KnownInode } from './fsck-image.js';
import { isOrphan } from './fsck-inodes.js';
import { BLOCK_BYTES, DB, DIR_MAGIC, ROOT_INO, S_IF } from './layout.js';

/** Walks the tree of directories and compares link counts. */
export function checkNames(c: Checked): void {
  const root = c.inodes.get(ROOT_INO);
  if (root === undefined || (root.mode & S_IF.mask) !== S_IF.dir) {
    c.report(
      'bad-inode',
      ROOT_INO,
      0,
      'inode 1, the root directory, is missing: names cannot be checked',
    );
    return;
  }
  root.links = 1;
  const queue: number[] = [ROOT_INO];
  for (const dir of queue) {
    const known = c.inodes.get(dir);
    if (known !== undefined) checkDirectory(c, dir, known, queue);
  }
  for (const [ino, known] of c.inodes) checkLinks(c, ino, known);
}

function checkDirectory(c: Checked, dir: number, known: KnownInode, queue: number[]): void {
  const blocks = known.size / BLOCK_BYTES;
  const names = new Set<string>();
  let missing = 0;
  for (let index = 0; index < blocks; index++) {
    const block = known.dirBlocks.get(index);
    if (block === undefined) {
      // One report for all: a damaged size may promise a billion blocks.
      if (missing++ === 0)
        c.report(
          'missing-dir-block',
          dir,
          0,
          `directory inode ${String(dir)} of ${String(blocks)} blocks has no block ${String(index)}`,
        );
      if (missing > known.dirBlocks.size + 1) break;
      continue;
    }
    for (const entry of entriesOf(c, dir, block)) {
      checkEntry(c, dir, block, index, blocks, entry, names, queue);
    }
  }
}

function entriesOf(c: Checked, dir: number, block: number): Dirent[] {
  const words = c.read(block);
  const used = words[DB.usedWords];
  const sane =
    words[DB.magic] === DIR_MAGIC &&
    words[DB.owner] === dir &&
    used >= 0 &&
    used <= ENTRY_WORDS_MAX &&
    words[DB.crc] === blockCrc(words, 0);
  if (!sane) {
    c.report(
      'bad-dir-block',
      dir,
      block,
      `directory inode ${String(dir)}: block ${String(block)} is damaged, its names are lost`,
    );
    return [];
  }
  try {
    return listBlock(words, 0);
  } catch {
    c.report(
      'bad-dir-block',
      dir,
      block,
      `directory inode ${String(dir)}: entries of block ${String(block)} are damaged`,
    );
    return [];
  }
}

function checkEntry(
  c: Checked,
  dir: number,
  block: number,
  index: number,
  blocks: number,
  entry: Dirent,
  names: Set<string>,
  queue: number[],
): void {
  const { name, ino } = entry;
  const what = `directory inode ${String(dir)}: name "${name}" (block ${String(block)})`;
  const hash = hashName(entry.bytes, c.sb.hashSeed);
  if (name === '.' || name === '..' || /[/\0]/.test(name)) {
    c.report('bad-entry', dir, block, `${what} is no legal name`);
  }
  if (hash !== entry.hash || bucketOf(hash, blocks) !== index) {
    c.report('misplaced-entry', dir, block, `${what} is in the wrong block: it cannot be found`);
  }
  if (names.has(name)) c.report('duplicate-name', dir, block, `${what} is there twice`);
  names.add(name);
  const target = c.inodes.get(ino);
  if (target === undefined) {
    c.report(
      'dangling-entry',
      dir,
      block,
      `${what} points to inode ${String(ino)}, which is not in use or is damaged`,
    );
    return;
  }
  if (direntType(target.mode) !== entry.type) {
    c.report(
      'wrong-entry-type',
      dir,
      block,
      `${what} is of type ${String(entry.type)}, its inode ${String(ino)} of ${String(direntType(target.mode))}`,
    );
  }
  target.links++;
  if ((target.mode & S_IF.mask) !== S_IF.dir) return;
  if (target.links > 1) {
    c.report(
      'directory-linked-twice',
      ino,
      block,
      `${what} is a second name of directory inode ${String(ino)}`,
    );
    return;
  }
  if (target.parent !== dir) {
    c.report(
      'wrong-parent',
      ino,
      block,
      `directory inode ${String(ino)} says that it is in inode ${String(target.parent)}, it is in ${String(dir)}`,
    );
  }
  queue.push(ino);
}

function checkLinks(c: Checked, ino: number, known: KnownInode): void {
  if (known.links === known.nlink) {
    if (known.nlink === 0 && !isOrphan(c, ino))
      c.report(
        'deleted-not-orphan',
        ino,
        0,
        `inode ${String(ino)} has no name and is not listed to be freed`,
      );
    return;
  }
  if (known.links === 0) {
    c.report(
      'unreachable-inode',
      ino,
      0,
      `inode ${String(ino)} is in use (${String(known.nlink)} links, ${String(known.size)} B), but has no name`,
    );
    return;
  }
  c.report(
    'wrong-nlink',
    ino,
    0,
    `inode ${String(ino)} says that it has ${String(known.nlink)} names, it has ${String(known.links)}`,
  );
}
