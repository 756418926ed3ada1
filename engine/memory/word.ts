// The only ways in which engine code touches a shared word.
//
// Two families, and the choice between them is a claim that the lab's checking mode verifies:
//
//   load store add and or exchange cas    atomic: no lock covers the word. At most one of them per
//                                         step, so each follows a `if (lab?.point()) yield STEP;`
//   read write                            plain: a held lock covers the word. Any number per step;
//                                         two of them that nothing orders are a failure
//
// peek() is neither: a guess that the caller's next cas() or sleep on the same word confirms.

import type { Op } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';

/** Atomic load. */
export function load(words: Int32Array, index: number): number {
  const value = Atomics.load(words, index);
  if (lab !== null) lab.onLoad(words, index, value);
  return value;
}

/** Atomic store. */
export function store(words: Int32Array, index: number, value: number): void {
  if (lab !== null) lab.onStore(words, index, words[index], value);
  Atomics.store(words, index, value);
}

/** Atomic add; returns the value before. */
export function add(words: Int32Array, index: number, delta: number): number {
  const before = Atomics.add(words, index, delta);
  if (lab !== null) lab.onUpdate(words, index, before, (before + delta) | 0);
  return before;
}

/** Atomic and; returns the value before. */
export function and(words: Int32Array, index: number, mask: number): number {
  const before = Atomics.and(words, index, mask);
  if (lab !== null) lab.onUpdate(words, index, before, before & mask);
  return before;
}

/** Atomic or; returns the value before. */
export function or(words: Int32Array, index: number, mask: number): number {
  const before = Atomics.or(words, index, mask);
  if (lab !== null) lab.onUpdate(words, index, before, before | mask);
  return before;
}

/** Atomic exchange; returns the value before. */
export function exchange(words: Int32Array, index: number, value: number): number {
  const before = Atomics.exchange(words, index, value);
  if (lab !== null) lab.onUpdate(words, index, before, value);
  return before;
}

/** Atomic compare-and-swap; returns the value before (it took place if that is `expected`). */
export function cas(words: Int32Array, index: number, expected: number, value: number): number {
  const before = Atomics.compareExchange(words, index, expected, value);
  if (lab !== null) lab.onUpdate(words, index, before, before === expected ? value : before);
  return before;
}

/** A guess at a word's value, confirmed by the cas() or sleep on the same word that follows it. */
export function peek(words: Int32Array, index: number): number {
  return Atomics.load(words, index);
}

/**
 * A step and the atomic load that follows it, for the hottest loops, which ask for the lab once:
 * `lab === null ? Atomics.load(words, i) : yield* stepLoad(words, i)`.
 */
export function* stepLoad(words: Int32Array, index: number): Op<number> {
  if (lab?.point()) yield STEP;
  return load(words, index);
}

/** The same with an atomic add; returns the value before. */
export function* stepAdd(words: Int32Array, index: number, delta: number): Op<number> {
  if (lab?.point()) yield STEP;
  return add(words, index, delta);
}

/** Plain read of a word that a held lock covers. */
export function read(words: Int32Array, index: number): number {
  const value = words[index];
  if (lab !== null) lab.onRead(words, index, value);
  return value;
}

/** Plain write of a word that a held lock covers. */
export function write(words: Int32Array, index: number, value: number): void {
  if (lab !== null) lab.onWrite(words, index, words[index], value);
  words[index] = value;
}
