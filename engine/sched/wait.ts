// Waking sleepers wherever they run: threads that block in Atomics.wait, and event loops.
//
// A thread sleeps on the word itself. An event loop can't (a pending Atomics.waitAsync can neither
// be withdrawn nor keep the process alive, and a stale one swallows a notify), so each loop has one
// doorbell word, and says in a hashed table which words its parked operations wait for:
//
//   bells[0 .. 31]          doorbell of event loop L: a counter, waited on by one waitAsync
//   bells[32]               bit L set: loop L is taken
//   bells[64 .. 64 + 255]   per hash of a word's address: bit L set if loop L waits for such a word
//
// Two words with one hash cost a spurious look, never a lost wake-up.

import { lab } from './step.js';

export const LOOPS_MAX = 31;
const TAKEN = 32;
const BUCKETS = 64;
const BUCKET_COUNT = 256;
export const BELL_WORDS = BUCKETS + BUCKET_COUNT;

let bells: Int32Array = new Int32Array(new SharedArrayBuffer(BELL_WORDS * 4));

/** The table of this process. Workers get it from the thread that starts them. */
export function doorbells(): Int32Array {
  return bells;
}

/** Joins the table of the thread that started this worker. Before any engine code runs. */
export function joinDoorbells(table: Int32Array): void {
  bells = table;
}

function bucketOf(words: Int32Array, index: number): number {
  const address = (words.byteOffset >>> 2) + index;
  return BUCKETS + ((Math.imul(address, 0x9e3779b1) >>> 24) & (BUCKET_COUNT - 1));
}

/** Wakes everybody who sleeps on words[index]. The word must have been changed before. */
export function wake(words: Int32Array, index: number): void {
  if (lab !== null) {
    lab.onWake(words, index);
    return;
  }
  Atomics.notify(words, index);
  const bucket = bucketOf(words, index);
  if (Atomics.load(bells, bucket) !== 0) ring(Atomics.exchange(bells, bucket, 0));
}

function ring(loops: number): void {
  for (let loop = 0; loops !== 0; loop++, loops >>>= 1) {
    if ((loops & 1) === 0) continue;
    Atomics.add(bells, loop, 1);
    Atomics.notify(bells, loop);
  }
}

/** Takes a doorbell for an event loop; -1 if all LOOPS_MAX are taken. */
export function takeDoorbell(): number {
  for (let loop = 0; loop < LOOPS_MAX; loop++) {
    if ((Atomics.or(bells, TAKEN, 1 << loop) & (1 << loop)) === 0) return loop;
  }
  return -1;
}

/** Gives a doorbell back. */
export function releaseDoorbell(loop: number): void {
  Atomics.and(bells, TAKEN, ~(1 << loop));
}

/** Event loop `loop` is going to wait for words[index]: look at the word again after this. */
export function listen(loop: number, words: Int32Array, index: number): void {
  Atomics.or(bells, bucketOf(words, index), 1 << loop);
}
