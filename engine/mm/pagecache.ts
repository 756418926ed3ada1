// The page cache of an inode: a tree of 64-slot nodes with the marks DIRTY, WRITEBACK and TOWRITE,
// as Linux's xarray, so that a scan for a mark costs by what is marked and not by the file's size.
//
// Node of NODE_WORDS words (layout.ts), shift = 6 * level:
//
//   0 .. 63    slots: level 0 a pfn (or a DAX entry), above it a node number + 1; 0 empty
//   64 .. 69   marks: two words of bits each for DIRTY, WRITEBACK, TOWRITE; set where any slot
//              below has the mark
//   70         slots in use
//
// All of it is covered by the inode's i_pages lock, which the callers hold.

import type { Machine } from '../machine.js';
import { GLOBAL, NODE_SLOTS, NODE_WORDS } from '../memory/layout.js';
import { read, write } from '../memory/word.js';
import { InvariantError } from '../sched/errors.js';
import { spinUnlock, takeSpinLock, waitSpinLock } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';

/** Marks of the tree (PAGECACHE_TAG_*). */
export const MARK = { dirty: 0, writeback: 1, towrite: 2 } as const;
export type Mark = 0 | 1 | 2;

const MARKS: readonly Mark[] = [MARK.dirty, MARK.writeback, MARK.towrite];

const BITS = 6;
const MARKS_AT = NODE_SLOTS;
const COUNT_AT = NODE_SLOTS + 6;
/** Levels that cover an index of 30 bits. */
const HEIGHT_MAX = 5;

/** Puts all tree nodes on their free list. Once, before the machine runs. */
export function initNodes(m: Machine): void {
  const { node, global } = m.state;
  for (let n = 0; n < m.geometry.nodes; n++)
    node[n * NODE_WORDS] = n + 1 < m.geometry.nodes ? n + 2 : 0;
  global[GLOBAL.nodeFreeHead] = m.geometry.nodes > 0 ? 1 : 0;
  global[GLOBAL.nodeFreeCount] = m.geometry.nodes;
}

/** The pfn (of a DAX inode: the entry) cached at `index` of inode `inode`, or 0. Caller holds i_pages. */
export function cacheLookup(m: Machine, inode: number, index: number): number {
  const slot = cacheSlot(m, inode, index);
  return slot < 0 ? 0 : read(m.state.node, slot);
}

/** The word of `node` that holds what is cached at `index`, or -1 if the tree has none yet. Caller holds i_pages. */
export function cacheSlot(m: Machine, inode: number, index: number): number {
  const { node, iPagesRoot } = m.state;
  const height = read(iPagesRoot, inode * 2 + 1);
  if (height === 0 || index >>> (BITS * height) !== 0) return -1;
  let at = read(iPagesRoot, inode * 2);
  for (let level = height - 1; level > 0; level--) {
    at = read(node, (at - 1) * NODE_WORDS + ((index >>> (BITS * level)) & (NODE_SLOTS - 1)));
    if (at === 0) return -1;
  }
  return (at - 1) * NODE_WORDS + (index & (NODE_SLOTS - 1));
}

/** Levels of a tree that reaches `index`. */
function heightFor(index: number): number {
  let height = 1;
  while (height < HEIGHT_MAX && index >>> (BITS * height) !== 0) height++;
  return height;
}

/** How many new nodes an insertion at `index` takes as the tree is now. Caller holds i_pages. */
export function nodesMissing(m: Machine, inode: number, index: number): number {
  const { node, iPagesRoot } = m.state;
  const height = read(iPagesRoot, inode * 2 + 1);
  const reach = heightFor(index);
  if (height === 0) return reach;
  // Above the old root, and a branch of its own below the new one.
  if (reach > height) return reach - height + reach - 1;
  let at = read(iPagesRoot, inode * 2);
  for (let level = height - 1; level > 0; level--) {
    at = read(node, (at - 1) * NODE_WORDS + ((index >>> (BITS * level)) & (NODE_SLOTS - 1)));
    if (at === 0) return level;
  }
  return 0;
}

/**
 * Takes `count` nodes from the pool.
 * @returns the first of a chain through slot 0 (node + 1), or 0 if there are not so many
 */
export function* takeNodes(task: Task, m: Machine, count: number): Op<number> {
  const { node, global } = m.state;
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.nodeLock, 0)) yield* waitSpinLock(task, m.nodeLock, 0);
  let head = 0;
  const free = read(global, GLOBAL.nodeFreeCount);
  if (free >= count) {
    head = read(global, GLOBAL.nodeFreeHead);
    let last = head;
    for (let i = 1; i < count; i++) last = read(node, (last - 1) * NODE_WORDS);
    write(global, GLOBAL.nodeFreeHead, read(node, (last - 1) * NODE_WORDS));
    write(global, GLOBAL.nodeFreeCount, free - count);
    write(node, (last - 1) * NODE_WORDS, 0);
  }
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.nodeLock, 0);
  return head;
}

/** Gives a chain of nodes back to the pool. */
export function* giveNodes(task: Task, m: Machine, chain: number): Op<void> {
  if (chain === 0) return;
  const { node, global } = m.state;
  let count = 1;
  let last = chain;
  for (let next = read(node, (last - 1) * NODE_WORDS); next !== 0; count++) {
    last = next;
    next = read(node, (last - 1) * NODE_WORDS);
  }
  if (lab?.point()) yield STEP;
  if (!takeSpinLock(task, m.nodeLock, 0)) yield* waitSpinLock(task, m.nodeLock, 0);
  write(node, (last - 1) * NODE_WORDS, read(global, GLOBAL.nodeFreeHead));
  write(global, GLOBAL.nodeFreeHead, chain);
  write(global, GLOBAL.nodeFreeCount, read(global, GLOBAL.nodeFreeCount) + count);
  if (lab?.point()) yield STEP;
  spinUnlock(task, m.nodeLock, 0);
}

/**
 * Stores `pfn` at `index`, which must be empty. Caller holds i_pages.
 * @param chain at least nodesMissing() nodes of takeNodes()
 * @returns the nodes left over, for giveNodes() after the lock
 */
export function cacheInsert(
  m: Machine,
  inode: number,
  index: number,
  pfn: number,
  chain: number,
): number {
  const { node, iPagesRoot } = m.state;
  let spare = chain;
  const fresh = (): number => {
    const taken = spare;
    if (taken === 0) throw new InvariantError('fewer tree nodes reserved than nodesMissing()');
    const base = (taken - 1) * NODE_WORDS;
    spare = read(node, base);
    for (let i = 0; i < NODE_WORDS; i++) write(node, base + i, 0);
    return taken;
  };
  let root = read(iPagesRoot, inode * 2);
  let height = read(iPagesRoot, inode * 2 + 1);
  if (index >= 2 ** (BITS * HEIGHT_MAX)) {
    throw new InvariantError(`page index ${String(index)} is too large`);
  }
  if (root === 0) {
    root = fresh();
    height = heightFor(index);
  }
  while (index >>> (BITS * height) !== 0) {
    const grown = fresh();
    const base = (grown - 1) * NODE_WORDS;
    write(node, base, root);
    write(node, base + COUNT_AT, 1);
    for (let mark = 0; mark < 3; mark++) {
      if (nodeHasMark(m, root, mark)) setBit(m, grown, mark, 0);
    }
    root = grown;
    height++;
  }
  write(iPagesRoot, inode * 2, root);
  write(iPagesRoot, inode * 2 + 1, height);
  let at = root;
  for (let level = height - 1; level >= 0; level--) {
    const base = (at - 1) * NODE_WORDS;
    const slot = base + ((index >>> (BITS * level)) & (NODE_SLOTS - 1));
    const below = read(node, slot);
    if (level === 0) {
      if (below !== 0)
        throw new InvariantError(`page ${String(index)} of inode ${String(inode)} is cached twice`);
      write(node, slot, pfn);
      write(node, base + COUNT_AT, read(node, base + COUNT_AT) + 1);
    } else if (below === 0) {
      at = fresh();
      write(node, slot, at);
      write(node, base + COUNT_AT, read(node, base + COUNT_AT) + 1);
    } else {
      at = below;
    }
  }
  write(m.state.nrPages, inode, read(m.state.nrPages, inode) + 1);
  return spare;
}

/**
 * Removes what is cached at `index`. Caller holds i_pages.
 * @returns a chain of nodes that became empty, for giveNodes() after the lock
 */
export function cacheDelete(m: Machine, inode: number, index: number): number {
  const { node, iPagesRoot } = m.state;
  const height = read(iPagesRoot, inode * 2 + 1);
  for (const mark of MARKS) clearMark(m, inode, index, mark);
  const path: number[] = [];
  let at = read(iPagesRoot, inode * 2);
  for (let level = height - 1; level >= 0; level--) {
    path.push(at);
    if (level > 0)
      at = read(node, (at - 1) * NODE_WORDS + ((index >>> (BITS * level)) & (NODE_SLOTS - 1)));
  }
  let freed = 0;
  for (let level = 0; level < height; level++) {
    const number = path[height - 1 - level];
    const base = (number - 1) * NODE_WORDS;
    write(node, base + ((index >>> (BITS * level)) & (NODE_SLOTS - 1)), 0);
    const count = read(node, base + COUNT_AT) - 1;
    write(node, base + COUNT_AT, count);
    if (count > 0) break;
    write(node, base, freed);
    freed = number;
    if (level === height - 1) {
      write(iPagesRoot, inode * 2, 0);
      write(iPagesRoot, inode * 2 + 1, 0);
    }
  }
  write(m.state.nrPages, inode, read(m.state.nrPages, inode) - 1);
  return freed;
}

/** Sets a mark on a cached page. Caller holds i_pages. */
export function setMark(m: Machine, inode: number, index: number, mark: Mark): void {
  const { node, iPagesRoot } = m.state;
  let at = read(iPagesRoot, inode * 2);
  for (let level = read(iPagesRoot, inode * 2 + 1) - 1; level >= 0; level--) {
    const slot = (index >>> (BITS * level)) & (NODE_SLOTS - 1);
    setBit(m, at, mark, slot);
    if (level > 0) at = read(node, (at - 1) * NODE_WORDS + slot);
  }
}

/** Clears a mark of a cached page. Caller holds i_pages. */
export function clearMark(m: Machine, inode: number, index: number, mark: Mark): void {
  const { iPagesRoot } = m.state;
  clearBelow(m, read(iPagesRoot, inode * 2), read(iPagesRoot, inode * 2 + 1) - 1, index, mark);
}

/** Has the page at `index` the mark? Caller holds i_pages. */
export function hasMark(m: Machine, inode: number, index: number, mark: Mark): boolean {
  return nextMarked(m, inode, index, index, mark) === index;
}

/** The first index in [from, to] whose page has the mark, or -1. Caller holds i_pages. */
export function nextMarked(
  m: Machine,
  inode: number,
  from: number,
  to: number,
  mark: Mark,
): number {
  return nextWith(m, inode, from, to, mark);
}

/** The first index in [from, to] at which anything is cached, or -1. Caller holds i_pages. */
export function nextCached(m: Machine, inode: number, from: number, to: number): number {
  return nextWith(m, inode, from, to, ANY);
}

/** Does any page of the inode have the mark? Caller holds i_pages. */
export function anyMarked(m: Machine, inode: number, mark: Mark): boolean {
  const root = read(m.state.iPagesRoot, inode * 2);
  return root !== 0 && nodeHasMark(m, root, mark);
}

/** In place of a mark: any slot in use. */
const ANY = 3;

function nextWith(m: Machine, inode: number, from: number, to: number, mark: number): number {
  const { iPagesRoot } = m.state;
  const height = read(iPagesRoot, inode * 2 + 1);
  if (height === 0 || from > to || from >>> (BITS * height) !== 0) return -1;
  const found = findBelow(m, read(iPagesRoot, inode * 2), height - 1, from, mark);
  return found >= 0 && found <= to ? found : -1;
}

function nodeHasMark(m: Machine, number: number, mark: number): boolean {
  const at = (number - 1) * NODE_WORDS + MARKS_AT + mark * 2;
  return (read(m.state.node, at) | read(m.state.node, at + 1)) !== 0;
}

function setBit(m: Machine, number: number, mark: number, slot: number): void {
  const at = (number - 1) * NODE_WORDS + MARKS_AT + mark * 2 + (slot >>> 5);
  write(m.state.node, at, read(m.state.node, at) | (1 << (slot & 31)));
}

/** Clears the mark below a node; true if the node has no such mark left. */
function clearBelow(
  m: Machine,
  number: number,
  level: number,
  index: number,
  mark: number,
): boolean {
  if (number === 0) return true;
  const slot = (index >>> (BITS * level)) & (NODE_SLOTS - 1);
  const base = (number - 1) * NODE_WORDS;
  if (level > 0 && !clearBelow(m, read(m.state.node, base + slot), level - 1, index, mark))
    return false;
  const at = base + MARKS_AT + mark * 2 + (slot >>> 5);
  write(m.state.node, at, read(m.state.node, at) & ~(1 << (slot & 31)));
  return !nodeHasMark(m, number, mark);
}

/** The first index >= from (of the bits that this node covers) with the mark, or -1. */
function findBelow(m: Machine, number: number, level: number, from: number, mark: number): number {
  const shift = BITS * level;
  const base = (number - 1) * NODE_WORDS;
  let slot = (from >>> shift) & (NODE_SLOTS - 1);
  let rest = from;
  for (;;) {
    slot = nextSlot(m, base, slot, mark);
    if (slot < 0) return -1;
    const start = ((from >>> (shift + BITS)) << (shift + BITS)) + (slot << shift);
    if (level === 0) return start;
    const within = Math.max(rest, start);
    const found = findBelow(m, read(m.state.node, base + slot), level - 1, within, mark);
    if (found >= 0) return found;
    slot++;
    rest = start;
    if (slot === NODE_SLOTS) return -1;
  }
}

/** The first slot >= `slot` of a node with the mark (or, for ANY, in use), or -1. */
function nextSlot(m: Machine, base: number, slot: number, mark: number): number {
  const { node } = m.state;
  if (mark === ANY) {
    while (slot < NODE_SLOTS && read(node, base + slot) === 0) slot++;
    return slot < NODE_SLOTS ? slot : -1;
  }
  for (let word = slot >>> 5; word < 2; word++) {
    let bits = read(node, base + MARKS_AT + mark * 2 + word);
    if (word === slot >>> 5) bits &= -1 << (slot & 31);
    if (bits !== 0) return word * 32 + (31 - Math.clz32(bits & -bits));
  }
  return -1;
}
