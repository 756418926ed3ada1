// fsck: checks a volume that is not mounted, names every damage, and mends what needs no judgement.
// Bounded against any garbage: every walk is limited by the blocks and inodes of the volume. This
// thread may block.

import { fdatasync, preadInto } from '../../native/index.js';
import type { Disk } from '../block/disk.js';
import { Errno } from '../sched/errors.js';
import { Checked, type Damage } from './fsck-image.js';
import { checkInodes } from './fsck-inodes.js';
import { checkMaps, repairCounts } from './fsck-maps.js';
import { checkNames } from './fsck-names.js';
import { BLOCK_BYTES, BLOCK_WORDS, type Superblock } from './layout.js';
import { type Recovery, replayJournal } from './recovery.js';
import { decodeSuperblock, encodeSuperblock } from './superblock.js';

export { DAMAGE_CODES, type Damage, type DamageCode } from './fsck-image.js';

export interface FsckOptions {
  /** Mends the superblock (from its backup), bitmaps, link and block counts. */
  readonly repair: boolean;
}

export interface FsckReport {
  /** The first 1,000 damages, and how many there are. */
  readonly damages: readonly Damage[];
  readonly damageCount: number;
  /** What the journal held; null without one, or if it is damaged. */
  readonly recovery: Recovery | null;
  readonly inodesInUse: number;
  readonly blocksInUse: number;
}

/**
 * Replays the journal, then checks everything.
 * @throws Errno EUCLEAN if neither the superblock nor its backup can be read (no volume here)
 */
export function fsck(disk: Disk, options: FsckOptions): FsckReport {
  const { sb, problem } = findSuperblock(disk);
  const c = new Checked(disk, sb, options.repair);
  if (problem !== null) {
    const damage = c.report('bad-superblock', 0, 0, `${problem}; the backup is sound`);
    if (options.repair) {
      c.write(0, encodeSuperblock({ ...sb, clean: false }));
      damage.repaired = true;
    }
  }
  const recovery = recover(c);
  checkInodes(c);
  checkNames(c);
  checkMaps(c);
  if (options.repair) {
    repairCounts(c);
    fdatasync(disk.fd);
  }
  return {
    damages: c.damages,
    damageCount: c.count,
    recovery,
    inodesInUse: c.inodes.size,
    blocksInUse: c.owners.reduce((sum, owner) => sum + (owner === 0 ? 0 : 1), 0),
  };
}

/** The superblock, or its backup and what is wrong with the first one. */
function findSuperblock(disk: Disk): { sb: Superblock; problem: string | null } {
  try {
    return { sb: decodeAt(disk, 0), problem: null };
  } catch (first) {
    if (!(first instanceof Errno)) throw first;
    const last = Math.floor(disk.sizeBytes / BLOCK_BYTES) - 1;
    if (last < 1) throw first;
    try {
      return { sb: decodeAt(disk, last), problem: first.message };
    } catch {
      throw first;
    }
  }
}

function decodeAt(disk: Disk, block: number): Superblock {
  const words = new Int32Array(BLOCK_WORDS);
  preadInto(disk.fd, new Uint8Array(words.buffer), block * BLOCK_BYTES);
  return decodeSuperblock(words, disk.sizeBytes);
}

function recover(c: Checked): Recovery | null {
  const { journalStart, journalBlocks } = c.sb;
  if (journalBlocks === 0) return null;
  try {
    return replayJournal(c.disk.fd, BLOCK_BYTES, journalStart, journalBlocks);
  } catch (error) {
    if (!(error instanceof Errno)) throw error;
    c.report('bad-journal', 0, journalStart, `the journal cannot be replayed: ${error.message}`);
    return null;
  }
}
