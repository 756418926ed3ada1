// Mounts an image on a real machine: the engine must find there what was found without it, must grow
// files without showing anything but zeroes, and must leave a volume in which fsck finds nothing.

import { readFile } from '../../../engine/fs/file.js';
import { iput } from '../../../engine/fs/inode.js';
import { lookup } from '../../../engine/fs/names.js';
import { stat, truncate } from '../../../engine/fs/truncate.js';
import { Errno } from '../../../engine/sched/errors.js';
import { check, diskOf, Rig } from '../rig.js';
import { SECTOR_BYTES, type SectorImage } from './sectors.js';
import type { FoundFile, FoundState } from './verdict.js';

/** How far each file is grown. */
const GROWTH = 5000;

/**
 * Mounts a copy of the image twice.
 * @param folders of the actors, in the order of state.actors
 * @returns what is wrong, or null
 */
export function mountAndCompare(
  image: SectorImage,
  state: FoundState,
  folders: readonly string[],
): string | null {
  const disk = diskOf(image.words());
  try {
    for (const grown of [0, GROWTH]) {
      const problem = compareAll(new Rig(disk, SMALL), image, state, folders, grown);
      if (problem !== null) return `mounted${grown > 0 ? ' once more' : ''}: ${problem}`;
      const damages = check(disk);
      if (damages.length > 0) return `fsck after a mount: ${damages.slice(0, 3).join('; ')}`;
    }
    return null;
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    return `mount: ${error.message}`;
  } finally {
    disk.close();
  }
}

const SMALL = { pages: 768, inodes: 32, buffers: 256 };

function compareAll(
  rig: Rig,
  image: SectorImage,
  state: FoundState,
  folders: readonly string[],
  grown: number,
): string | null {
  for (const [i, { files }] of state.actors.entries()) {
    for (const [path, file] of files) {
      const problem = compareFile(rig, image, `${folders[i]}/${path}`, file, grown);
      if (problem !== null) return problem;
    }
  }
  rig.unmount();
  return null;
}

/** Compares one file, then grows it the first time. @param grown bytes by which it was grown already */
function compareFile(
  rig: Rig,
  image: SectorImage,
  path: string,
  file: FoundFile,
  grown: number,
): string | null {
  const { task, v } = rig;
  const inode = open(rig, path);
  try {
    const { sizeBytes, nlink } = rig.run(stat(v, inode));
    // A file with two names is grown by the first of them.
    const before = nlink > 1 && sizeBytes === file.sizeBytes + GROWTH ? GROWTH : grown;
    if (sizeBytes !== file.sizeBytes + before)
      return `${path} has ${sizeBytes} B, ${file.sizeBytes + before} are on disk`;
    if (before === 0) rig.run(truncate(task, v, inode, file.sizeBytes + GROWTH));
    const bytes = Buffer.alloc(file.sizeBytes + GROWTH);
    rig.run(readFile(task, v, inode, 0, bytes));
    const expected = Buffer.alloc(bytes.length);
    for (const [sector, id] of file.sectors.entries())
      expected.set(image.store.bytesOf(id), sector * SECTOR_BYTES);
    expected.fill(0, file.sizeBytes);
    if (bytes.equals(expected)) return null;
    const at = bytes.findIndex((byte, i) => byte !== expected[i]);
    const where = at < file.sizeBytes ? 'differs from what is on disk' : 'grew, and is not zero';
    return `${path} ${where} at byte ${at}`;
  } finally {
    rig.run(iput(task, v, inode));
  }
}

function open(rig: Rig, path: string): number {
  const { task, v } = rig;
  let inode = rig.root;
  for (const name of path.split('/')) {
    const next = rig.run(lookup(task, v, inode, name));
    if (inode !== rig.root) rig.run(iput(task, v, inode));
    inode = next;
  }
  return inode;
}
