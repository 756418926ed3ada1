// Which block of the volume holds which block of a file: a tree of extents whose root lies in the
// inode. All of it under i_data_sem: shared to look up, alone to change. (Linux: fs/ext4/extents.c)

import { add, read, write } from '../memory/word.js';
import { InvariantError } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { allocMetadataBlock, freeMetadataBlock } from './alloc.js';
import { putBuffer } from './buffer.js';
import { damaged, ip, isInline, type Vol } from './core.js';
import { changeInode, noteTid } from './dinode.js';
import {
  countOf,
  deleteEntries,
  editNode,
  findEntry,
  insertEntry,
  lengthOf,
  logicalOf,
  type Node,
  newNode,
  openChild,
  openRoot,
  physOf,
  setEntry,
} from './extent-node.js';
import type { Handle } from './journal.js';
import { DEPTH_MAX, DI, EXTENT_BLOCKS_MAX, IP } from './layout.js';

/** Where a block of a file is: `phys` 0 is a hole; `length` blocks from there on are alike. */
export interface Mapping {
  phys: number;
  length: number;
}

/** Longest run that a lookup tells of. */
export const RUN_MAX = 2 ** 30;

/** Credits for one insertExtent(): each level may split, and the root grow. */
export const INSERT_CREDITS = 12;

/** Credits for one removeExtents(), without the bitmap blocks of what it frees. */
export const REMOVE_CREDITS = 2 * INSERT_CREDITS;

/** Looks up block `logical` of a file. @throws Errno EUCLEAN, EIO */
export function* lookupExtent(
  task: Task,
  v: Vol,
  inode: number,
  logical: number,
  out: Mapping,
): Op<void> {
  if (lab?.point()) yield STEP;
  if (isInline(v, inode)) {
    out.phys = 0;
    out.length = RUN_MAX;
    return;
  }
  let node = yield* openRoot(task, v, inode);
  let next = RUN_MAX + logical;
  while (node.depth > 0) {
    const index = findEntry(node, logical);
    if (index + 1 < countOf(node)) next = Math.min(next, logicalOf(node, index + 1));
    if (index < 0) break;
    const parent = node;
    try {
      node = yield* openChild(task, v, parent, index);
    } finally {
      yield* putBuffer(task, v, parent.b);
    }
  }
  out.phys = 0;
  if (node.depth === 0) {
    const index = findEntry(node, logical);
    if (index + 1 < countOf(node)) next = Math.min(next, logicalOf(node, index + 1));
    if (index >= 0) {
      const into = logical - logicalOf(node, index);
      if (into < lengthOf(node, index)) {
        out.phys = physOf(node, index) + into;
        next = logicalOf(node, index) + lengthOf(node, index);
      }
    }
  }
  out.length = next - logical;
  yield* putBuffer(task, v, node.b);
  const bad = out.phys !== 0 && (out.phys < v.sb.dataStart || out.phys + out.length >= v.sb.blocks);
  if (bad || out.length <= 0) {
    throw damaged(`inode ${String(node.ino)}: extent at block ${String(logical)} of the file`);
  }
}

/**
 * Enters an extent where the file has a hole, in a handle with INSERT_CREDITS.
 * @throws Errno ENOSPC (no block for the tree), EUCLEAN, EIO
 */
export function* insertExtent(
  task: Task,
  v: Vol,
  handle: Handle,
  inode: number,
  logical: number,
  phys: number,
  length: number,
): Op<void> {
  let node = yield* openRoot(task, v, inode);
  try {
    for (;;) {
      if (node.depth === 0 && (yield* tryMerge(task, v, handle, node, logical, phys, length)))
        break;
      if (countOf(node) === node.max) {
        // Only the root can be full here: children are split before they are entered.
        yield* growRoot(task, v, handle, node);
        yield* putBuffer(task, v, node.b);
        node = yield* openRoot(task, v, inode);
      } else if (node.depth === 0) {
        const leaf = node;
        yield* editNode(task, v, handle, leaf, () =>
          insertEntry(leaf, findEntry(leaf, logical) + 1, logical, phys, length),
        );
        break;
      } else {
        const child = yield* enterChild(task, v, handle, inode, node, logical);
        yield* putBuffer(task, v, node.b);
        node = child;
      }
    }
  } finally {
    yield* putBuffer(task, v, node.b);
  }
  yield* noteTid(v, handle, inode);
}

/** Lengthens an extent that ends where the new one starts, in the file and on the volume. */
function* tryMerge(
  task: Task,
  v: Vol,
  handle: Handle,
  leaf: Node,
  logical: number,
  phys: number,
  length: number,
): Op<boolean> {
  const left = findEntry(leaf, logical);
  const right = left + 1;
  const joinsLeft =
    left >= 0 &&
    logicalOf(leaf, left) + lengthOf(leaf, left) === logical &&
    physOf(leaf, left) + lengthOf(leaf, left) === phys;
  const room = EXTENT_BLOCKS_MAX - length - (joinsLeft ? lengthOf(leaf, left) : 0);
  const joinsRight =
    room >= 0 &&
    right < countOf(leaf) &&
    logical + length === logicalOf(leaf, right) &&
    phys + length === physOf(leaf, right) &&
    lengthOf(leaf, right) <= room;
  if (left >= 0 && logicalOf(leaf, left) + lengthOf(leaf, left) > logical)
    throw damaged(`inode ${String(leaf.ino)}: block ${String(logical)} is mapped already`);
  if (!joinsRight && (!joinsLeft || room < 0)) return false;
  yield* editNode(task, v, handle, leaf, () => {
    if (joinsLeft) {
      const sum = lengthOf(leaf, left) + length + (joinsRight ? lengthOf(leaf, right) : 0);
      setEntry(leaf, left, logicalOf(leaf, left), physOf(leaf, left), sum);
      if (joinsRight) deleteEntries(leaf, right, 1);
    } else {
      setEntry(leaf, right, logical, phys, lengthOf(leaf, right) + length);
    }
  });
  return true;
}

/** The child for `logical`, split first if it is full. `node` has room for one more entry. */
function* enterChild(
  task: Task,
  v: Vol,
  handle: Handle,
  inode: number,
  node: Node,
  logical: number,
): Op<Node> {
  let index = findEntry(node, logical);
  if (index < 0) {
    index = 0;
    yield* editNode(task, v, handle, node, () =>
      setEntry(node, 0, logical, physOf(node, 0), lengthOf(node, 0)),
    );
  }
  const child = yield* openChild(task, v, node, index);
  if (countOf(child) < child.max) return child;
  let right: Node;
  try {
    right = yield* splitNode(task, v, handle, inode, node, child, index, logical);
  } catch (error) {
    yield* putBuffer(task, v, child.b);
    throw error;
  }
  const goRight = logical >= logicalOf(right, 0);
  yield* putBuffer(task, v, goRight ? child.b : right.b);
  return goRight ? right : child;
}

/** Moves the upper part of a full child to a new node beside it: one entry, if the file grows at its end. */
function* splitNode(
  task: Task,
  v: Vol,
  handle: Handle,
  inode: number,
  parent: Node,
  child: Node,
  index: number,
  logical: number,
): Op<Node> {
  const count = countOf(child);
  const keep = logical > logicalOf(child, count - 1) ? count - 1 : count >>> 1;
  const block = yield* allocMetadataBlock(task, v, handle, child.block + 1);
  const right = yield* newNode(task, v, handle, child.ino, block, child.depth);
  yield* moveEntries(task, v, handle, child, keep, right);
  yield* editNode(task, v, handle, parent, () =>
    insertEntry(parent, index + 1, logicalOf(right, 0), block, 0),
  );
  yield* changeInode(task, v, handle, inode, (words, at) => {
    write(words, at + DI.blocks, read(words, at + DI.blocks) + 1);
  });
  return right;
}

/** Moves all entries of the full root to a new node, the root's only child. */
function* growRoot(task: Task, v: Vol, handle: Handle, root: Node): Op<void> {
  if (!root.root) throw new InvariantError('a full extent block was entered');
  if (root.depth === DEPTH_MAX) throw damaged(`inode ${String(root.ino)}: extent tree too deep`);
  const block = yield* allocMetadataBlock(task, v, handle, physOf(root, 0) + 1);
  const child = yield* newNode(task, v, handle, root.ino, block, root.depth);
  const first = logicalOf(root, 0);
  yield* moveEntries(task, v, handle, root, 0, child);
  yield* putBuffer(task, v, child.b);
  yield* editNode(task, v, handle, root, () => {
    insertEntry(root, 0, first, block, 0);
    write(root.words, root.head + DI.depth, root.depth + 1);
    write(root.words, root.head + DI.blocks, read(root.words, root.head + DI.blocks) + 1);
  });
}

function* moveEntries(
  task: Task,
  v: Vol,
  handle: Handle,
  source: Node,
  from: number,
  target: Node,
): Op<void> {
  const count = countOf(source);
  yield* editNode(task, v, handle, target, () => {
    for (let i = from; i < count; i++) {
      insertEntry(target, i - from, logicalOf(source, i), physOf(source, i), lengthOf(source, i));
    }
  });
  yield* editNode(task, v, handle, source, () => deleteEntries(source, from, count - from));
}

/** What removeExtents() took out: pairs of first block and length; and where to go on, or -1. */
export interface Removed {
  readonly runs: number[];
  next: number;
}

/**
 * Takes blocks [from, to] out of the map, at most `limit` pieces of one leaf, in a handle with
 * REMOVE_CREDITS. The caller frees removed.runs in the same handle.
 * @throws Errno EUCLEAN, EIO, ENOSPC (a hole in the middle of an extent needs an entry)
 */
export function* removeExtents(
  task: Task,
  v: Vol,
  handle: Handle,
  inode: number,
  from: number,
  to: number,
  limit: number,
): Op<Removed> {
  if (lab?.point()) yield STEP;
  add(v.m.state.iPrivate, ip(inode, IP.mapSeq), 1);
  const removed: Removed = { runs: [], next: -1 };
  const path: Node[] = [yield* openRoot(task, v, inode)];
  try {
    let sibling = -1; // where the next leaf starts
    for (let node = path[0]; node.depth > 0; node = path[path.length - 1]) {
      const index = Math.max(0, findEntry(node, from));
      if (index + 1 < countOf(node)) sibling = logicalOf(node, index + 1);
      if (countOf(node) === 0) return removed;
      path.push(yield* openChild(task, v, node, index));
    }
    const leaf = path[path.length - 1];
    const rest = yield* removeFromLeaf(task, v, handle, leaf, from, to, limit, removed);
    if (removed.next < 0 && sibling >= 0 && sibling <= to) removed.next = sibling;
    if (countOf(leaf) === 0) yield* pruneLeaf(task, v, handle, inode, path, from);
    if (rest !== null) {
      yield* insertExtent(task, v, handle, inode, rest.logical, rest.phys, rest.length);
    }
  } finally {
    for (const node of path) yield* putBuffer(task, v, node.b);
  }
  yield* noteTid(v, handle, inode);
  return removed;
}

interface Piece {
  readonly logical: number;
  readonly phys: number;
  readonly length: number;
}

/** Returns what must be entered again: the end of an extent out of whose middle blocks were taken. */
function* removeFromLeaf(
  task: Task,
  v: Vol,
  handle: Handle,
  leaf: Node,
  from: number,
  to: number,
  limit: number,
  removed: Removed,
): Op<Piece | null> {
  let index = Math.max(0, findEntry(leaf, from));
  if (index < countOf(leaf) && logicalOf(leaf, index) + lengthOf(leaf, index) <= from) index++;
  if (index >= countOf(leaf) || logicalOf(leaf, index) > to) return null;
  let rest: Piece | null = null;
  yield* editNode(task, v, handle, leaf, () => {
    for (let done = 0; index < countOf(leaf) && logicalOf(leaf, index) <= to; done++) {
      const logical = logicalOf(leaf, index);
      const phys = physOf(leaf, index);
      const length = lengthOf(leaf, index);
      if (done === limit) {
        removed.next = logical;
        return;
      }
      const start = Math.max(from, logical);
      const end = Math.min(to + 1, logical + length);
      removed.runs.push(phys + start - logical, end - start);
      const before = start - logical;
      const after = logical + length - end;
      if (before > 0) {
        setEntry(leaf, index, logical, phys, before);
        if (after > 0) rest = { logical: end, phys: phys + end - logical, length: after };
        index++;
      } else if (after > 0) {
        setEntry(leaf, index, end, phys + end - logical, after);
        index++;
      } else {
        deleteEntries(leaf, index, 1);
      }
    }
  });
  return rest;
}

/** Frees an empty leaf, and the nodes above it that become empty. */
function* pruneLeaf(
  task: Task,
  v: Vol,
  handle: Handle,
  inode: number,
  path: Node[],
  logical: number,
): Op<void> {
  let freed = 0;
  for (let level = path.length - 1; level > 0 && countOf(path[level]) === 0; level--) {
    const parent = path[level - 1];
    const index = Math.max(0, findEntry(parent, logical));
    yield* editNode(task, v, handle, parent, () => deleteEntries(parent, index, 1));
    const node = path[level];
    path.length = level;
    yield* putBuffer(task, v, node.b);
    yield* freeMetadataBlock(task, v, handle, node.block);
    freed++;
  }
  const root = path[0];
  if (freed === 0) return;
  yield* changeInode(task, v, handle, inode, (words, at) => {
    write(words, at + DI.blocks, read(words, at + DI.blocks) - freed);
    if (countOf(root) === 0) write(words, at + DI.depth, 0);
  });
}
