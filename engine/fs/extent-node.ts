// One node of a file's extent tree: the root inside the inode, or an extent block (layout.ts).

import { read, write } from '../memory/word.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import {
  bufferAt,
  bufferSegment,
  getBuffer,
  getFreshBuffer,
  lockBuffer,
  putBuffer,
  unlockBuffer,
} from './buffer.js';
import { changeBuffer, damaged, type Vol } from './core.js';
import { blockCrc, inodeBlock, inodeCrc, inodeOffset } from './dinode.js';
import type { Handle } from './journal.js';
import {
  BLOCK_EXTENTS,
  DEPTH_MAX,
  DI,
  DIFLAG,
  EB,
  EXTENT_MAGIC,
  EXTENT_WORDS,
  ROOT_EXTENTS,
} from './layout.js';

/** A node whose buffer is held. Its words may be read as long as i_data_sem is. */
export interface Node {
  readonly b: number;
  readonly block: number;
  readonly words: Int32Array;
  /** Where the inode, or the extent block, starts. */
  readonly head: number;
  /** Where its entries start, and how many fit. */
  readonly base: number;
  readonly max: number;
  /** Where its count is. */
  readonly countAt: number;
  /** 0: entries are extents; else they are nodes of depth - 1. */
  readonly depth: number;
  /** Inode number of the file, and whether this is the root. */
  readonly ino: number;
  readonly root: boolean;
}

/** The root of an inode's tree. @throws Errno EUCLEAN, EIO */
export function* openRoot(task: Task, v: Vol, inode: number): Op<Node> {
  const ino = read(v.m.state.ino, inode);
  const block = inodeBlock(v, ino);
  const b = yield* getBuffer(task, v, block);
  const words = bufferSegment(v, b);
  const head = bufferAt(v, b) + inodeOffset(ino);
  const depth = read(words, head + DI.depth);
  const count = read(words, head + DI.count);
  const inline = (read(words, head + DI.flags) & DIFLAG.inline) !== 0;
  if (inline || depth < 0 || depth > DEPTH_MAX || count < 0 || count > ROOT_EXTENTS) {
    yield* putBuffer(task, v, b);
    throw damaged(`inode ${String(ino)}: root of the extent tree`);
  }
  return {
    b,
    block,
    words,
    head,
    base: head + DI.root,
    max: ROOT_EXTENTS,
    countAt: head + DI.count,
    depth,
    ino,
    root: true,
  };
}

/** The node below entry `index` of `parent`. @throws Errno EUCLEAN, EIO */
export function* openChild(task: Task, v: Vol, parent: Node, index: number): Op<Node> {
  const block = physOf(parent, index);
  if (block < v.sb.dataStart || block >= v.sb.blocks - 1)
    throw damaged(`inode ${String(parent.ino)}: extent block ${String(block)} lies outside`);
  const b = yield* getBuffer(task, v, block);
  const node = nodeAt(v, parent.ino, block, b, parent.depth - 1);
  yield* lockBuffer(task, v, b);
  const { words, head } = node;
  const count = read(words, node.countAt);
  const sane =
    read(words, head + EB.magic) === EXTENT_MAGIC &&
    read(words, head + EB.owner) === parent.ino &&
    read(words, head + EB.depth) === node.depth &&
    count > 0 &&
    count <= BLOCK_EXTENTS &&
    read(words, head + EB.crc) === blockCrc(words, head);
  if (lab?.point()) yield STEP;
  unlockBuffer(task, v, b);
  if (sane) return node;
  yield* putBuffer(task, v, b);
  throw damaged(`inode ${String(parent.ino)}: extent block ${String(block)} is damaged`);
}

/** A new, empty node in a block that was just allocated. */
export function* newNode(
  task: Task,
  v: Vol,
  handle: Handle,
  ino: number,
  block: number,
  depth: number,
): Op<Node> {
  const b = yield* getFreshBuffer(task, v, block);
  const node = nodeAt(v, ino, block, b, depth);
  yield* editNode(task, v, handle, node, () => {
    write(node.words, node.head + EB.magic, EXTENT_MAGIC);
    write(node.words, node.head + EB.owner, ino);
    write(node.words, node.head + EB.depth, depth);
  });
  return node;
}

/** Changes a node in a handle. Its CRC follows. */
export function* editNode(
  task: Task,
  v: Vol,
  handle: Handle,
  node: Node,
  change: () => void,
): Op<void> {
  yield* changeBuffer(task, v, handle, node.b, () => {
    change();
    const { words, head } = node;
    if (node.root) write(words, head + DI.crc, inodeCrc(words, head, node.ino));
    else write(words, head + EB.crc, blockCrc(words, head));
  });
}

export function countOf(node: Node): number {
  return read(node.words, node.countAt);
}

export function logicalOf(node: Node, index: number): number {
  return read(node.words, node.base + index * EXTENT_WORDS);
}

export function physOf(node: Node, index: number): number {
  return read(node.words, node.base + index * EXTENT_WORDS + 1);
}

export function lengthOf(node: Node, index: number): number {
  return read(node.words, node.base + index * EXTENT_WORDS + 2);
}

/** Sets entry `index`; inside editNode(). */
export function setEntry(
  node: Node,
  index: number,
  logical: number,
  phys: number,
  length: number,
): void {
  const at = node.base + index * EXTENT_WORDS;
  write(node.words, at, logical);
  write(node.words, at + 1, phys);
  write(node.words, at + 2, length);
}

/** Makes room for an entry at `index` and sets it; inside editNode(). */
export function insertEntry(
  node: Node,
  index: number,
  logical: number,
  phys: number,
  length: number,
): void {
  const count = countOf(node);
  const at = node.base + index * EXTENT_WORDS;
  node.words.copyWithin(at + EXTENT_WORDS, at, node.base + count * EXTENT_WORDS);
  write(node.words, node.countAt, count + 1);
  setEntry(node, index, logical, phys, length);
}

/** Takes `count` entries out from `index` on; inside editNode(). */
export function deleteEntries(node: Node, index: number, count: number): void {
  const total = countOf(node);
  const at = node.base + index * EXTENT_WORDS;
  const end = node.base + total * EXTENT_WORDS;
  node.words.copyWithin(at, at + count * EXTENT_WORDS, end);
  node.words.fill(0, end - count * EXTENT_WORDS, end);
  write(node.words, node.countAt, total - count);
}

/** The last entry that starts at or before `logical`, or -1. */
export function findEntry(node: Node, logical: number): number {
  let low = 0;
  let high = countOf(node);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (logicalOf(node, middle) <= logical) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function nodeAt(v: Vol, ino: number, block: number, b: number, depth: number): Node {
  const words = bufferSegment(v, b);
  const head = bufferAt(v, b);
  return {
    b,
    block,
    words,
    head,
    base: head + EB.entries,
    max: BLOCK_EXTENTS,
    countAt: head + EB.count,
    depth,
    ino,
    root: false,
  };
}
