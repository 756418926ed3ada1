// The lock validator: records which lock class was taken while which was held, and reports the
// first cycle even when nothing hung (Linux: kernel/locking/lockdep.c; rules in kernel.md 4.12).
//
// The graph is a matrix of bits in the machine's shared state, so that a cycle closed by two
// threads is seen, and so that the lab's reset of that state also resets the graph:
//
//   edges[from * 2 .. from * 2 + 1]   bit c of the 64: class c was acquired while `from` was held

import { InvariantError } from './errors.js';
import { LOCK_DEPTH_MAX, type Task } from './op.js';

/** Lock classes, outermost first: one per role of a lock, not per lock (kernel.md 4.12). */
export const LOCK_CLASSES = [
  'i_rwsem(dir)',
  'inode_evict',
  'i_rwsem',
  'mmap_lock',
  's_umount',
  'sb_pagefaults',
  'invalidate_lock',
  'journal_checkpoint',
  'journal_commit',
  'journal',
  'folio',
  'i_data_sem',
  'alloc_sem',
  'inode_bitmap',
  'xattr_sem',
  'buffer',
  'buffer_write',
  'i_mmap_rwsem',
  'anon_vma',
  'ptl',
  'i_private_lock',
  'i_lock',
  'inode_hash',
  'wb_list_lock',
  'i_pages',
  'zone',
  'node_pool',
  'buffer_state',
  'queue',
  'fs_reclaim',
  'page_idle',
] as const;

export type LockClassName = (typeof LOCK_CLASSES)[number];

/** Room in the shared matrix. */
export const LOCK_CLASSES_MAX = 64;

/** Words of shared state that the graph takes. */
export const LOCKDEP_WORDS = LOCK_CLASSES_MAX * 2;

/** The number of a lock class. */
export function lockClass(name: LockClassName): number {
  return LOCK_CLASSES.indexOf(name);
}

/** One machine's lock validator, over its shared matrix. */
export class Lockdep {
  /**
   * @param edges LOCKDEP_WORDS words of shared state
   * @param report called once per new edge that closes a cycle, with the cycle's class names
   */
  constructor(
    private readonly edges: Int32Array,
    private readonly report: (task: Task, cycle: LockClassName[]) => void,
  ) {}

  /** The task is about to take a lock of class `cls` (before it may sleep for it). */
  acquire(task: Task, cls: number): void {
    for (let i = 0; i < task.heldDepth; i++) {
      const from = task.held[i];
      const word = from * 2 + (cls >>> 5);
      const bit = 1 << (cls & 31);
      if ((Atomics.load(this.edges, word) & bit) === 0) this.newEdge(task, from, cls, word, bit);
    }
    this.acquired(task, cls);
  }

  /** The task has got a lock of class `cls` by trying: that can't deadlock, so no order follows from it. */
  acquired(task: Task, cls: number): void {
    const depth = task.heldDepth;
    if (depth >= LOCK_DEPTH_MAX) {
      throw new InvariantError(`${task.name} holds ${String(depth)} locks: one is never released`);
    }
    task.held[depth] = cls;
    task.heldDepth = depth + 1;
  }

  /** The task releases a lock of class `cls`, not necessarily the one taken last. */
  release(task: Task, cls: number): void {
    let i = task.heldDepth - 1;
    while (i >= 0 && task.held[i] !== cls) i--;
    if (i < 0) {
      throw new InvariantError(
        `${task.name} releases ${LOCK_CLASSES[cls]}, which it does not hold`,
      );
    }
    task.held.copyWithin(i, i + 1, task.heldDepth);
    task.heldDepth--;
  }

  /** Does the task hold a lock of this class? */
  holds(task: Task, cls: number): boolean {
    for (let i = 0; i < task.heldDepth; i++) if (task.held[i] === cls) return true;
    return false;
  }

  private newEdge(task: Task, from: number, to: number, word: number, bit: number): void {
    if ((Atomics.or(this.edges, word, bit) & bit) !== 0) return;
    if (this.reaches(to, from)) this.report(task, this.path(to, from));
  }

  /** Does a path of edges lead from class `from` to class `to`? Sets of classes as two words of bits. */
  private reaches(from: number, to: number): boolean {
    let foundLow = from < 32 ? 1 << from : 0;
    let foundHigh = from < 32 ? 0 : 1 << (from & 31);
    let todoLow = foundLow;
    let todoHigh = foundHigh;
    while ((todoLow | todoHigh) !== 0) {
      const node =
        todoLow !== 0 ? 31 - Math.clz32(todoLow & -todoLow) : 63 - Math.clz32(todoHigh & -todoHigh);
      if (node < 32) todoLow &= todoLow - 1;
      else todoHigh &= todoHigh - 1;
      const low = Atomics.load(this.edges, node * 2) & ~foundLow;
      const high = Atomics.load(this.edges, node * 2 + 1) & ~foundHigh;
      foundLow |= low;
      foundHigh |= high;
      todoLow |= low;
      todoHigh |= high;
    }
    return ((to < 32 ? foundLow : foundHigh) & (1 << (to & 31))) !== 0;
  }

  /** The path of edges from class `from` to class `to`, which reaches() found (a cycle, with the new edge). */
  private path(from: number, to: number): LockClassName[] {
    const previous = new Int32Array(LOCK_CLASSES_MAX).fill(-1);
    const queue = [from];
    previous[from] = from;
    for (const node of queue) {
      if (node === to) {
        const names: LockClassName[] = [];
        for (let at = to; ; at = previous[at]) {
          names.unshift(LOCK_CLASSES[at]);
          if (at === from) return names;
        }
      }
      for (let next = 0; next < LOCK_CLASSES.length; next++) {
        const bits = Atomics.load(this.edges, node * 2 + (next >>> 5));
        if ((bits & (1 << (next & 31))) !== 0 && previous[next] < 0) {
          previous[next] = node;
          queue.push(next);
        }
      }
    }
    throw new InvariantError('lockdep edges are never taken away');
  }
}
