// Opening a volume's journal: replays what a crash left, and readies the shared words of cache and journal.

import type { Op, Task } from '../sched/op.js';
import type { MetadataStore } from './metadata.js';

/** What a recovery did. */
export interface Recovery {
  /** Transactions replayed; 0 after a clean unmount. */
  readonly transactions: number;
  /** Blocks written home. */
  readonly blocks: number;
  /** Copies left out because the block was freed later. */
  readonly revoked: number;
}

/**
 * Fills the first journal block of a new volume (mkfs writes it at journalStart; the rest needs no writing).
 * @param words one block, zeroed
 * @param generation a random number, so that a journal left by an older volume is not taken for this one's
 */
export declare function formatJournal(
  words: Int32Array,
  journalBlocks: number,
  generation: number,
): void;

/**
 * First thing of a mount, on one thread: replays the journal if there is one, and readies the shared words.
 * @throws Errno EUCLEAN (the journal is damaged), EIO, ENOMEM
 */
export declare function openMetadata(task: Task, v: MetadataStore): Op<Recovery>;

/** Last thing of an unmount: checkpoint(), then gives the frames back. */
export declare function closeMetadata(task: Task, v: MetadataStore): Op<void>;

/**
 * Replays a journal offline (fsck), on a descriptor that this thread may block on.
 * @throws Errno EUCLEAN, EIO
 */
export declare function replayJournal(
  fd: number,
  blockBytes: number,
  journalStart: number,
  journalBlocks: number,
): Recovery;
