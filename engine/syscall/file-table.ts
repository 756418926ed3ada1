// The open files of one process: descriptors, access modes, file positions.

import { Errno } from '../sched/errors.js';
import { OPEN_FILES_MAX } from './limits.js';

/** O_* flags of open(2), numbered as in Linux on x86. */
export const O = {
  rdonly: 0,
  wronly: 1,
  rdwr: 2,
  accmode: 3,
  creat: 0o100,
  excl: 0o200,
  trunc: 0o1000,
  append: 0o2000,
  direct: 0o40000,
} as const;

const O_KNOWN = O.accmode | O.creat | O.excl | O.trunc | O.append | O.direct;

/** An open file; the table has a reference to its inode. */
export interface OpenFile {
  readonly inode: number;
  readonly flags: number;
  positionBytes: number;
  /** How far it has heard of failed writeback of its inode: Files.sampleErrors(). */
  errorSeen: number;
}

export function canRead(file: OpenFile): boolean {
  return (file.flags & O.accmode) !== O.wronly;
}

export function canWrite(file: OpenFile): boolean {
  return (file.flags & O.accmode) !== O.rdonly;
}

/** @throws Errno EINVAL */
export function checkOpenFlags(flags: number): void {
  if ((flags & ~O_KNOWN) !== 0 || (flags & O.accmode) === O.accmode) {
    throw new Errno(
      'EINVAL',
      `open flags 0${flags.toString(8)}: known are 0${O_KNOWN.toString(8)}`,
    );
  }
}

export class FileTable {
  private readonly files: (OpenFile | null)[] = [];

  get count(): number {
    return this.files.filter((file) => file !== null).length;
  }

  /** The lowest free descriptor. @throws Errno EMFILE */
  install(inode: number, flags: number, errorSeen: number): number {
    const free = this.files.indexOf(null);
    const fd = free >= 0 ? free : this.files.length;
    if (fd >= OPEN_FILES_MAX) {
      throw new Errno('EMFILE', `${String(OPEN_FILES_MAX)} files are open: close some first`);
    }
    this.files[fd] = { inode, flags, positionBytes: 0, errorSeen };
    return fd;
  }

  /** @throws Errno EBADF */
  get(fd: number): OpenFile {
    const file = this.files.at(fd) ?? null;
    if (file === null || fd < 0) {
      throw new Errno('EBADF', `${String(fd)} is no open file of this process`);
    }
    return file;
  }

  /** Frees the descriptor; the caller drops the inode's reference. @throws Errno EBADF */
  remove(fd: number): OpenFile {
    const file = this.get(fd);
    this.files[fd] = null;
    return file;
  }

  /** Frees the first open descriptor there is. */
  removeAny(): OpenFile | null {
    const fd = this.files.findIndex((file) => file !== null);
    return fd < 0 ? null : this.remove(fd);
  }
}
