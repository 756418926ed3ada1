// The contents of page frames: stores, copies, checksums. A device may write to a pinned frame at
// any time and no lock covers it, so in the lab each 32-bit word is a step of its own; outside it
// these are plain block moves.

import { crc32c } from '../../native/index.js';
import type { Machine } from '../machine.js';
import { load, store } from '../memory/word.js';
import type { Op } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';

/** Copies frame `source` to frame `target`. */
export function* copyFrame(m: Machine, target: number, source: number): Op<void> {
  const f = m.frames;
  if (lab === null) {
    const from = f.offset(source);
    f.segment(target).set(f.segment(source).subarray(from, from + f.pageBytes), f.offset(target));
  } else {
    const count = f.pageBytes >>> 2;
    const from = f.wordOffset(source);
    yield* copyWords(
      f.wordSegment(target),
      f.wordOffset(target),
      f.wordSegment(source),
      from,
      count,
    );
  }
}

/** Fills bytes of a frame from `data`: what a CPU's store or a device's DMA does. */
export function* storeBytes(
  m: Machine,
  pfn: number,
  offsetBytes: number,
  data: Uint8Array,
): Op<void> {
  if (lab === null) {
    moveBytes(m, pfn, offsetBytes, data);
  } else {
    const f = m.frames;
    const at = f.wordOffset(pfn) + (offsetBytes >>> 2);
    yield* storeWords(f.wordSegment(pfn), at, wordsOf(data));
  }
}

/** storeBytes() outside the lab, without the cost of a generator: for loops that ask for `lab` themselves. */
export function moveBytes(m: Machine, pfn: number, offsetBytes: number, data: Uint8Array): void {
  const f = m.frames;
  f.segment(pfn).set(data, f.offset(pfn) + offsetBytes);
}

/** Copies bytes of a frame to `target`: what a CPU's load or a device's DMA read does. */
export function* loadBytes(
  m: Machine,
  pfn: number,
  offsetBytes: number,
  target: Uint8Array,
): Op<void> {
  const f = m.frames;
  if (lab === null) {
    const from = f.offset(pfn) + offsetBytes;
    target.set(f.segment(pfn).subarray(from, from + target.byteLength));
  } else {
    const at = f.wordOffset(pfn) + (offsetBytes >>> 2);
    yield* loadWords(wordsOf(target), f.wordSegment(pfn), at);
  }
}

/** Zeroes bytes of a frame from `offsetBytes` to its end. */
export function* zeroTail(m: Machine, pfn: number, offsetBytes: number): Op<void> {
  const f = m.frames;
  if (lab === null) {
    const start = f.offset(pfn);
    f.segment(pfn).fill(0, start + offsetBytes, start + f.pageBytes);
  } else {
    const zeroes = new Int32Array((f.pageBytes - offsetBytes) >>> 2);
    yield* storeWords(f.wordSegment(pfn), f.wordOffset(pfn) + (offsetBytes >>> 2), zeroes);
  }
}

/** Checksum of a frame's contents as they are just now: CRC-32C, or in the lab a mix of its words. */
export function* checksumFrame(m: Machine, pfn: number): Op<number> {
  const f = m.frames;
  if (lab === null) {
    const start = f.offset(pfn);
    return crc32c(f.segment(pfn).subarray(start, start + f.pageBytes)) | 0;
  }
  return yield* checksumWords(f.wordSegment(pfn), f.wordOffset(pfn), f.pageBytes >>> 2);
}

/** Copies shared words one step each. */
export function* copyWords(
  target: Int32Array,
  targetIndex: number,
  source: Int32Array,
  sourceIndex: number,
  count: number,
): Op<void> {
  for (let i = 0; i < count; i++) {
    if (lab?.point()) yield STEP;
    const value = load(source, sourceIndex + i);
    if (lab?.point()) yield STEP;
    store(target, targetIndex + i, value);
  }
}

/** A checksum of shared words, one step each. */
export function* checksumWords(words: Int32Array, index: number, count: number): Op<number> {
  let sum = 1;
  for (let i = 0; i < count; i++) {
    if (lab?.point()) yield STEP;
    sum = (Math.imul(sum, 31) + load(words, index + i)) | 0;
  }
  return sum;
}

/** Stores private words to shared ones, one step each. */
export function* storeWords(words: Int32Array, index: number, source: Int32Array): Op<void> {
  for (let i = 0; i < source.length; i++) {
    if (lab?.point()) yield STEP;
    store(words, index + i, source[i]);
  }
}

/** Loads shared words to private ones, one step each. */
export function* loadWords(target: Int32Array, words: Int32Array, index: number): Op<void> {
  for (let i = 0; i < target.length; i++) {
    if (lab?.point()) yield STEP;
    target[i] = load(words, index + i);
  }
}

function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
}
