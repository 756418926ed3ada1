// Opening and closing the metadata of a volume: replays the journal, readies the shared words of
// cache and journal, and in the end empties both.

import { fdatasync, preadInto, pwriteFrom } from '../../native/index.js';
import { FLUSH } from '../block/request.js';
import { load } from '../memory/word.js';
import { allocPage, putFolio } from '../mm/alloc.js';
import { Errno, InvariantError } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { checkpoint } from './journal-checkpoint.js';
import { fillJournalSuperblock } from './journal-format.js';
import { type JournalIo, type Recovery, recoverJournal } from './journal-replay.js';
import { BUFFER, META, type MetadataStore } from './metadata.js';

export type { Recovery } from './journal-replay.js';

/** A journal must let a transaction hold this many blocks. */
const TRANSACTION_BLOCKS_MIN = 8;

/**
 * Fills the first journal block of a new volume (mkfs writes it at journalStart; the other blocks
 * should be allocated on the host, and need no contents).
 * @param words one block
 * @param generation a random number, so that a journal left by an older volume is not taken for this one's
 */
export function formatJournal(words: Int32Array, journalBlocks: number, generation: number): void {
  fillJournalSuperblock(words, journalBlocks, generation, 1, 1);
}

/**
 * First thing of a mount, on one thread: replays the journal if there is one, and readies the
 * shared words.
 * @throws Errno EUCLEAN (the journal is damaged), EINVAL (too small), EIO, ENOMEM
 */
export function* openMetadata(task: Task, v: MetadataStore): Op<Recovery> {
  const { meta } = v;
  if (meta.journal && meta.transactionBlocks < TRANSACTION_BLOCKS_MIN) {
    const sizes = `${String(meta.config.journalBlocks)} blocks of journal, ${String(meta.buffers)} buffers`;
    throw new Errno(
      'EINVAL',
      `${sizes}: too few; mount with more buffers, or make a larger journal`,
    );
  }
  for (const words of [meta.head, meta.hash, meta.buffer, meta.mutex.words]) words.fill(0);
  meta.bounce.fill(0);
  meta.logFrames.fill(0);
  try {
    yield* takeFrames(task, v, meta.bounce);
    yield* takeFrames(task, v, meta.logFrames);
    if (!meta.journal) return { transactions: 0, blocks: 0, revoked: 0 };
    const journal = yield* recoverJournal(queueIo(task, v), meta.config);
    const { head } = meta;
    head[META.generation] = journal.generation;
    head[META.logHead] = journal.head;
    head[META.logTail] = journal.head;
    head[META.tailTid] = journal.nextTid;
    head[META.currentTid] = journal.nextTid;
    head[META.committedTid] = (journal.nextTid - 1) | 0;
    return journal;
  } catch (error) {
    yield* releaseFrames(task, v);
    throw error;
  }
}

/**
 * Last thing of an unmount, when no other task uses the volume: checkpoint(), then gives the frames
 * back, also if that fails.
 * @throws Errno EIO, ENOSPC
 */
export function* closeMetadata(task: Task, v: MetadataStore): Op<void> {
  try {
    if (lab?.point()) yield STEP;
    const aborted = load(v.meta.head, META.aborted);
    if (aborted !== 0) {
      throw new Errno('EIO', 'the journal was stopped by an error: mount again to recover');
    }
    yield* checkpoint(task, v);
    checkUnused(v);
  } finally {
    yield* releaseFrames(task, v);
  }
}

/**
 * Replays a journal offline (fsck), on a descriptor that this thread may block on.
 * @throws Errno EUCLEAN, NativeError
 */
export function replayJournal(
  fd: number,
  blockBytes: number,
  journalStart: number,
  journalBlocks: number,
): Recovery {
  const replay = recoverJournal(descriptorIo(fd, blockBytes), { journalStart, journalBlocks });
  const result = replay.next();
  if (result.done !== true) throw new InvariantError('an offline replay has nobody to wait for');
  return result.value;
}

/** Through the block queue, by way of the frames that are kept for writes home. */
function queueIo(task: Task, v: MetadataStore): JournalIo {
  const { m, queue, meta } = v;
  const pageWords = m.geometry.pageBytes >>> 2;
  const frame = meta.bounce.subarray(0, 1);
  return {
    pageWords,
    *read(block, count, into) {
      for (let done = 0; done < count; ) {
        const some = Math.min(count - done, meta.bounce.length);
        const frames = meta.bounce;
        yield* queue.transfer(task, {
          op: 'read',
          block: block + done,
          frames,
          count: some,
          fua: false,
        });
        for (let i = 0; i < some; i++) {
          const at = m.frames.wordOffset(frames[i]);
          into.set(
            m.frames.wordSegment(frames[i]).subarray(at, at + pageWords),
            (done + i) * pageWords,
          );
        }
        done += some;
      }
    },
    *write(block, words) {
      m.frames.wordSegment(frame[0]).set(words, m.frames.wordOffset(frame[0]));
      yield* queue.transfer(task, { op: 'write', block, frames: frame, count: 1, fua: false });
    },
    *flush() {
      yield* queue.transfer(task, FLUSH);
    },
  };
}

function descriptorIo(fd: number, blockBytes: number): JournalIo {
  return {
    pageWords: blockBytes >>> 2,
    *read(block, count, into) {
      const view = new Uint8Array(into.buffer, into.byteOffset, count * blockBytes);
      if (preadInto(fd, view, block * blockBytes) < view.byteLength) {
        throw new Errno('EUCLEAN', `the volume ends before block ${String(block + count)}`);
      }
    },
    *write(block, words) {
      const view = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
      pwriteFrom(fd, view, block * blockBytes);
    },
    *flush() {
      fdatasync(fd);
    },
  };
}

function* takeFrames(task: Task, v: MetadataStore, into: Int32Array): Op<void> {
  for (let i = 0; i < into.length; i++) {
    const pfn = yield* allocPage(task, v.m);
    if (pfn === 0) {
      throw new Errno(
        'ENOMEM',
        `mounting takes ${String(v.meta.bounce.length + v.meta.logFrames.length)} page frames: give the machine more memory`,
      );
    }
    into[i] = pfn;
  }
}

function* releaseFrames(task: Task, v: MetadataStore): Op<void> {
  const { meta } = v;
  for (const frames of [meta.bounce, meta.logFrames]) {
    for (const pfn of frames) if (pfn !== 0) yield* putFolio(task, v.m, pfn);
    frames.fill(0);
  }
  for (let b = 0; b < meta.buffers; b++) {
    const at = meta.at(b, BUFFER.pfn);
    if (meta.buffer[at] !== 0) yield* putFolio(task, v.m, meta.buffer[at]);
    meta.buffer[at] = 0;
  }
}

function checkUnused(v: MetadataStore): void {
  for (let b = 0; b < v.meta.buffers; b++) {
    if (v.meta.buffer[v.meta.at(b, BUFFER.refs)] === 0) continue;
    const block = v.meta.buffer[v.meta.at(b, BUFFER.block)] - 1;
    throw new InvariantError(`the buffer of block ${String(block)} is still referenced at unmount`);
  }
}
