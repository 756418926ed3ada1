// Names and buffered I/O over MemoryFs: one flat root directory. The least that system calls need.

import { S_IF } from '../../engine/fs/layout.js';
import { loadLong, storeLong } from '../../engine/memory/long.js';
import { putFolio } from '../../engine/mm/alloc.js';
import { balanceDirty } from '../../engine/mm/balance.js';
import { loadBytes, storeBytes } from '../../engine/mm/content.js';
import { markDirty } from '../../engine/mm/dirty.js';
import { readFolio } from '../../engine/mm/filemap.js';
import { unlockFolio } from '../../engine/mm/folio.js';
import { invalidateRange, truncatePages, unmapRange } from '../../engine/mm/truncate.js';
import { attachBuffers } from '../../engine/mm/writeback.js';
import { Errno } from '../../engine/sched/errors.js';
import { downWrite, upWrite } from '../../engine/sched/lock.js';
import type { Op, Task } from '../../engine/sched/op.js';
import type { Files } from '../../engine/syscall/files.js';
import { PAGE, type Rig } from './mm-machine.js';

const ROOT = 0;

export class MemoryFiles implements Files {
  readonly rootIno = 1;
  /** Name to inode slot. */
  readonly names = new Map<string, number>();
  readonly links = new Map<number, string>();

  constructor(private readonly r: Rig) {
    const { state } = r.m;
    state.ino[ROOT] = 1;
    state.iMode[ROOT] = S_IF.dir | 0o755;
    state.iCount[ROOT] = 1;
  }

  *iget(): Op<number> {
    this.ihold(ROOT);
    return ROOT;
  }

  *iput(_task: Task, inode: number): Op<void> {
    Atomics.sub(this.r.m.state.iCount, inode, 1);
  }

  ihold(inode: number): void {
    Atomics.add(this.r.m.state.iCount, inode, 1);
  }

  *lookup(_task: Task, _dir: number, name: string): Op<number> {
    const inode = this.names.get(name);
    if (inode === undefined) throw new Errno('ENOENT', name);
    this.ihold(inode);
    return inode;
  }

  *create(_task: Task, _dir: number, name: string, mode: number): Op<number> {
    if (this.names.has(name)) throw new Errno('EEXIST', name);
    const { state } = this.r.m;
    const inode = state.ino.indexOf(0);
    if (inode < 0) throw new Errno('ENOSPC', 'no inode');
    state.ino[inode] = inode + 1;
    state.iMode[inode] = mode;
    state.iCount[inode] = 1;
    this.names.set(name, inode);
    return inode;
  }

  *unlink(_task: Task, _dir: number, name: string): Op<void> {
    this.names.delete(name);
  }

  *readlink(_task: Task, inode: number): Op<string> {
    return this.links.get(inode) ?? '';
  }

  *readFile(task: Task, inode: number, offset: number, target: Uint8Array): Op<number> {
    const { m } = this.r;
    const left = Math.max(0, loadLong(m.state.iSize, inode) - offset);
    const length = Math.min(target.byteLength, left);
    for (let done = 0; done < length; ) {
      const within = (offset + done) % PAGE;
      const part = target.subarray(done, Math.min(length, done + PAGE - within));
      const pfn = yield* readFolio(task, m, inode, Math.floor((offset + done) / PAGE));
      unlockFolio(task, m, pfn);
      yield* loadBytes(m, pfn, within, part);
      yield* putFolio(task, m, pfn);
      done += part.byteLength;
    }
    return length;
  }

  *writeFile(task: Task, inode: number, offset: number, data: Uint8Array): Op<number> {
    const { m } = this.r;
    yield* downWrite(task, m.iRwsem, inode);
    for (let done = 0; done < data.byteLength; ) {
      yield* balanceDirty(task, m);
      const within = (offset + done) % PAGE;
      const part = data.subarray(done, Math.min(data.byteLength, done + PAGE - within));
      const pfn = yield* readFolio(task, m, inode, Math.floor((offset + done) / PAGE));
      yield* attachBuffers(m, pfn);
      yield* storeBytes(m, pfn, within, part);
      yield* markDirty(task, m, pfn);
      unlockFolio(task, m, pfn);
      yield* putFolio(task, m, pfn);
      done += part.byteLength;
      const size = Math.max(loadLong(m.state.iSize, inode), offset + done);
      storeLong(m.state.iSize, inode, size);
    }
    upWrite(task, m.iRwsem, inode);
    return data.byteLength;
  }

  *truncate(task: Task, inode: number, sizeBytes: number): Op<void> {
    const { m } = this.r;
    yield* downWrite(task, m.iRwsem, inode);
    yield* downWrite(task, m.invalidateLock, inode);
    storeLong(m.state.iSize, inode, sizeBytes);
    yield* unmapRange(task, m, inode, Math.ceil(sizeBytes / PAGE), 2 ** 30 - 1);
    yield* truncatePages(task, m, inode, Math.ceil(sizeBytes / PAGE), 2 ** 30 - 1);
    upWrite(task, m.invalidateLock, inode);
    upWrite(task, m.iRwsem, inode);
  }

  *punchHole(task: Task, inode: number, offset: number, length: number): Op<void> {
    const { m } = this.r;
    yield* downWrite(task, m.invalidateLock, inode);
    const from = Math.ceil(offset / PAGE);
    const to = Math.floor((offset + length) / PAGE) - 1;
    yield* truncatePages(task, m, inode, from, to);
    for (let index = from; index <= to; index++) this.r.fs.block(inode, index).fill(0);
    upWrite(task, m.invalidateLock, inode);
  }

  *sampleErrors(): Op<number> {
    return 0;
  }

  *fsync(task: Task, inode: number): Op<void> {
    yield* this.r.fs.writepages(task, inode, 'all', 0, 2 ** 30 - 1);
  }

  *directRead(task: Task, inode: number, at: number, pfns: Int32Array, count: number): Op<void> {
    yield* this.fsync(task, inode);
    const { frames } = this.r.m;
    for (let i = 0; i < count; i++) {
      frames.view(pfns[i]).set(this.r.fs.block(inode, at / PAGE + i));
    }
  }

  *directWrite(task: Task, inode: number, at: number, pfns: Int32Array, count: number): Op<void> {
    const { m, fs } = this.r;
    yield* this.fsync(task, inode);
    yield* invalidateRange(task, m, inode, at / PAGE, at / PAGE + count - 1);
    for (let i = 0; i < count; i++) {
      fs.block(inode, at / PAGE + i).set(m.frames.view(pfns[i]));
    }
    const size = Math.max(loadLong(m.state.iSize, inode), at + count * PAGE);
    storeLong(m.state.iSize, inode, size);
    yield* invalidateRange(task, m, inode, at / PAGE, at / PAGE + count - 1);
  }
}
