// The metadata journal: handles, and the transactions that they join (Linux: fs/jbd2).
//
// A handle promises how many blocks it may change (credits). All handles that are open at one time
// belong to one transaction, which becomes durable as a whole. Rules for users:
//   - change a buffer and call dirtyMetadata() under its mutex, inside a handle
//   - a block freed in transaction T is not used again until committedTid() has reached T
//   - start handles outside the folio lock, never inside another handle; don't wait for a commit in one

import type { Op, Task } from '../sched/op.js';
import type { MetadataStore } from './metadata.js';

/** An open part of a transaction. Belongs to one task. */
export interface Handle {
  /** The transaction; 0 on a volume without a journal. */
  tid: number;
  /** Blocks it may still add to the transaction. */
  credits: number;
}

/**
 * Joins the running transaction with up to `credits` blocks; may wait for a commit to make room.
 * @throws Errno EIO (the journal was stopped by an error)
 */
export declare function startHandle(task: Task, v: MetadataStore, credits: number): Op<Handle>;

/** Asks for more credits; false if the transaction has no room: then restartHandle() at a consistent point. */
export declare function extendHandle(
  task: Task,
  v: MetadataStore,
  handle: Handle,
  credits: number,
): Op<boolean>;

/** Ends the handle and starts it again, perhaps in a later transaction. What was done so far may become durable alone. */
export declare function restartHandle(
  task: Task,
  v: MetadataStore,
  handle: Handle,
  credits: number,
): Op<void>;

/**
 * The buffer changes in this handle's transaction (or, without a journal, is dirty). Call it under
 * the buffer's mutex, before or after the change.
 */
export declare function dirtyMetadata(
  task: Task,
  v: MetadataStore,
  handle: Handle,
  b: number,
): Op<void>;

/**
 * The metadata block was freed in this handle (a revoke record): no older copy of it will ever be
 * written over what the block is used for next. Costs one credit. The caller holds no buffer's mutex.
 */
export declare function forgetMetadata(
  task: Task,
  v: MetadataStore,
  handle: Handle,
  block: number,
): Op<void>;

/** Ends the handle. Its changes become durable with its transaction. */
export declare function stopHandle(task: Task, v: MetadataStore, handle: Handle): Op<void>;

/**
 * Returns when transaction `tid` is durable, committing it if nobody else does. All that wait share a commit.
 * @throws Errno EIO, ENOSPC
 */
export declare function commitTransaction(task: Task, v: MetadataStore, tid: number): Op<void>;

/** The transaction that a change made now would belong to. One step. */
export declare function currentTid(v: MetadataStore): number;

/** The last durable transaction. One step. Compare with tidAtLeast(). */
export declare function committedTid(v: MetadataStore): number;

/** Is transaction `a` the same as or later than `b`? Tids wrap around. */
export declare function tidAtLeast(a: number, b: number): boolean;

/** Commits, writes all buffers home and empties the journal. Without a journal: syncMetadata(). */
export declare function checkpoint(task: Task, v: MetadataStore): Op<void>;
