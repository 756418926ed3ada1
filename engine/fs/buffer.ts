// The buffer cache: blocks of metadata in page frames, found through a shared hash (Linux: fs/buffer.c).
//
// A buffer is a number. Whoever has a reference may use it; whoever reads or changes its contents
// holds its mutex, also while it tells the journal of the change (dirtyMetadata), so that no half
// change is ever copied to the disk. Two mutexes of this class are never held at once.

import type { Op, Task } from '../sched/op.js';
import type { MetadataStore } from './metadata.js';

/**
 * The buffer of `block`, read if need be, with a reference that putBuffer() gives back.
 * @throws Errno EIO, ENOMEM (all buffers are in use)
 */
export declare function getBuffer(task: Task, v: MetadataStore, block: number): Op<number>;

/**
 * The buffer of a block that was just allocated: zeroed, not read.
 * @throws Errno ENOMEM
 */
export declare function getFreshBuffer(task: Task, v: MetadataStore, block: number): Op<number>;

/** Gives a reference back. */
export declare function putBuffer(task: Task, v: MetadataStore, b: number): Op<void>;

/** Takes the buffer's mutex. */
export declare function lockBuffer(task: Task, v: MetadataStore, b: number): Op<void>;

/** Releases the buffer's mutex. One step: put the step line before it. */
export declare function unlockBuffer(task: Task, v: MetadataStore, b: number): void;

/** Where the contents are: words[at .. at + pageBytes / 4]. Allocates; see bufferSegment(), bufferAt(). */
export declare function bufferWords(
  v: MetadataStore,
  b: number,
): { readonly words: Int32Array; readonly at: number };

/** The memory that the contents are in. */
export declare function bufferSegment(v: MetadataStore, b: number): Int32Array;

/** Where in bufferSegment() the contents start, in words. */
export declare function bufferAt(v: MetadataStore, b: number): number;

/**
 * Without a journal: writes all dirty buffers home and flushes the device.
 * @throws Errno EIO, ENOSPC
 */
export declare function syncMetadata(task: Task, v: MetadataStore): Op<void>;
