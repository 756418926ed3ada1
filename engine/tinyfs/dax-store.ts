// The smallest file system on persistent memory: files of one page, each in a block of the media,
// with a map of who owns which block. What a device stores into a block whose owner is not the file
// that was pinned is the storage use-after-free of the fsdax threads (H2-a, b, c, m).
//
//   extra:  active | users of the mount | free objects of kernel memory
//           | owner of block 0, 1, ... (ino, 0: free) | block of file 0, 1, ... (block + 1, 0: none)
//
// Block b is the frame mediaFirst + b. Inode slot i is always the file with the number i + 1, so that
// reading an inode in again is finding its slot. i_data_sem of slot 0 covers the maps of all files.

import type { Machine } from '../machine.js';
import { storeLong } from '../memory/long.js';
import { add, load, read, store, write } from '../memory/word.js';
import { type DaxOperations, PAGE_INDEX_MAX, type SyncMode } from '../mm/address-space.js';
import { setMediaAside } from '../mm/alloc.js';
import {
  breakLayout,
  layoutBusyPage,
  truncateEntries,
  truncateEntriesFinal,
} from '../mm/dax-break.js';
import { daxWriteback } from '../mm/dax-writeback.js';
import { breakLease, endBreak } from '../mm/lease.js';
import { unmapRange } from '../mm/truncate.js';
import { Errno, InvariantError } from '../sched/errors.js';
import { downRead, downWrite, type Locks, upRead, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { BareFs } from './bare.js';
import { I_NAMES, InodeLife, type InodeOperations } from './inode-life.js';
import { Mounts } from './mounts.js';
import { kfree, kmalloc, reclaim } from './slab.js';

/** How large the file system is. */
export interface DaxGeometry {
  /** Blocks of the media: the last frames of the machine. */
  readonly blocks: number;
  /** Files: inode slots 0, 1, ... */
  readonly files: number;
  /** Objects of kernel memory that are free at first: see slab.ts. */
  readonly objects: number;
}

/** Words of `extra` that the file system takes, from word 0 on. */
export function daxStoreWords(g: DaxGeometry): number {
  return FIRST_OWNER + g.blocks + g.files;
}

/** i_mode of a directory. */
export const DIRECTORY = 0o040000;

/** The inode slot whose i_data_sem covers the maps. */
const MAPS = 0;

const ACTIVE = 0;
const USERS = 1;
const OBJECTS = 2;
const FIRST_OWNER = 3;

export class DaxStore extends BareFs implements InodeOperations {
  override readonly dax: DaxOperations;
  readonly inodes: InodeLife;
  readonly stateBits = I_NAMES;
  /** i_rwsem of directories: a class of its own to lockdep. */
  private readonly directories: Locks;

  /** On every thread of the machine. */
  constructor(
    protected readonly m: Machine,
    private readonly g: DaxGeometry,
  ) {
    super();
    m.useMedia(m.geometry.pages - g.blocks);
    this.directories = m.locks('i_rwsem(dir)', m.state.iRwsem);
    this.inodes = new InodeLife(m, 0, g.files, ACTIVE, this);
    this.dax = {
      isDax: (inode) => !isDirectory(m, inode),
      frameOf: (task, inode) => this.frameOf(task, inode),
    };
  }

  /** The file system of this machine. */
  static of(m: Machine): DaxStore {
    const fs = m.fs instanceof Mounts ? m.fs.a : m.fs;
    if (fs instanceof DaxStore) return fs;
    throw new InvariantError('no DaxStore is mounted on this machine');
  }

  /** Makes an empty file system, and mounts it. Before the machine runs. */
  format(): void {
    const { m, g } = this;
    setMediaAside(m, m.mediaFirst);
    m.state.extra[ACTIVE] = 1;
    m.state.extra[OBJECTS] = g.objects;
    for (let inode = 0; inode < g.files; inode++) {
      m.state.ino[inode] = inode + 1;
      m.state.iNlink[inode] = 1;
      m.state.iSize[inode] = BigInt(m.geometry.pageBytes);
    }
  }

  // What programs do

  /** write(2) of the first word: the data go straight to the media. Nobody else uses the file. @throws Errno ENOSPC */
  *writeWord(task: Task, inode: number, value: number): Op<void> {
    const pfn = yield* this.frameOf(task, inode);
    if (lab?.point()) yield STEP;
    store(this.m.frames.wordSegment(pfn), this.m.frames.wordOffset(pfn), value);
  }

  /** truncate(2) to nothing. @throws Errno EINTR, ETIMEDOUT */
  *truncate(task: Task, inode: number): Op<void> {
    const { m } = this;
    const breaks = m.profile.daxTruncate === 'wait';
    yield* downWrite(task, m.iRwsem, inode);
    if (breaks) yield* this.recallLease(task, inode);
    yield* downWrite(task, m.invalidateLock, inode);
    try {
      if (breaks) yield* breakLayout(task, m, inode, 0, PAGE_INDEX_MAX, 'interruptible');
      if (lab?.point()) yield STEP;
      storeLong(m.state.iSize, inode, 0);
      yield* unmapRange(task, m, inode, 0, PAGE_INDEX_MAX);
      yield* truncateEntries(task, m, inode, 0, PAGE_INDEX_MAX);
      yield* this.freeBlock(task, inode);
    } finally {
      if (lab?.point()) yield STEP;
      upWrite(task, m.invalidateLock, inode);
      if (lab?.point()) yield STEP;
      upWrite(task, m.iRwsem, inode);
    }
  }

  /**
   * umount(2).
   * @returns inodes that were still in use
   * @throws Errno EBUSY if somebody has a file open, or pinned where pins keep the file
   */
  *unmount(task: Task): Op<number> {
    if (lab?.point()) yield STEP;
    if (load(this.m.state.extra, USERS) !== 0) throw new Errno('EBUSY', 'a file is in use');
    return yield* this.inodes.unmount(task);
  }

  /**
   * The pmem device is taken away, and its memory goes to the next user: no block has an owner any
   * more. P16: who uses the memory is told first (here: it is unmapped), and pins are waited for.
   */
  *removeDevice(task: Task): Op<void> {
    const { m, g } = this;
    if (m.profile.deviceRemoval === 'notify') {
      for (let inode = 0; inode < g.files; inode++) {
        yield* breakLayout(task, m, inode, 0, PAGE_INDEX_MAX, 'final');
      }
    }
    for (let inode = 0; inode < g.files; inode++) yield* this.freeBlock(task, inode);
  }

  /** Takes an object of kernel memory (GFP_KERNEL): may reclaim, and evict inodes. */
  *kmalloc(task: Task): Op<void> {
    yield* kmalloc(task, this.m, OBJECTS, (by) => this.inodes.prune(by));
  }

  /** Gives an object back. */
  *kfree(): Op<void> {
    if (lab?.point()) yield STEP;
    kfree(this.m, OBJECTS);
  }

  /** Reclaims by itself, as kswapd. False if there was nothing. */
  *reclaim(task: Task): Op<boolean> {
    return yield* reclaim(task, this.m, (by) => this.inodes.prune(by));
  }

  /** Locks a directory for reading it, and unlocks it. */
  *lockDirectory(task: Task, inode: number): Op<void> {
    yield* downRead(task, this.directories, inode);
  }

  *unlockDirectory(task: Task, inode: number): Op<void> {
    if (lab?.point()) yield STEP;
    upRead(task, this.directories, inode);
  }

  // What the oracles need to know

  /** The block of a file, or -1. At rest. */
  blockOf(inode: number): number {
    return this.m.state.extra[this.fileWord(inode)] - 1;
  }

  // FileSystem

  nameOfExtra(word: number): string | null {
    const { blocks, files } = this.g;
    if (word < FIRST_OWNER) return ['mounted', 'users of the mount', 'free kernel memory'][word];
    if (word < FIRST_OWNER + blocks) return `owner of block ${String(word - FIRST_OWNER)}`;
    const inode = word - FIRST_OWNER - blocks;
    return inode < files ? `block of inode ${String(inode)}` : null;
  }

  *readFolio(): Op<void> {
    throw new InvariantError('a DAX file has no page cache');
  }

  *prepareWrite(): Op<void> {
    throw new InvariantError('a DAX file has no page cache');
  }

  writepages(task: Task, inode: number, mode: SyncMode, from: number, to: number): Op<number> {
    return daxWriteback(task, this.m, inode, mode, from, to);
  }

  /** A pin keeps the inode (P18), or the open file, which keeps the mount as well. */
  override *grabInode(task: Task, inode: number): Op<boolean> {
    if (this.m.profile.pinKeeps === 'file') yield* this.countUser(1);
    return yield* this.inodes.igrab(task, inode);
  }

  override *putInode(task: Task, inode: number): Op<void> {
    yield* this.inodes.iput(task, inode);
    if (this.m.profile.pinKeeps === 'file') yield* this.countUser(-1);
  }

  private *countUser(delta: 1 | -1): Op<void> {
    if (lab?.point()) yield STEP;
    add(this.m.state.extra, USERS, delta);
  }

  // InodeOperations

  /**
   * P15: drop_inode asks dax_inode_busy(), which unmaps, and so may sleep, under i_lock (H2-g). Linux
   * only complains of that, and goes on.
   */
  *keepsBusy(task: Task, inode: number): Op<boolean> {
    const { m } = this;
    if (m.profile.daxEviction !== 'busy-stays-on-lru' || !this.dax.isDax(inode)) return false;
    m.report({
      kind: 'bug',
      hazard: 'H2-g',
      task: task.name,
      message: `BUG: sleeping function called from invalid context: dax_inode_busy under i_lock of inode ${String(inode + 1)}`,
    });
    const { atomicDepth } = task;
    task.atomicDepth = 0;
    const busy = yield* layoutBusyPage(task, m, inode, 0, PAGE_INDEX_MAX);
    task.atomicDepth = atomicDepth;
    return busy !== 0;
  }

  *writeInodeNow(task: Task, inode: number): Op<void> {
    const { m } = this;
    yield* daxWriteback(task, m, inode, 'all', 0, PAGE_INDEX_MAX);
    switch (m.profile.daxEviction) {
      case 'writeback-will-free': // P19: this is the last chance, as I_WILL_FREE says
      case 'write-inode-now': // P20
      case 'busy-stays-on-lru': // P15, after write_inode_now
        yield* breakLayout(task, m, inode, 0, PAGE_INDEX_MAX, 'final');
        break;
      default:
    }
  }

  *evictInode(task: Task, inode: number): Op<void> {
    const { m } = this;
    switch (m.profile.daxEviction) {
      case 'break-under-locks': // P13: for all inodes, directories as well
        yield* this.evictUnderLocks(task, inode);
        break;
      case 'break-final': // P14, and 6.15
        yield* breakLayout(task, m, inode, 0, PAGE_INDEX_MAX, 'final');
        yield* truncateEntriesFinal(task, m, inode);
        break;
      default:
        yield* truncateEntriesFinal(task, m, inode);
    }
    // Nobody can find the inode any more.
    if (read(m.state.iNlink, inode) === 0) yield* this.freeBlock(task, inode);
  }

  /** The slot stays what it is; reading the inode in again takes no object, which no hazard is about. */
  *destroyInode(): Op<void> {
    yield* this.kfree();
  }

  /** P13: xfs_fs_evict_inode as posted, which also recalls layout leases (H2-f). */
  private *evictUnderLocks(task: Task, inode: number): Op<void> {
    const { m } = this;
    const iolock = isDirectory(m, inode) ? this.directories : m.iRwsem;
    yield* downWrite(task, iolock, inode);
    yield* downWrite(task, m.invalidateLock, inode);
    yield* breakLayout(task, m, inode, 0, PAGE_INDEX_MAX, 'uninterruptible');
    yield* this.recallLease(task, inode);
    yield* truncateEntriesFinal(task, m, inode);
    if (lab?.point()) yield STEP;
    upWrite(task, m.invalidateLock, inode);
    if (lab?.point()) yield STEP;
    upWrite(task, iolock, inode);
  }

  /** xfs_break_leased_layouts: waits until nobody has a layout lease of the file. */
  private *recallLease(task: Task, inode: number): Op<void> {
    if (lab?.point()) yield STEP;
    if (load(this.m.state.iLease, inode) === 0) return;
    yield* breakLease(task, this.m, inode);
    yield* endBreak(this.m, inode);
  }

  // Blocks

  /** The frame of the file's page; allocates its block. @throws Errno ENOSPC */
  private *frameOf(task: Task, inode: number): Op<number> {
    const { m } = this;
    const { extra, ino } = m.state;
    const at = this.fileWord(inode);
    yield* downWrite(task, m.iDataSem, MAPS);
    let block = read(extra, at) - 1;
    if (block < 0) {
      block = this.freeOne();
      if (block >= 0) {
        write(extra, FIRST_OWNER + block, ino[inode]);
        write(extra, at, block + 1);
      }
    }
    if (lab?.point()) yield STEP;
    upWrite(task, m.iDataSem, MAPS);
    if (block < 0) throw new Errno('ENOSPC', `none of ${String(this.g.blocks)} blocks is free`);
    return this.m.mediaFirst + block;
  }

  /** A block that nobody owns, or -1. The lock of the maps is held. */
  private freeOne(): number {
    for (let block = 0; block < this.g.blocks; block++) {
      if (read(this.m.state.extra, FIRST_OWNER + block) === 0) return block;
    }
    return -1;
  }

  private *freeBlock(task: Task, inode: number): Op<void> {
    const { m } = this;
    const { extra } = m.state;
    yield* downWrite(task, m.iDataSem, MAPS);
    const block = read(extra, this.fileWord(inode)) - 1;
    if (block >= 0) {
      write(extra, FIRST_OWNER + block, 0);
      write(extra, this.fileWord(inode), 0);
    }
    if (lab?.point()) yield STEP;
    upWrite(task, m.iDataSem, MAPS);
  }

  private fileWord(inode: number): number {
    return FIRST_OWNER + this.g.blocks + inode;
  }
}

/** What an inode is: fixed for its life. */
function isDirectory(m: Machine, inode: number): boolean {
  return m.state.iMode[inode] === DIRECTORY;
}
