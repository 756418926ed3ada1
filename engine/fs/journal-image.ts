// What a transaction looks like in the journal: puts descriptors, revokes and the commit block around
// the copies of its blocks. Format: journal-format.ts.

import { crc32c } from '../../native/index.js';
import { read, write } from '../memory/word.js';
import {
  fillJournalSuperblock,
  LOG,
  LOG_MAGIC,
  LOG_TYPE,
  revokesPerBlock,
  TAG,
  tagsPerBlock,
  tidAtLeast,
} from './journal-format.js';
import { BUFFER, META, type MetadataStore } from './metadata.js';

/** The blocks of a transaction in the order of the journal; the last one is the commit block. */
export interface LogImage {
  /** First block in the journal. */
  readonly start: number;
  readonly blocks: number;
  readonly frames: Int32Array;
}

/**
 * Lays out a frozen transaction. Its entries are in Metadata.entries, the copies of those not
 * forgotten are in the first frames of Metadata.logFrames, in the same order; the frames after those
 * are used for the rest. Under commitMutex.
 */
export function layOut(v: MetadataStore, tid: number, entries: number): LogImage {
  const { meta, m } = v;
  const pageWords = m.geometry.pageBytes >>> 2;
  const frames = new Int32Array(meta.logBlocksMax);
  let copies = 0;
  for (let i = 0; i < entries; i++) if (meta.entries[i * 2 + 1] === 0) copies++;
  let free = copies;
  let blocks = 0;
  const startBlock = (type: number): { words: Int32Array; at: number } => {
    const pfn = meta.logFrames[free++];
    frames[blocks++] = pfn;
    const words = m.frames.wordSegment(pfn);
    const at = m.frames.wordOffset(pfn);
    for (let i = 0; i < pageWords; i++) write(words, at + i, 0);
    write(words, at + LOG.magic, LOG_MAGIC);
    write(words, at + LOG.type, type);
    write(words, at + LOG.tid, tid);
    write(words, at + LOG.generation, read(meta.head, META.generation));
    return { words, at };
  };

  let copy = 0;
  let entry = 0;
  while (copy < copies) {
    const descriptor = startBlock(LOG_TYPE.descriptor);
    const tags = Math.min(tagsPerBlock(pageWords), copies - copy);
    write(descriptor.words, descriptor.at + LOG.count, tags);
    for (let tag = 0; tag < tags; entry++) {
      if (meta.entries[entry * 2 + 1] === 1) continue;
      const pfn = meta.logFrames[copy++];
      const at = descriptor.at + LOG.entries + tag++ * 2;
      write(descriptor.words, at, homeOf(v, meta.entries[entry * 2]));
      write(descriptor.words, at + 1, escapeCopy(v, pfn) ? TAG.escaped : 0);
      frames[blocks++] = pfn;
    }
  }

  let revoked = entries - copies;
  for (entry = 0; revoked > 0; ) {
    const block = startBlock(LOG_TYPE.revoke);
    const count = Math.min(revokesPerBlock(pageWords), revoked);
    write(block.words, block.at + LOG.count, count);
    for (let i = 0; i < count; entry++) {
      if (meta.entries[entry * 2 + 1] === 0) continue;
      write(block.words, block.at + LOG.entries + i++, homeOf(v, meta.entries[entry * 2]));
    }
    revoked -= count;
  }

  let crc = 0;
  for (let i = 0; i < blocks; i++) crc = crc32c(m.frames.view(frames[i]), crc);
  const before = blocks;
  const commit = startBlock(LOG_TYPE.commit);
  write(commit.words, commit.at + LOG.count, before);
  write(commit.words, commit.at + LOG.crc, crc | 0);
  return { start: read(meta.head, META.logHead), blocks, frames: frames.subarray(0, blocks) };
}

/** Fills the journal superblock: the oldest needed transaction starts at `tail` and is `tailTid` or later. */
export function fillSuperblock(v: MetadataStore, tail: number, tailTid: number): number {
  const { meta, m } = v;
  const pfn = meta.logFrames[meta.logFrames.length - 1];
  const at = m.frames.wordOffset(pfn);
  const words = m.frames.wordSegment(pfn).subarray(at, at + (m.geometry.pageBytes >>> 2));
  const generation = read(meta.head, META.generation);
  fillJournalSuperblock(words, meta.config.journalBlocks, generation, tail, tailTid);
  return pfn;
}

/** Is there room for one more transaction of the largest size, besides the one being written? Under the lock. */
export function hasSpace(v: MetadataStore): boolean {
  const { head, logBlocks, logBlocksMax } = v.meta;
  const used = (read(head, META.logHead) - read(head, META.logTail) + logBlocks) % logBlocks;
  const promised = read(head, META.committingTid) === 0 ? 0 : logBlocksMax;
  // One block stays free, so that a full journal does not look like an empty one.
  return logBlocks - 1 - used - promised >= logBlocksMax;
}

/** The oldest transaction whose copies are still needed: its tid and start. Under the lock. */
export function oldestNeeded(v: MetadataStore): { tid: number; start: number } | null {
  const { buffer } = v.meta;
  let oldest: { tid: number; start: number } | null = null;
  for (let b = 0; b < v.meta.buffers; b++) {
    const tid = read(buffer, v.meta.at(b, BUFFER.logTid));
    if (tid === 0 || (oldest !== null && tidAtLeast(tid, oldest.tid))) continue;
    oldest = { tid, start: read(buffer, v.meta.at(b, BUFFER.logStart)) };
  }
  return oldest;
}

function homeOf(v: MetadataStore, b: number): number {
  return read(v.meta.buffer, v.meta.at(b, BUFFER.block)) - 1;
}

/** Replaces the magic number at the start of a copy. True if it was there. */
function escapeCopy(v: MetadataStore, pfn: number): boolean {
  const words = v.m.frames.wordSegment(pfn);
  const at = v.m.frames.wordOffset(pfn);
  if (read(words, at) !== LOG_MAGIC) return false;
  write(words, at, 0);
  return true;
}
