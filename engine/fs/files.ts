// The file system as system calls ask for it (syscall/files.ts): operations on one volume.

import type { Op, Task } from '../sched/op.js';
import type { Files } from '../syscall/files.js';
import { directRead, directWrite } from './direct.js';
import { type ErrorCursor, sampleErrors } from './errseq.js';
import { fsync, readFile, writeFile } from './file.js';
import { iget, ihold, iput } from './inode.js';
import { ROOT_INO } from './layout.js';
import { create, lookup, readlink, unlink } from './names.js';
import { punchHole, truncate } from './truncate.js';
import type { Volume } from './volume.js';

export class VolumeFiles implements Files {
  readonly rootIno = ROOT_INO;

  constructor(private readonly v: Volume) {}

  iget(task: Task, ino: number): Op<number> {
    return iget(task, this.v, ino);
  }

  iput(task: Task, inode: number): Op<void> {
    return iput(task, this.v, inode);
  }

  ihold(inode: number): void {
    ihold(this.v, inode);
  }

  lookup(task: Task, dir: number, name: string): Op<number> {
    return lookup(task, this.v, dir, name);
  }

  create(task: Task, dir: number, name: string, mode: number): Op<number> {
    return create(task, this.v, dir, name, mode);
  }

  unlink(task: Task, dir: number, name: string): Op<void> {
    return unlink(task, this.v, dir, name);
  }

  readlink(task: Task, inode: number): Op<string> {
    return readlink(task, this.v, inode);
  }

  readFile(task: Task, inode: number, offsetBytes: number, target: Uint8Array): Op<number> {
    return readFile(task, this.v, inode, offsetBytes, target);
  }

  writeFile(task: Task, inode: number, offsetBytes: number, data: Uint8Array): Op<number> {
    return writeFile(task, this.v, inode, offsetBytes, data);
  }

  truncate(task: Task, inode: number, sizeBytes: number): Op<void> {
    return truncate(task, this.v, inode, sizeBytes);
  }

  punchHole(task: Task, inode: number, offsetBytes: number, lengthBytes: number): Op<void> {
    return punchHole(task, this.v, inode, offsetBytes, lengthBytes);
  }

  fsync(task: Task, inode: number, opened?: ErrorCursor): Op<void> {
    return fsync(task, this.v, inode, opened);
  }

  sampleErrors(inode: number): Op<number> {
    return sampleErrors(this.v, inode);
  }

  directRead(
    task: Task,
    inode: number,
    offsetBytes: number,
    pfns: Int32Array,
    count: number,
  ): Op<void> {
    return directRead(task, this.v, inode, offsetBytes, pfns, count);
  }

  directWrite(
    task: Task,
    inode: number,
    offsetBytes: number,
    pfns: Int32Array,
    count: number,
  ): Op<void> {
    return directWrite(task, this.v, inode, offsetBytes, pfns, count);
  }
}
