// The files of a volume mounted in this process, as a tree. Calls block the thread.

import { readFile, writeFile } from '../../../engine/fs/file.js';
import { VolumeFiles } from '../../../engine/fs/files.js';
import { iput } from '../../../engine/fs/inode.js';
import { S_IF } from '../../../engine/fs/layout.js';
import {
  create,
  lookup,
  mkdir,
  readdir,
  readlink,
  rmdir,
  symlink,
  unlink,
} from '../../../engine/fs/names.js';
import { setattr, stat, truncate } from '../../../engine/fs/truncate.js';
import { Errno, type ErrnoCode } from '../../../engine/sched/errors.js';
import type { Op } from '../../../engine/sched/op.js';
import { resolve, resolveParent } from '../../../engine/syscall/path.js';
import type { Attributes, Node, NodeKind, Reader, Tree, Writer } from '../copy/tree.js';
import { CliError, reasonOf } from '../frame/errors.js';
import type { MountedVolume } from './mounted-volume.js';

const NEW_FILE_MODE = 0o600;
const NEW_DIRECTORY_MODE = 0o700;

export class MountedTree implements Tree {
  private readonly names: VolumeFiles;

  constructor(private readonly mounted: MountedVolume) {
    this.names = new VolumeFiles(mounted.volume);
  }

  show(path: string): string {
    return `${this.mounted.image}:${path.startsWith('/') ? path : `/${path}`}`;
  }

  stat(path: string, follow: boolean): Node | null {
    return this.call(path, () => {
      try {
        const inode = this.find(path, follow);
        try {
          return this.nodeOf(inode);
        } finally {
          this.put(inode);
        }
      } catch (error) {
        if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return null;
        throw error;
      }
    });
  }

  list(path: string): string[] {
    const { volume: v, task } = this.mounted;
    return this.with(path, true, (dir) => {
      const names: string[] = [];
      for (let cursor = 0; cursor >= 0; ) {
        const { entries, next } = this.mounted.run(readdir(task, v, dir, cursor));
        for (const { name } of entries) names.push(name);
        cursor = next;
      }
      return names;
    });
  }

  openReader(path: string): Reader {
    const inode = this.call(path, () => this.find(path, false));
    const { volume: v, task } = this.mounted;
    return {
      read: (offset, target) =>
        this.call(path, () => this.mounted.run(readFile(task, v, inode, offset, target))),
      close: () => {
        this.put(inode);
      },
    };
  }

  openWriter(path: string, follow: boolean): Writer {
    const { volume: v, task } = this.mounted;
    return this.call(path, () => {
      try {
        const made = this.inParent(path, (dir, name) => create(task, v, dir, name, NEW_FILE_MODE));
        return new MountedWriter(this, path, made);
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
      }
      const inode = this.find(path, follow);
      try {
        this.mounted.run(truncate(task, v, inode, 0));
      } catch (error) {
        this.put(inode);
        throw error;
      }
      return new MountedWriter(this, path, inode);
    });
  }

  mkdir(path: string): void {
    const { volume: v, task } = this.mounted;
    this.call(path, () => {
      this.put(this.inParent(path, (dir, name) => mkdir(task, v, dir, name, NEW_DIRECTORY_MODE)));
    });
  }

  readlink(path: string): string {
    const { volume: v, task } = this.mounted;
    return this.with(path, false, (inode) => this.mounted.run(readlink(task, v, inode)));
  }

  symlink(path: string, target: string, { modifiedMs }: Attributes): void {
    const { volume: v, task } = this.mounted;
    this.call(path, () => {
      const inode = this.inParent(path, (dir, name) => symlink(task, v, dir, name, target));
      try {
        this.mounted.run(setattr(task, v, inode, null, Math.floor(modifiedMs)));
      } finally {
        this.put(inode);
      }
    });
  }

  setAttributes(path: string, attributes: Attributes): void {
    this.with(path, true, (inode) => {
      this.setInode(inode, attributes);
    });
  }

  unlink(path: string): void {
    const { volume: v, task } = this.mounted;
    this.call(path, () => {
      this.inParent(path, (dir, name) => unlink(task, v, dir, name));
    });
  }

  rmdir(path: string): void {
    const { volume: v, task } = this.mounted;
    this.call(path, () => {
      this.inParent(path, (dir, name) => rmdir(task, v, dir, name));
    });
  }

  sync(): void {
    const { volume, task } = this.mounted;
    this.call('/', () => {
      this.mounted.run(volume.sync(task));
    });
  }

  /** For an open file. */
  writeInode(path: string, inode: number, offset: number, data: Uint8Array): void {
    const { volume: v, task } = this.mounted;
    for (let done = 0; done < data.length; ) {
      const piece = data.subarray(done);
      const count = this.call(path, () =>
        this.mounted.run(writeFile(task, v, inode, offset + done, piece)),
      );
      if (count === 0)
        throw new CliError('ENOSPC', `${this.show(path)} does not fit: the volume is full`);
      done += count;
    }
  }

  setInode(inode: number, { mode, modifiedMs }: Attributes): void {
    const { volume: v, task } = this.mounted;
    this.mounted.run(setattr(task, v, inode, mode, Math.floor(modifiedMs)));
  }

  put(inode: number): void {
    const { volume: v, task } = this.mounted;
    this.mounted.run(iput(task, v, inode));
  }

  /** Runs something; its error names the path. */
  call<T>(path: string, run: () => T): T {
    try {
      return run();
    } catch (cause) {
      if (!(cause instanceof Errno)) throw cause;
      throw new CliError(cause.code, `${this.show(path)}: ${meaningOf(cause)}`, undefined, {
        cause,
      });
    }
  }

  /** Runs something on the inode of a path, with a reference. */
  private with<T>(path: string, follow: boolean, use: (inode: number) => T): T {
    return this.call(path, () => {
      const inode = this.find(path, follow);
      try {
        return use(inode);
      } finally {
        this.put(inode);
      }
    });
  }

  /** Runs an operation on the directory and the last name of a path. */
  private inParent<T>(path: string, use: (dir: number, name: string) => Op<T>): T {
    const { m, task } = this.mounted;
    const { dir, name } = this.mounted.run(resolveParent(task, m, this.names, path));
    try {
      return this.mounted.run(use(dir, name));
    } finally {
      this.put(dir);
    }
  }

  /** The inode slot of a path, with a reference. */
  private find(path: string, follow: boolean): number {
    const { m, task } = this.mounted;
    const names = path.split('/').filter((name) => name !== '' && name !== '.');
    if (follow || names.length === 0 || names.at(-1) === '..' || path.endsWith('/')) {
      return this.mounted.run(resolve(task, m, this.names, path));
    }
    return this.mounted.run(this.findLink(path));
  }

  private *findLink(path: string): Op<number> {
    const { m, task, volume: v } = this.mounted;
    const { dir, name } = yield* resolveParent(task, m, this.names, path);
    try {
      return yield* lookup(task, v, dir, name);
    } finally {
      yield* iput(task, v, dir);
    }
  }

  private nodeOf(inode: number): Node {
    const { mode, sizeBytes, mtimeMs } = this.mounted.run(stat(this.mounted.volume, inode));
    const [kind, what] = kindOf(mode);
    return { kind, what, mode: mode & 0o7777, modifiedMs: mtimeMs, sizeBytes };
  }
}

class MountedWriter implements Writer {
  constructor(
    private readonly tree: MountedTree,
    private readonly path: string,
    private readonly inode: number,
  ) {}

  write(offset: number, data: Uint8Array): void {
    this.tree.writeInode(this.path, this.inode, offset, data);
  }

  finish(attributes: Attributes): void {
    try {
      this.tree.call(this.path, () => {
        this.tree.setInode(this.inode, attributes);
      });
    } finally {
      this.tree.put(this.inode);
    }
  }

  abandon(): void {
    this.tree.put(this.inode);
  }
}

function kindOf(mode: number): [NodeKind, string] {
  const type = mode & S_IF.mask;
  if (type === S_IF.file) return ['file', 'a file'];
  if (type === S_IF.dir) return ['directory', 'a directory'];
  if (type === S_IF.link) return ['symlink', 'a symlink'];
  return ['special', `of type ${type.toString(8)}`];
}

/** In words for somebody who knows paths, not inodes. */
function meaningOf(error: Errno): string {
  if (error.code === 'ENOENT') return 'it is missing: check the path';
  if (error.code === 'ENOSPC') return 'the volume is full: remove files, or make a larger one';
  if (error.code === 'ENOTDIR') return 'something on the way to it is no directory';
  return reasonOf(error);
}

function isErrno(error: unknown, code: ErrnoCode): boolean {
  return error instanceof Errno && error.code === code;
}
