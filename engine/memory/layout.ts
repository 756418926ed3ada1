// The layout of a machine's shared state: one SharedArrayBuffer, one typed array per field, carved
// in the order of carve() below. Every thread attaches the same arrays over the same buffer.
//
//   +--------+----------------+-------------+-----------+----------+------------+--------- - -
//   | global | struct page    | page tables | VMAs, mms | inodes   | xa_nodes   | lockdep, ...
//   | words  | one per field  | flat per mm |           | (slots)  | (pool)     |
//   +--------+----------------+-------------+-----------+----------+------------+--------- - -
//   each array starts on a cache line of 64 bytes
//
// Page frames lie outside (mapped memory), except in the lab, where everything that a run changes
// is in this one buffer, so that copying it back resets the machine.

import { FINDING_BYTES, FINDINGS_MAX } from '../finding.js';
import { InvariantError } from '../sched/errors.js';
import { LOCKDEP_WORDS } from '../sched/lockdep.js';

/** How large each table of a machine is. Fixed for its life. */
export interface Geometry {
  /** Bytes of a page frame and of a file-system block: 4096, or less in the lab. Power of two. */
  readonly pageBytes: number;
  /** Page frames. Frame 0 is never handed out (pfn 0 means none). At most 2^24 - 1. */
  readonly pages: number;
  /** TLB slots: tasks that may store through page tables at one time. */
  readonly cpus: number;
  /** Address spaces. */
  readonly mms: number;
  /** Virtual pages of each address space. */
  readonly mmPages: number;
  /** VMAs in all. */
  readonly vmas: number;
  /** Inode slots in memory. */
  readonly inodes: number;
  /** Nodes of the page-cache trees. */
  readonly nodes: number;
  /** Page frames inside the state buffer (the lab), not in mapped memory. */
  readonly framesInState: boolean;
  /** Words for devices, file systems and programs of the lab, carved by them. */
  readonly extraWords: number;
}

/** PTEs that one page-table lock covers, as in Linux with 4 KiB page tables. */
export const PTES_PER_TABLE = 512;

/** Slots of a page-cache tree node (XA_CHUNK_SIZE). */
export const NODE_SLOTS = 64;

/** Words of a page-cache tree node: slots, three marks of two words, count, shift, parent, offset. */
export const NODE_WORDS = NODE_SLOTS + 3 * 2 + 4;

/** Words of `global`. */
export const GLOBAL = {
  /** Not 0 once the machine has panicked. */
  panic: 0,
  /** Head of the list of free frames, its length, and the lock of both. */
  freeHead: 1,
  freeCount: 2,
  zoneLock: 3,
  /** vmstat nr_foll_pin_acquired, nr_foll_pin_released (modulo 2^32). */
  pinAcquired: 4,
  pinReleased: 5,
  /** vmstat nr_dirty, nr_writeback, nr_file_pages. */
  nrDirty: 6,
  nrWriteback: 7,
  nrFilePages: 8,
  /** Free list and lock of the page-cache tree nodes. */
  nodeFreeHead: 9,
  nodeFreeCount: 10,
  nodeLock: 11,
  /** Clock hand of reclaim; lock that admits one reclaimer. */
  reclaimHand: 12,
  /** Raised to wake the flusher and kswapd. */
  flusherBell: 13,
  kswapdBell: 14,
  /** Next task id. */
  nextTask: 15,
  /** Findings recorded so far, and the lock of their ring. */
  findings: 16,
  findingLock: 17,
  /** Lock of the table of VMAs and of the address spaces. */
  vmaLock: 18,
  /** Flusher threads that run, and the rounds they have made: writers that are held back sleep on it. */
  flushers: 19,
  flushRounds: 20,
  /** vmstat nr_written: pages whose writeback has ended (modulo 2^32). */
  nrWritten: 21,
  words: 32,
} as const;

/** Every array of a machine's shared state. Names are Linux's. */
export interface State {
  readonly global: Int32Array;

  // struct page, by pfn
  readonly flags: Int32Array;
  readonly refcount: Int32Array;
  readonly mapcount: Int32Array;
  /** 0: none (anonymous, free or truncated); else inode slot + 1. Changed under folio lock and i_pages. */
  readonly mapping: Int32Array;
  /** Page index in the file, or (anonymous) virtual page number. */
  readonly index: Int32Array;
  /** The file system's own word (folio->private): 0 none. Meaning is the file system's. */
  readonly private: Int32Array;
  /** Next free frame, while free. */
  readonly next: Int32Array;

  // address spaces
  /** PTEs of all mms: mm * mmPages + virtual page number. See mm/pte.ts. */
  readonly pte: Int32Array;
  /** Page-table locks: one per PTES_PER_TABLE PTEs of an mm. */
  readonly ptl: Int32Array;
  /** Entries in use of the PTEs that one lock covers. Under that lock. */
  readonly pteCount: Int32Array;
  readonly mmapLock: Int32Array;
  readonly writeProtectSeq: Int32Array;
  /** Users of the mm; 0: slot free. */
  readonly mmUsers: Int32Array;
  /** Pages registered with devices (mm->pinned_vm). */
  readonly mmLocked: Int32Array;
  /** First VMA of the mm (slot + 1). Under mmap_lock. */
  readonly mmMmap: Int32Array;
  /** What each CPU's TLB holds while it stores: PTE index + 1, or 0. */
  readonly tlb: Int32Array;

  // VMAs, by slot: changed under mmap_lock (write) of their mm and i_mmap_rwsem (write) of their inode
  /** mm + 1, or 0: free. */
  readonly vmaMm: Int32Array;
  readonly vmaStart: Int32Array;
  readonly vmaPages: Int32Array;
  /** Inode slot + 1, or 0: anonymous. */
  readonly vmaInode: Int32Array;
  readonly vmaPgoff: Int32Array;
  readonly vmaFlags: Int32Array;
  /** Next VMA of the same mm (slot + 1). Under mmap_lock. */
  readonly vmaNextInMm: Int32Array;
  /** Next VMA of the same inode's i_mmap (slot + 1). Under i_mmap_rwsem. */
  readonly vmaNextInFile: Int32Array;

  // inodes in memory, by slot
  /** Inode number on disk; 0: slot free. */
  readonly ino: Int32Array;
  /** References (i_count). */
  readonly iCount: Int32Array;
  readonly iNlink: Int32Array;
  readonly iMode: Int32Array;
  /** The layout lease of the inode: mm/lease.ts. */
  readonly iLease: Int32Array;
  /** I_* state bits and the file system's own. */
  readonly iState: Int32Array;
  /** i_size in bytes. */
  readonly iSize: BigInt64Array;
  readonly iRwsem: Int32Array;
  readonly invalidateLock: Int32Array;
  readonly iMmapRwsem: Int32Array;
  /** First VMA (slot + 1) that maps the inode. Under i_mmap_rwsem. */
  readonly iMmap: Int32Array;
  readonly iPagesLock: Int32Array;
  /** Two words each: root node of the page-cache tree (node + 1), its height. Under i_pages. */
  readonly iPagesRoot: Int32Array;
  /** Pages in the tree. Under i_pages. */
  readonly nrPages: Int32Array;
  readonly iDataSem: Int32Array;
  readonly iLock: Int32Array;
  /** INODE_PRIVATE_WORDS words for the file system. */
  readonly iPrivate: Int32Array;

  // page-cache tree nodes
  readonly node: Int32Array;

  readonly lockdep: Int32Array;
  readonly finding: Uint8Array;
  readonly extra: Int32Array;
  /** Page frames, if they are inside; else empty. */
  readonly frames: Uint8Array;
}

/** Words of an inode slot that are the file system's own. */
export const INODE_PRIVATE_WORDS = 16;

/** Takes `count` elements of shared state. */
interface Carver {
  words(count: number): Int32Array;
  longs(count: number): BigInt64Array;
  bytes(count: number): Uint8Array;
}

function carve(g: Geometry, take: Carver): State {
  const tables = g.mms * Math.ceil(g.mmPages / PTES_PER_TABLE);
  return {
    global: take.words(GLOBAL.words),
    flags: take.words(g.pages),
    refcount: take.words(g.pages),
    mapcount: take.words(g.pages),
    mapping: take.words(g.pages),
    index: take.words(g.pages),
    private: take.words(g.pages),
    next: take.words(g.pages),
    pte: take.words(g.mms * g.mmPages),
    ptl: take.words(tables),
    pteCount: take.words(tables),
    mmapLock: take.words(g.mms),
    writeProtectSeq: take.words(g.mms),
    mmUsers: take.words(g.mms),
    mmLocked: take.words(g.mms),
    mmMmap: take.words(g.mms),
    tlb: take.words(g.cpus),
    vmaMm: take.words(g.vmas),
    vmaStart: take.words(g.vmas),
    vmaPages: take.words(g.vmas),
    vmaInode: take.words(g.vmas),
    vmaPgoff: take.words(g.vmas),
    vmaFlags: take.words(g.vmas),
    vmaNextInMm: take.words(g.vmas),
    vmaNextInFile: take.words(g.vmas),
    ino: take.words(g.inodes),
    iCount: take.words(g.inodes),
    iNlink: take.words(g.inodes),
    iMode: take.words(g.inodes),
    iLease: take.words(g.inodes),
    iState: take.words(g.inodes),
    iSize: take.longs(g.inodes),
    iRwsem: take.words(g.inodes),
    invalidateLock: take.words(g.inodes),
    iMmapRwsem: take.words(g.inodes),
    iMmap: take.words(g.inodes),
    iPagesLock: take.words(g.inodes),
    iPagesRoot: take.words(g.inodes * 2),
    nrPages: take.words(g.inodes),
    iDataSem: take.words(g.inodes),
    iLock: take.words(g.inodes),
    iPrivate: take.words(g.inodes * INODE_PRIVATE_WORDS),
    node: take.words(g.nodes * NODE_WORDS),
    lockdep: take.words(LOCKDEP_WORDS),
    finding: take.bytes(g.framesInState ? 0 : FINDINGS_MAX * FINDING_BYTES),
    extra: take.words(g.extraWords),
    frames: take.bytes(g.framesInState ? g.pages * g.pageBytes : 0),
  };
}

const LINE = 64;

function lineUp(bytes: number): number {
  return Math.ceil(bytes / LINE) * LINE;
}

/** Bytes of shared state that a machine of this geometry takes. */
export function stateBytes(geometry: Geometry): number {
  let total = 0;
  const words = new Int32Array(0);
  const longs = new BigInt64Array(0);
  const bytes = new Uint8Array(0);
  carve(geometry, {
    words: (count) => {
      total += lineUp(count * 4);
      return words;
    },
    longs: (count) => {
      total += lineUp(count * 8);
      return longs;
    },
    bytes: (count) => {
      total += lineUp(count);
      return bytes;
    },
  });
  return total;
}

/** The arrays of a machine over its buffer of stateBytes() bytes. */
export function attachState(geometry: Geometry, buffer: SharedArrayBuffer): State {
  let at = 0;
  const advance = (bytes: number): number => {
    const offset = at;
    at += lineUp(bytes);
    if (at > buffer.byteLength)
      throw new InvariantError('state buffer is smaller than its geometry');
    return offset;
  };
  return carve(geometry, {
    words: (count) => new Int32Array(buffer, advance(count * 4), count),
    longs: (count) => new BigInt64Array(buffer, advance(count * 8), count),
    bytes: (count) => new Uint8Array(buffer, advance(count), count),
  });
}

/**
 * What the starting thread handed over to this worker (workerData). Both ends are code of one
 * version in one process, so its type is taken on trust, here and nowhere else.
 */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the caller names it
export function handedOver<T>(data: unknown): T {
  return data as T;
}
