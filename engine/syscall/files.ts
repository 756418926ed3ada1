// What system calls ask of a mounted volume. An inode is a slot in memory, to which the caller has a
// reference; names are single components of a path.

import type { Op, Task } from '../sched/op.js';

export interface Files {
  /** Inode number of the root directory. */
  readonly rootIno: number;

  /** The slot of an inode, with a reference. @throws Errno ENOENT, ENFILE, EIO */
  iget(task: Task, ino: number): Op<number>;
  /** Drops a reference. No locks held. */
  iput(task: Task, inode: number): Op<void>;
  /** One more reference to an inode that the caller has one to. One step. */
  ihold(inode: number): void;

  /** The inode of a name, with a reference. @throws Errno ENOENT, ENOTDIR, EIO */
  lookup(task: Task, dir: number, name: string): Op<number>;
  /** A new file, with a reference. @throws Errno EEXIST, ENOTDIR, ENOSPC, EIO */
  create(task: Task, dir: number, name: string, mode: number): Op<number>;
  /** @throws Errno ENOENT, EISDIR, EIO */
  unlink(task: Task, dir: number, name: string): Op<void>;
  /** @throws Errno EINVAL (no symbolic link), EIO */
  readlink(task: Task, inode: number): Op<string>;

  /** Buffered read. @returns bytes read. @throws Errno EIO, ENOMEM */
  readFile(task: Task, inode: number, offsetBytes: number, target: Uint8Array): Op<number>;
  /** Buffered write. @returns bytes written. @throws Errno ENOSPC, EFBIG, EIO, ENOMEM */
  writeFile(task: Task, inode: number, offsetBytes: number, data: Uint8Array): Op<number>;
  /** @throws Errno EFBIG, EIO */
  truncate(task: Task, inode: number, sizeBytes: number): Op<void>;
  /** @throws Errno EIO, ENOSPC */
  punchHole(task: Task, inode: number, offsetBytes: number, lengthBytes: number): Op<void>;
  /**
   * @param opened the open file that asks; without one, errors count that nobody has heard of
   * @throws Errno EIO, ENOSPC: also of background writeback, once per open file
   */
  fsync(task: Task, inode: number, opened?: { errorSeen: number }): Op<void>;
  /** What a file that is opened now has heard of its errors: OpenFile.errorSeen. */
  sampleErrors(inode: number): Op<number>;

  /** Whole pages from the file into frames, past the page cache. @throws Errno EIO */
  directRead(
    task: Task,
    inode: number,
    offsetBytes: number,
    pfns: Int32Array,
    count: number,
  ): Op<void>;
  /** Whole pages from frames into the file, past the page cache. @throws Errno ENOSPC, EIO */
  directWrite(
    task: Task,
    inode: number,
    offsetBytes: number,
    pfns: Int32Array,
    count: number,
  ): Op<void>;
}
