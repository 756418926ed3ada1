// Two file systems mounted at once: each hook goes to the one that the inode belongs to.

import type { DaxOperations, FileSystem, SyncMode } from '../mm/address-space.js';
import { InvariantError } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';

export class Mounts implements FileSystem {
  readonly dax: DaxOperations = {
    isDax: (inode) => this.of(inode).dax?.isDax(inode) === true,
    frameOf: (task, inode, index) => this.daxOf(inode).frameOf(task, inode, index),
  };
  readonly stableWrites: boolean;

  /** @param firstOfB inode slots below belong to `a`, the others to `b` */
  constructor(
    readonly a: FileSystem,
    readonly b: FileSystem,
    private readonly firstOfB: number,
  ) {
    this.stableWrites = a.stableWrites || b.stableWrites;
  }

  nameOfExtra(word: number): string | null {
    return this.a.nameOfExtra?.(word) ?? this.b.nameOfExtra?.(word) ?? null;
  }

  needsBeforeMkwrite(inode: number): boolean {
    return this.of(inode).needsBeforeMkwrite(inode);
  }

  beforeMkwrite(task: Task, inode: number): Op<void> {
    return this.of(inode).beforeMkwrite(task, inode);
  }

  readFolio(task: Task, inode: number, index: number, pfn: number): Op<void> {
    return this.of(inode).readFolio(task, inode, index, pfn);
  }

  prepareWrite(task: Task, inode: number, index: number, pfn: number): Op<void> {
    return this.of(inode).prepareWrite(task, inode, index, pfn);
  }

  dirtyPages(task: Task, inode: number): Op<void> {
    return this.of(inode).dirtyPages(task, inode);
  }

  releaseFolio(task: Task, inode: number, pfn: number): Op<boolean> {
    return this.of(inode).releaseFolio(task, inode, pfn);
  }

  invalidateFolio(task: Task, inode: number, pfn: number): Op<void> {
    return this.of(inode).invalidateFolio(task, inode, pfn);
  }

  writepages(task: Task, inode: number, mode: SyncMode, from: number, to: number): Op<number> {
    return this.of(inode).writepages(task, inode, mode, from, to);
  }

  grabInode(task: Task, inode: number): Op<boolean> {
    return this.of(inode).grabInode(task, inode);
  }

  putInode(task: Task, inode: number): Op<void> {
    return this.of(inode).putInode(task, inode);
  }

  *background(task: Task): Op<void> {
    yield* this.a.background(task);
    yield* this.b.background(task);
  }

  private of(inode: number): FileSystem {
    return inode < this.firstOfB ? this.a : this.b;
  }

  private daxOf(inode: number): DaxOperations {
    const { dax } = this.of(inode);
    if (dax === null) throw new InvariantError(`inode ${String(inode)} is of no DAX file system`);
    return dax;
  }
}
