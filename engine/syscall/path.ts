// From a path to an inode: one lookup per component, symbolic links followed (Linux: fs/namei.c).

import { S_IF } from '../fs/layout.js';
import type { Machine } from '../machine.js';
import { read } from '../memory/word.js';
import { Errno } from '../sched/errors.js';
import type { Op, Task } from '../sched/op.js';
import type { Files } from './files.js';
import { NAME_BYTES_MAX, PATH_BYTES_MAX, SYMLINKS_MAX } from './limits.js';

/** A directory, with a reference, and the last name of a path in it. */
export interface Place {
  readonly dir: number;
  readonly name: string;
}

/** Is the inode of this type (S_IF)? The caller has a reference: a type never changes. */
export function isType(m: Machine, inode: number, type: number): boolean {
  return (read(m.state.iMode, inode) & S_IF.mask) === type;
}

/**
 * The inode of a path, with a reference.
 * @throws Errno ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EINVAL
 */
export function* resolve(task: Task, m: Machine, files: Files, path: string): Op<number> {
  const steps = componentsOf(path);
  let inode = yield* files.iget(task, files.rootIno);
  let links = 0;
  const above: number[] = [];
  try {
    for (let name = steps.shift(); name !== undefined; name = steps.shift()) {
      if (!isType(m, inode, S_IF.dir)) throw notDirectory(path);
      if (name === '..') {
        const up = above.pop();
        if (up === undefined) continue;
        yield* files.iput(task, inode);
        inode = up;
        continue;
      }
      const next = yield* files.lookup(task, inode, name);
      if (!isType(m, next, S_IF.link)) {
        above.push(inode);
        inode = next;
        continue;
      }
      const target = yield* readAndPut(task, files, next);
      if (++links > SYMLINKS_MAX) throw new Errno('ELOOP', `${path}: too many symbolic links`);
      steps.unshift(...componentsOf(target));
      if (target.startsWith('/')) {
        const root = yield* files.iget(task, files.rootIno);
        above.push(inode);
        inode = root;
        yield* putAll(task, files, above);
      }
    }
  } catch (error) {
    yield* files.iput(task, inode);
    throw error;
  } finally {
    yield* putAll(task, files, above);
  }
  return inode;
}

/** The directory that holds the last name of a path. @throws as resolve(); EEXIST for the root itself */
export function* resolveParent(task: Task, m: Machine, files: Files, path: string): Op<Place> {
  const steps = componentsOf(path);
  const name = steps.pop();
  if (name === undefined || name === '..') throw new Errno('EEXIST', `${path} is a directory`);
  const dir = yield* resolve(task, m, files, `/${steps.join('/')}`);
  if (isType(m, dir, S_IF.dir)) return { dir, name };
  yield* files.iput(task, dir);
  throw notDirectory(path);
}

/** The names of a path; paths are taken from the root. */
function componentsOf(path: string): string[] {
  if (path === '') throw new Errno('ENOENT', 'a path must not be empty');
  if (path.includes('\0')) throw new Errno('EINVAL', 'a path must not contain a zero byte');
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw new Errno('ENAMETOOLONG', `a path has at most ${String(PATH_BYTES_MAX)} bytes`);
  }
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  const long = names.find((name) => Buffer.byteLength(name) > NAME_BYTES_MAX);
  if (long !== undefined) {
    throw new Errno('ENAMETOOLONG', `a name has at most ${String(NAME_BYTES_MAX)} bytes: ${long}`);
  }
  return names;
}

function notDirectory(path: string): Errno {
  return new Errno('ENOTDIR', `${path}: a part of it is not a directory`);
}

function* readAndPut(task: Task, files: Files, link: number): Op<string> {
  try {
    return yield* files.readlink(task, link);
  } finally {
    yield* files.iput(task, link);
  }
}

function* putAll(task: Task, files: Files, inodes: number[]): Op<void> {
  for (let inode = inodes.pop(); inode !== undefined; inode = inodes.pop()) {
    yield* files.iput(task, inode);
  }
}
