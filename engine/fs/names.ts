// Names: what creates, finds, moves and deletes them. One semaphore of the volume covers them all
// (Vol.names, class i_rwsem(dir)): lookups share it, changes have it alone.

import { load, read, write } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import { downRead, downWrite, upRead, upWrite } from '../sched/lock.js';
import type { Op, Task } from '../sched/op.js';
import { lab, STEP } from '../sched/step.js';
import { allocMetadataBlock } from './alloc.js';
import { bufferAt, bufferSegment, getBuffer, getFreshBuffer, putBuffer } from './buffer.js';
import { changeBlock, changeBuffer, damaged, inodeName, ip, type Vol, writePair } from './core.js';
import {
  addLinks,
  inodeBlock,
  inodeCrc,
  inodeOffset,
  isType,
  sizeOf,
  touch,
  writeInode,
} from './dinode.js';
import {
  addName,
  findName,
  isEmpty,
  type Listing,
  listFrom,
  makeRoomFor,
  type Place,
  removeName,
} from './dir.js';
import { direntType } from './dir-block.js';
import { mapBlock } from './folio-state.js';
import { loadInline } from './inline.js';
import { iget, ihold, iput } from './inode.js';
import { allocInode, freeInode, setOrphan } from './inode-bitmap.js';
import { type Handle, startHandle, stopHandle } from './journal.js';
import {
  DI,
  DIFLAG,
  INLINE_BYTES_MAX,
  INODE_WORDS,
  IP,
  LINKS_MAX,
  S_IF,
  SYMLINK_BYTES_MAX,
} from './layout.js';

/** Credits of one change of names: two directory blocks, three inodes, two bitmaps. */
const NAME_CREDITS = 10;

/** Runs `change` with all names locked. */
function* changing<T>(task: Task, v: Vol, change: () => Op<T>): Op<T> {
  yield* downWrite(task, v.names, 0);
  try {
    return yield* change();
  } finally {
    if (lab?.point()) yield STEP;
    upWrite(task, v.names, 0);
  }
}

/** Runs `look` with all names held still. */
function* looking<T>(task: Task, v: Vol, look: () => Op<T>): Op<T> {
  yield* downRead(task, v.names, 0);
  try {
    return yield* look();
  } finally {
    if (lab?.point()) yield STEP;
    upRead(task, v.names, 0);
  }
}

function* inHandle<T>(
  task: Task,
  v: Vol,
  credits: number,
  change: (handle: Handle) => Op<T>,
): Op<T> {
  const handle = yield* startHandle(task, v, credits);
  try {
    return yield* change(handle);
  } finally {
    yield* stopHandle(task, v, handle);
  }
}

/**
 * The inode slot of a name, with a reference. ".." is the directory above.
 * @throws Errno ENOENT, ENOTDIR, EINVAL, ENFILE, EUCLEAN, EIO
 */
export function* lookup(task: Task, v: Vol, dir: number, name: string): Op<number> {
  return yield* looking(task, v, function* () {
    checkDir(v, dir);
    if (name === '.') {
      ihold(v, dir);
      return dir;
    }
    if (name === '..') return yield* iget(task, v, parentOf(v, dir));
    return yield* iget(task, v, (yield* mustFind(task, v, dir, name)).ino);
  });
}

/** Makes an empty file and returns its slot, with a reference. @throws Errno EEXIST, ENOSPC, ... */
export function* create(task: Task, v: Vol, dir: number, name: string, mode: number): Op<number> {
  return yield* make(task, v, dir, name, S_IF.file | (mode & 0o7777), null);
}

/** Makes a directory and returns its slot, with a reference. @throws Errno EEXIST, ENOSPC, ... */
export function* mkdir(task: Task, v: Vol, dir: number, name: string, mode: number): Op<number> {
  return yield* make(task, v, dir, name, S_IF.dir | (mode & 0o7777), null);
}

/** Makes a symbolic link and returns its slot, with a reference. @throws Errno EEXIST, EINVAL, ... */
export function* symlink(
  task: Task,
  v: Vol,
  dir: number,
  name: string,
  target: string,
): Op<number> {
  const bytes = new TextEncoder().encode(target);
  if (bytes.length === 0 || bytes.length > SYMLINK_BYTES_MAX || target.includes('\0')) {
    throw new Errno('EINVAL', `the target of a link has 1 to ${String(SYMLINK_BYTES_MAX)} bytes`);
  }
  return yield* make(task, v, dir, name, S_IF.link | 0o777, bytes);
}

/** Where a symbolic link points. @throws Errno EINVAL (no link), EUCLEAN, EIO */
export function* readlink(task: Task, v: Vol, inode: number): Op<string> {
  if (lab?.point()) yield STEP;
  if (!isType(v, inode, S_IF.link)) {
    throw new Errno('EINVAL', `${inodeName(v.m, inode)} is not a symbolic link`);
  }
  if (lab?.point()) yield STEP;
  const size = sizeOf(v, inode);
  if (size <= INLINE_BYTES_MAX) {
    const bytes = yield* loadInline(task, v, inode);
    return new TextDecoder().decode(bytes.subarray(0, size));
  }
  const { phys } = yield* mapBlock(task, v, inode, 0);
  if (phys === 0 || size > SYMLINK_BYTES_MAX) throw damaged(`${inodeName(v.m, inode)}: its target`);
  const b = yield* getBuffer(task, v, phys);
  const words = bufferSegment(v, b);
  const start = words.byteOffset + bufferAt(v, b) * 4;
  const bytes = new Uint8Array(words.buffer, start, size).slice();
  yield* putBuffer(task, v, b);
  return new TextDecoder().decode(bytes);
}

/** A further name for a file. @throws Errno EEXIST, EPERM (a directory), ENOSPC, ... */
export function* link(task: Task, v: Vol, inode: number, dir: number, name: string): Op<void> {
  yield* changing(task, v, function* () {
    checkDir(v, dir);
    if (isType(v, inode, S_IF.dir)) throw new Errno('EPERM', 'directories have one name');
    if ((yield* findName(task, v, dir, name)) !== null) throw exists(name);
    const links = read(v.m.state.iNlink, inode);
    if (links === 0) throw new Errno('ENOENT', `${inodeName(v.m, inode)} was deleted`);
    if (links >= LINKS_MAX)
      throw new Errno('EINVAL', `a file has at most ${String(LINKS_MAX)} names`);
    yield* makeRoomFor(task, v, dir, name);
    yield* inHandle(task, v, NAME_CREDITS, function* (handle) {
      const type = direntType(read(v.m.state.iMode, inode));
      yield* addName(task, v, handle, dir, name, read(v.m.state.ino, inode), type);
      addLinks(v, inode, 1);
      yield* update(task, v, handle, inode);
      yield* touchDir(task, v, handle, dir);
    });
  });
}

/** Deletes a name of a file or link; the last one of an unopened file frees it. @throws Errno ENOENT, EISDIR, ... */
export function* unlink(task: Task, v: Vol, dir: number, name: string): Op<void> {
  const victim = yield* changing(task, v, function* () {
    checkDir(v, dir);
    const place = yield* mustFind(task, v, dir, name);
    const inode = yield* iget(task, v, place.ino);
    try {
      if (isType(v, inode, S_IF.dir))
        throw new Errno('EISDIR', `"${name}" is a directory: use rmdir`);
      yield* inHandle(task, v, NAME_CREDITS, function* (handle) {
        yield* removeName(task, v, handle, place, name);
        yield* dropLink(task, v, handle, inode);
        yield* touchDir(task, v, handle, dir);
      });
    } catch (error) {
      yield* iput(task, v, inode);
      throw error;
    }
    return inode;
  });
  yield* iput(task, v, victim);
}

/** Deletes an empty directory. @throws Errno ENOENT, ENOTDIR, ENOTEMPTY, ... */
export function* rmdir(task: Task, v: Vol, dir: number, name: string): Op<void> {
  const victim = yield* changing(task, v, function* () {
    checkDir(v, dir);
    const place = yield* mustFind(task, v, dir, name);
    const inode = yield* iget(task, v, place.ino);
    try {
      if (!isType(v, inode, S_IF.dir)) throw new Errno('ENOTDIR', `"${name}" is not a directory`);
      if (!(yield* isEmpty(task, v, inode)))
        throw new Errno('ENOTEMPTY', `directory "${name}" has entries: delete them first`);
      yield* inHandle(task, v, NAME_CREDITS, function* (handle) {
        yield* removeName(task, v, handle, place, name);
        yield* dropLink(task, v, handle, inode);
        yield* touchDir(task, v, handle, dir);
      });
    } catch (error) {
      yield* iput(task, v, inode);
      throw error;
    }
    return inode;
  });
  yield* iput(task, v, victim);
}

/**
 * Moves a name, replacing what had the new one (a directory only if it is empty).
 * @throws Errno ENOENT, ENOTDIR, EISDIR, ENOTEMPTY, EINVAL (into itself), ENOSPC, ...
 */
export function* rename(
  task: Task,
  v: Vol,
  oldDir: number,
  oldName: string,
  newDir: number,
  newName: string,
): Op<void> {
  const released = yield* changing(task, v, function* () {
    checkDir(v, oldDir);
    checkDir(v, newDir);
    const place = yield* mustFind(task, v, oldDir, oldName);
    const target = yield* findName(task, v, newDir, newName);
    if (target !== null && target.ino === place.ino) return [];
    const inode = yield* iget(task, v, place.ino);
    const held = [inode];
    try {
      if (isType(v, inode, S_IF.dir)) yield* checkNotBelow(task, v, newDir, place.ino);
      if (target !== null) {
        const old = yield* iget(task, v, target.ino);
        held.push(old);
        yield* checkReplaceable(task, v, inode, old, newName);
      }
      yield* makeRoomFor(task, v, newDir, newName);
      yield* move(
        task,
        v,
        [oldDir, oldName],
        [newDir, newName],
        inode,
        held.length > 1 ? held[1] : -1,
      );
    } catch (error) {
      for (const slot of held) yield* iput(task, v, slot);
      throw error;
    }
    return held;
  });
  for (const slot of released) yield* iput(task, v, slot);
}

/** Entries of a directory from a cursor on; 0 to begin, until `next` is -1. @throws Errno ENOTDIR, ... */
export function* readdir(task: Task, v: Vol, dir: number, cursor: number): Op<Listing> {
  return yield* looking(task, v, function* () {
    checkDir(v, dir);
    return yield* listFrom(task, v, dir, cursor);
  });
}

/** The rename itself, in one handle. Blocks are looked up again: making room may have moved them. */
function* move(
  task: Task,
  v: Vol,
  [oldDir, oldName]: readonly [number, string],
  [newDir, newName]: readonly [number, string],
  inode: number,
  replaced: number,
): Op<void> {
  const { ino, iMode } = v.m.state;
  const from = yield* mustFind(task, v, oldDir, oldName);
  const target = yield* findName(task, v, newDir, newName);
  yield* inHandle(task, v, NAME_CREDITS, function* (handle) {
    yield* removeName(task, v, handle, from, oldName);
    if (target !== null) yield* removeName(task, v, handle, target, newName);
    const type = direntType(read(iMode, inode));
    yield* addName(task, v, handle, newDir, newName, read(ino, inode), type);
    if (replaced >= 0) yield* dropLink(task, v, handle, replaced);
    if (type === direntType(S_IF.dir)) {
      write(v.m.state.iPrivate, ip(inode, IP.parent), read(ino, newDir));
      yield* update(task, v, handle, inode);
    }
    yield* touchDir(task, v, handle, oldDir);
    if (newDir !== oldDir) yield* touchDir(task, v, handle, newDir);
  });
}

function* make(
  task: Task,
  v: Vol,
  dir: number,
  name: string,
  mode: number,
  target: Uint8Array | null,
): Op<number> {
  return yield* changing(task, v, function* () {
    checkDir(v, dir);
    if ((yield* findName(task, v, dir, name)) !== null) throw exists(name);
    yield* makeRoomFor(task, v, dir, name);
    const long = target !== null && target.length > INLINE_BYTES_MAX;
    const ino = yield* inHandle(task, v, NAME_CREDITS + (long ? 2 : 0), function* (h) {
      const fresh = yield* allocInode(task, v, h);
      const block = long ? yield* storeLongTarget(task, v, h, fresh, target) : 0;
      const inline = long ? null : target;
      yield* initInode(task, v, h, fresh, mode, read(v.m.state.ino, dir));
      if (target !== null) yield* initTarget(task, v, h, fresh, target.length, inline, block);
      yield* addName(task, v, h, dir, name, fresh, direntType(mode));
      yield* touchDir(task, v, h, dir);
      return fresh;
    });
    return yield* iget(task, v, ino);
  });
}

function* initInode(
  task: Task,
  v: Vol,
  handle: Handle,
  ino: number,
  mode: number,
  parent: number,
): Op<void> {
  const type = mode & S_IF.mask;
  const inline = type === S_IF.link || (v.inlineData && type === S_IF.file);
  yield* changeBlock(task, v, handle, inodeBlock(v, ino), (words, base) => {
    const at = base + inodeOffset(ino);
    const generation = words[at + DI.generation];
    words.fill(0, at, at + INODE_WORDS);
    write(words, at + DI.mode, mode);
    write(words, at + DI.nlink, 1);
    write(words, at + DI.flags, inline ? DIFLAG.inline : 0);
    write(words, at + DI.generation, generation);
    write(words, at + DI.parent, type === S_IF.dir ? parent : 0);
    writePair(words, at + DI.mtimeLow, v.now());
    write(words, at + DI.crc, inodeCrc(words, at, ino));
  });
}

/**
 * Puts the target of a new link into a block of metadata. The same handle enters the link.
 * @throws Errno ENOSPC: the inode number is free again
 */
function* storeLongTarget(
  task: Task,
  v: Vol,
  handle: Handle,
  ino: number,
  target: Uint8Array,
): Op<number> {
  let block: number;
  try {
    block = yield* allocMetadataBlock(task, v, handle, 0);
  } catch (error) {
    yield* freeInode(task, v, handle, ino);
    throw error;
  }
  const b = yield* getFreshBuffer(task, v, block);
  try {
    yield* changeBuffer(task, v, handle, b, (words, at) =>
      new Uint8Array(words.buffer, words.byteOffset + at * 4, target.length).set(target),
    );
  } finally {
    yield* putBuffer(task, v, b);
  }
  return block;
}

/** Tells the inode of a new link where its target is: in `inline`, or in `block`. */
function* initTarget(
  task: Task,
  v: Vol,
  handle: Handle,
  ino: number,
  sizeBytes: number,
  inline: Uint8Array | null,
  block: number,
): Op<void> {
  yield* changeBlock(task, v, handle, inodeBlock(v, ino), (words, base) => {
    const at = base + inodeOffset(ino);
    writePair(words, at + DI.sizeLow, sizeBytes);
    if (inline !== null) {
      new Uint8Array(words.buffer, words.byteOffset + (at + DI.root) * 4, sizeBytes).set(inline);
    } else {
      write(words, at + DI.flags, 0);
      write(words, at + DI.blocks, 1);
      write(words, at + DI.count, 1);
      words.set([0, block, 1], at + DI.root);
    }
    write(words, at + DI.crc, inodeCrc(words, at, ino));
  });
}

function* dropLink(task: Task, v: Vol, handle: Handle, inode: number): Op<void> {
  if (addLinks(v, inode, -1) === 0) {
    yield* setOrphan(task, v, handle, read(v.m.state.ino, inode), true);
  }
  yield* update(task, v, handle, inode);
}

function* touchDir(task: Task, v: Vol, handle: Handle, dir: number): Op<void> {
  yield* touch(v, dir);
  yield* update(task, v, handle, dir);
}

/** writeInode() under i_data_sem. */
function* update(task: Task, v: Vol, handle: Handle, inode: number): Op<void> {
  yield* downWrite(task, v.m.iDataSem, inode);
  try {
    yield* writeInode(task, v, handle, inode);
  } finally {
    if (lab?.point()) yield STEP;
    upWrite(task, v.m.iDataSem, inode);
  }
}

function* mustFind(task: Task, v: Vol, dir: number, name: string): Op<Place> {
  const place = yield* findName(task, v, dir, name);
  if (place === null) throw new Errno('ENOENT', `no "${name}" in the directory`);
  return place;
}

/** @throws Errno EINVAL if directory `dir` is `ino` or lies below it */
function* checkNotBelow(task: Task, v: Vol, dir: number, ino: number): Op<void> {
  let at = read(v.m.state.ino, dir);
  for (let depth = 0; at !== 0; depth++) {
    if (at === ino) throw new Errno('EINVAL', 'a directory cannot be moved into itself');
    if (depth > v.sb.inodes) throw damaged('the directories above form a ring');
    const slot = yield* iget(task, v, at);
    at = parentOf(v, slot);
    yield* iput(task, v, slot);
    if (at === read(v.m.state.ino, slot)) return;
  }
}

function* checkReplaceable(task: Task, v: Vol, inode: number, old: number, name: string): Op<void> {
  const isDir = isType(v, inode, S_IF.dir);
  if (isType(v, old, S_IF.dir)) {
    if (!isDir) throw new Errno('EISDIR', `"${name}" is a directory`);
    if (!(yield* isEmpty(task, v, old)))
      throw new Errno('ENOTEMPTY', `directory "${name}" has entries`);
  } else if (isDir) throw new Errno('ENOTDIR', `"${name}" is not a directory`);
}

function parentOf(v: Vol, dir: number): number {
  return read(v.m.state.iPrivate, ip(dir, IP.parent));
}

function checkDir(v: Vol, dir: number): void {
  if (!isType(v, dir, S_IF.dir))
    throw new Errno('ENOTDIR', `${inodeName(v.m, dir)} is not a directory`);
  if (load(v.m.state.iNlink, dir) === 0)
    throw new Errno('ENOENT', `directory ${inodeName(v.m, dir)} was deleted`);
}

function exists(name: string): Errno {
  return new Errno('EEXIST', `"${name}" exists already`);
}
