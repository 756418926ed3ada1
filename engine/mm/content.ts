// The contents of page frames: stores, copies, checksums. A device may write to a pinned frame at
// any time and no lock covers it, so in the lab each 32-bit word is a step of its own; outside it
// these are plain block moves.

import type { Machine } from '../machine.js';
import { load, store } from '../memory/word.js';
import { crc32c } from '../../native/index.js';
import type { Op } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';

/** Copies frame `source` to frame `target`. */
export function* copyFrame(m: Machine, target: number, source: number): Op<void> {
  const f = m.frames;
  if (lab === null) {
    const from = f.offset(source);
    f.segment(target).set(f.segment(source).subarray(from, from + f.pageBytes), f.offset(target));
    return;
  }
  yield* copyWords(f.wordSegment(target), f.wordOffset(target), f.wordSegment(source), f.wordOffset(source), f.pageBytes >>> 2);
}

/** Copies words one step at a time (the lab). */
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

/** Fills bytes of a frame from `data`: what a CPU's store or a device's DMA does. */
export function* storeBytes(m: Machine, pfn: number, offsetBytes: number, data: Uint8Array): Op<void> {
  const f = m.frames;
  if (lab === null) {
    f.segment(pfn).set(data, f.offset(pfn) + offsetBytes);
    return;
  }
  const words = f.wordSegment(pfn);
  const at = f.wordOffset(pfn) + (offsetBytes >>> 2);
  const source = new Int32Array(data.buffer, data.byteOffset, data.byteLength >>> 2);
  for (let i = 0; i < source.length; i++) {
    if (lab?.point()) yield STEP;
    store(words, at + i, source[i]);
  }
}

/** Copies bytes of a frame to `target`: what a CPU's load or a device's DMA read does. */
export function* loadBytes(m: Machine, pfn: number, offsetBytes: number, target: Uint8Array): Op<void> {
  const f = m.frames;
  if (lab === null) {
    const from = f.offset(pfn) + offsetBytes;
    target.set(f.segment(pfn).subarray(from, from + target.byteLength));
    return;
  }
  const words = f.wordSegment(pfn);
  const at = f.wordOffset(pfn) + (offsetBytes >>> 2);
  const out = new Int32Array(target.buffer, target.byteOffset, target.byteLength >>> 2);
  for (let i = 0; i < out.length; i++) {
    if (lab?.point()) yield STEP;
    out[i] = load(words, at + i);
  }
}

/** Zeroes bytes of a frame from `offsetBytes` to its end. */
export function* zeroTail(m: Machine, pfn: number, offsetBytes: number): Op<void> {
  const f = m.frames;
  if (lab === null) {
    const start = f.offset(pfn);
    f.segment(pfn).fill(0, start + offsetBytes, start + f.pageBytes);
    return;
  }
  const words = f.wordSegment(pfn);
  const at = f.wordOffset(pfn);
  for (let i = offsetBytes >>> 2; i < f.pageBytes >>> 2; i++) {
    if (lab?.point()) yield STEP;
    store(words, at + i, 0);
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

/** The lab's checksum of words, one step each. */
export function* checksumWords(words: Int32Array, index: number, count: number): Op<number> {
  let sum = 1;
  for (let i = 0; i < count; i++) {
    if (lab?.point()) yield STEP;
    sum = (Math.imul(sum, 31) + load(words, index + i)) | 0;
  }
  return sum;
}
