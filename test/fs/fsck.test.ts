// fsck names each damage, mends what it says it can, and neither it nor mount ever trips over garbage.

import test from 'ava';
import type { Disk } from '../../engine/block/disk.js';
import { memoryDisk } from '../../engine/block/disk.js';
import { blockCrc, inodeCrc, inodeOffset } from '../../engine/fs/dinode.js';
import { fsync, writeFile } from '../../engine/fs/file.js';
import { fsck } from '../../engine/fs/fsck.js';
import { iput } from '../../engine/fs/inode.js';
import { DB, DI, EXTENT_WORDS, INODES_PER_BLOCK, SB } from '../../engine/fs/layout.js';
import { mkfs } from '../../engine/fs/mkfs.js';
import { create, mkdir } from '../../engine/fs/names.js';
import { readSuperblock } from '../../engine/fs/superblock.js';
import { Errno } from '../../engine/sched/errors.js';
import { preadInto, pwriteFrom } from '../../native/index.js';
import { randomFrom } from './crash-disk.js';
import { check, diskOf, imageOf, newDisk, pattern, Rig } from './rig.js';

const WORDS = 1024;

interface Sample {
  readonly disk: Disk;
  readonly image: Int32Array;
  /** Inode numbers. */
  readonly a: number;
  readonly b: number;
  readonly dir: number;
}

/** A volume with files "a" and "b" of three blocks each and a directory "dir" with a file. */
function sample(): Sample {
  const disk = newDisk(4 * 2 ** 20, { inodes: 64, checksums: true });
  const rig = new Rig(disk);
  const { task, v, m } = rig;
  const inos: number[] = [];
  for (const name of ['a', 'b']) {
    const inode = rig.run(create(task, v, rig.root, name, 0o644));
    rig.run(writeFile(task, v, inode, 0, pattern(10_000, 1)));
    rig.run(fsync(task, v, inode));
    inos.push(m.state.ino[inode]);
    rig.run(iput(task, v, inode));
  }
  const dir = rig.run(mkdir(task, v, rig.root, 'dir', 0o755));
  inos.push(m.state.ino[dir]);
  rig.run(iput(task, v, rig.run(create(task, v, dir, 'inside', 0o644))));
  rig.run(iput(task, v, dir));
  rig.unmount();
  return { disk, image: imageOf(disk), a: inos[0], b: inos[1], dir: inos[2] };
}

const { disk, image, a, b, dir } = sample();
const sb = readSuperblock(disk.fd, disk.sizeBytes);

function inodeAt(ino: number): number {
  return (sb.inodeTableStart + Math.floor(ino / INODES_PER_BLOCK)) * WORDS + inodeOffset(ino);
}

function sealInode(words: Int32Array, ino: number): void {
  words[inodeAt(ino) + DI.crc] = inodeCrc(words, inodeAt(ino), ino);
}

/** First block of a file or directory. */
function firstBlock(ino: number): number {
  return image[inodeAt(ino) + DI.root + 1];
}

const rootBlock = firstBlock(1) * WORDS;

const DAMAGES: readonly [string, (words: Int32Array) => void, RegExp][] = [
  ['bad-superblock', (w) => (w[SB.crc] ^= 1), /superblock/],
  ['bad-inode-crc', (w) => (w[inodeAt(a) + DI.mtimeLow] ^= 1), new RegExp(`inode ${String(a)} `)],
  [
    'bad-inode',
    (w) => {
      w[inodeAt(a) + DI.mode] = 0o50000;
      sealInode(w, a);
    },
    /unknown type/,
  ],
  [
    'double-claimed-block',
    (w) => {
      w[inodeAt(b) + DI.root + 1] = firstBlock(a);
      sealInode(w, b);
    },
    new RegExp(
      `block ${String(firstBlock(a))} is claimed by inode ${String(b)} and by inode ${String(a)}`,
    ),
  ],
  [
    'extent-out-of-range',
    (w) => {
      w[inodeAt(a) + DI.root + 1] = 2_000_000;
      sealInode(w, a);
    },
    /outside/,
  ],
  [
    'extent-order',
    (w) => {
      w.copyWithin(
        inodeAt(a) + DI.root + EXTENT_WORDS,
        inodeAt(a) + DI.root,
        inodeAt(a) + DI.root + 3,
      );
      w[inodeAt(a) + DI.count] = 2;
      sealInode(w, a);
    },
    /starts before/,
  ],
  [
    'bad-extent-tree',
    (w) => {
      w[inodeAt(a) + DI.depth] = 1;
      sealInode(w, a);
    },
    /extent block/,
  ],
  [
    'blocks-past-end',
    (w) => {
      w[inodeAt(a) + DI.sizeLow] = 100;
      sealInode(w, a);
    },
    /past the size of 100 B/,
  ],
  [
    'wrong-block-count',
    (w) => {
      w[inodeAt(a) + DI.blocks] = 7;
      sealInode(w, a);
    },
    /says that it has 7 blocks, it has 3/,
  ],
  [
    'checksum-mismatch',
    (w) => (w[firstBlock(a) * WORDS + 5] ^= 4),
    new RegExp(`inode ${String(a)}, page 0`),
  ],
  [
    'missing-dir-block',
    (w) => {
      w[inodeAt(dir) + DI.sizeLow] = 8192;
      sealInode(w, dir);
    },
    /no block 1/,
  ],
  ['bad-dir-block', (w) => (w[rootBlock + DB.entries + 3] ^= 1), /its names are lost/],
  [
    'dangling-entry',
    (w) => {
      w[rootBlock + DB.entries] = 60;
      w[rootBlock + DB.crc] = blockCrc(w, rootBlock);
    },
    /inode 60, which is not in use/,
  ],
  [
    'misplaced-entry',
    (w) => {
      w[rootBlock + DB.entries + 1] ^= 1;
      w[rootBlock + DB.crc] = blockCrc(w, rootBlock);
    },
    /cannot be found/,
  ],
  [
    'wrong-parent',
    (w) => {
      w[inodeAt(dir) + DI.parent] = a;
      sealInode(w, dir);
    },
    new RegExp(`inode ${String(dir)} says that it is in inode ${String(a)}`),
  ],
  [
    'wrong-nlink',
    (w) => {
      w[inodeAt(b) + DI.nlink] = 3;
      sealInode(w, b);
    },
    /says that it has 3 names, it has 1/,
  ],
  [
    'unreachable-inode',
    (w) => {
      w[rootBlock + DB.usedWords] = 0;
      w[rootBlock + DB.crc] = blockCrc(w, rootBlock);
    },
    /has no name/,
  ],
  [
    'block-not-marked',
    (w) => {
      const block = firstBlock(a);
      w[sb.bitmapStart * WORDS + (block >>> 5)] &= ~(1 << (block & 31));
    },
    /in use, but free in the bitmap/,
  ],
  ['block-leaked', (w) => (w[sb.bitmapStart * WORDS + 31] |= -1), /nothing uses them/],
  ['inode-leaked', (w) => (w[sb.inodeBitmapStart * WORDS + 1] |= 256), /inode 40 is marked/],
  ['inode-not-marked', (w) => (w[sb.inodeBitmapStart * WORDS] &= ~(1 << b)), /free in the bitmap/],
];

test('the sample is sound', (t) => {
  t.deepEqual(check(disk), []);
});

for (const [code, damage, message] of DAMAGES) {
  test(`fsck names ${code}`, (t) => {
    const words = image.slice();
    damage(words);
    const bad = diskOf(words);
    const { damages } = fsck(bad, { repair: false });
    const found = damages.find((d) => d.code === code);
    t.truthy(found, JSON.stringify(damages));
    t.regex(found?.message ?? '', message);
    bad.close();
  });
}

for (const code of [
  'bad-superblock',
  'block-not-marked',
  'block-leaked',
  'inode-leaked',
  'wrong-nlink',
  'wrong-block-count',
]) {
  test(`fsck mends ${code}`, (t) => {
    const words = image.slice();
    DAMAGES.find(([name]) => name === code)?.[1](words);
    const bad = diskOf(words);
    const { damages } = fsck(bad, { repair: true });
    t.true(damages.length > 0 && damages.every((d) => d.repaired), JSON.stringify(damages));
    t.deepEqual(check(bad), []);
    new Rig(bad).unmount();
    bad.close();
  });
}

test('what is no volume is refused with a sentence', (t) => {
  const empty = memoryDisk(2 ** 20);
  t.throws(() => fsck(empty, { repair: false }), { code: 'EUCLEAN', message: /mkfs/ });
  t.throws(() => mkfs(empty, {}), { code: 'EINVAL', message: /too few/ });
  t.throws(() => mkfs(disk, { inodes: 3 }), { code: 'EINVAL', message: /inodes 3/ });
  const short = memoryDisk(2 ** 20);
  const head = new Uint8Array(4096);
  preadInto(disk.fd, head, 0);
  pwriteFrom(short.fd, head, 0);
  t.throws(() => readSuperblock(short.fd, short.sizeBytes), {
    code: 'EUCLEAN',
    message: /cut short/,
  });
});

test('random garbage gives typed errors, never a crash or a hang', (t) => {
  const seed = Number(process.env['PINFOLD_SEED'] ?? Date.now() % 1_000_000);
  t.log(`seed ${String(seed)} (PINFOLD_SEED)`);
  const random = randomFrom(seed);
  // Metadata only: data blocks make no difference but to checksums.
  const used = [
    0,
    1,
    2,
    sb.bitmapStart,
    sb.inodeBitmapStart,
    sb.orphanStart,
    sb.inodeTableStart,
    firstBlock(1),
    firstBlock(dir),
  ];
  for (let round = 0; round < 60; round++) {
    const words = image.slice();
    for (let flips = 1 + random(8); flips > 0; flips--) {
      const at = used[random(used.length)] * WORDS + random(random(2) === 0 ? 64 : WORDS);
      words[at] = random(2) === 0 ? words[at] ^ (1 << random(32)) : random(2 ** 31);
    }
    // Half of the time with CRCs that fit, so that the checks behind them are reached too.
    if (round % 2 === 0) {
      for (const ino of [1, a, b, dir]) sealInode(words, ino);
      for (const block of [firstBlock(1), firstBlock(dir)])
        words[block * WORDS + 1] = blockCrc(words, block * WORDS);
    }
    const bad = diskOf(words);
    try {
      fsck(bad, { repair: random(2) === 0 });
      new Rig(bad).unmount();
    } catch (error) {
      t.true(error instanceof Errno, `round ${String(round)}: ${String(error)}`);
    } finally {
      bad.close();
    }
  }
});
