// One client on a volume of the engine: a process of its machine, with its files, mappings and pins.

import { DIRENT_TYPE } from '../engine/fs/dir-block.js';
import type { VolumeFiles } from '../engine/fs/files.js';
import { S_IF } from '../engine/fs/layout.js';
import { mkdir, readdir, readlink, rename, rmdir, symlink, unlink } from '../engine/fs/names.js';
import { setattr, stat as statInode } from '../engine/fs/truncate.js';
import type { Volume } from '../engine/fs/volume.js';
import type { Machine } from '../engine/machine.js';
import type { Op, Task } from '../engine/sched/op.js';
import { O } from '../engine/syscall/file-table.js';
import { resolve, resolveParent } from '../engine/syscall/path.js';
import { Process } from '../engine/syscall/process.js';
import type {
  Attributes,
  FileExtent,
  FileHandle,
  MappingHandle,
  OpenOptions,
  VolumeSession,
} from './machine-service.js';
import type { OpRunner } from './op-runner.js';
import type { DirectoryEntry, Stat } from './protocol/methods.js';
import { fileExtents } from './volume-dma.js';
import { type Context, EngineMapping } from './volume-mapping.js';

export class EngineSession implements VolumeSession {
  readonly #at: Context;

  /** @throws Errno ENOMEM if all address spaces are in use */
  constructor(runner: OpRunner, v: Volume, files: VolumeFiles) {
    this.#at = { runner, v, files, process: new Process(runner.m, files) };
  }

  async open(path: string, options: OpenOptions, signal: AbortSignal): Promise<FileHandle> {
    const flags =
      (options.writable ? O.rdwr : O.rdonly) |
      (options.create ? O.creat : 0) |
      (options.exclusive ? O.excl : 0) |
      (options.truncate ? O.trunc : 0) |
      (options.direct ? O.direct : 0);
    const { runner, process } = this.#at;
    const fd = await runner.run((task) => process.open(task, path, flags, options.mode), signal);
    return new EngineFile(this.#at, fd, options.direct);
  }

  async stat(path: string, signal: AbortSignal): Promise<Stat> {
    return await this.#at.runner.run((task) => this.#stat(task, path), signal);
  }

  *#stat(task: Task, path: string): Op<Stat> {
    const { runner, files, v } = this.#at;
    const inode = yield* resolve(task, runner.m, files, path);
    try {
      return yield* statOf(v, inode);
    } finally {
      yield* files.iput(task, inode);
    }
  }

  async lstat(path: string, signal: AbortSignal): Promise<Stat> {
    const { v } = this.#at;
    return await this.#onInode(path, false, signal, (_task, inode) => statOf(v, inode));
  }

  async readlink(path: string, signal: AbortSignal): Promise<string> {
    const { v } = this.#at;
    return await this.#onInode(path, false, signal, (task, inode) => readlink(task, v, inode));
  }

  async symlink(target: string, path: string, signal: AbortSignal): Promise<void> {
    const { files, v } = this.#at;
    await this.#inParent(path, signal, function* (task, dir, name) {
      yield* files.iput(task, yield* symlink(task, v, dir, name, target));
    });
  }

  async setattr(path: string, attributes: Attributes, signal: AbortSignal): Promise<void> {
    const { v } = this.#at;
    const { follow, mode, modifiedMs } = attributes;
    await this.#onInode(path, follow, signal, (task, inode) =>
      setattr(task, v, inode, mode, modifiedMs),
    );
  }

  /** Runs an operation on what a path names. @param follow a link at its end */
  async #onInode<T>(
    path: string,
    follow: boolean,
    signal: AbortSignal,
    use: (task: Task, inode: number) => Op<T>,
  ): Promise<T> {
    const { runner, files } = this.#at;
    const run = function* (task: Task): Op<T> {
      const inode = yield* follow || isDirectoryPath(path)
        ? resolve(task, runner.m, files, path)
        : lookUpLast(task, runner.m, files, path);
      try {
        return yield* use(task, inode);
      } finally {
        yield* files.iput(task, inode);
      }
    };
    return await runner.run(run, signal);
  }

  async readdir(path: string, cursor: number, signal: AbortSignal) {
    return await this.#at.runner.run((task) => this.#readdir(task, path, cursor), signal);
  }

  *#readdir(
    task: Task,
    path: string,
    cursor: number,
  ): Op<{ readonly entries: DirectoryEntry[]; readonly cursor: number | null }> {
    const { runner, files, v } = this.#at;
    const dir = yield* resolve(task, runner.m, files, path);
    try {
      const { entries, next } = yield* readdir(task, v, dir, cursor);
      return {
        entries: entries.map(({ name, ino, type }) => ({ name, inode: ino, kind: kindOf(type) })),
        cursor: next < 0 ? null : next,
      };
    } finally {
      yield* files.iput(task, dir);
    }
  }

  async mkdir(path: string, mode: number, signal: AbortSignal): Promise<void> {
    const { files, v } = this.#at;
    await this.#inParent(path, signal, function* (task, dir, name) {
      yield* files.iput(task, yield* mkdir(task, v, dir, name, mode));
    });
  }

  async unlink(path: string, signal: AbortSignal): Promise<void> {
    const { v } = this.#at;
    await this.#inParent(path, signal, (task, dir, name) => unlink(task, v, dir, name));
  }

  async rmdir(path: string, signal: AbortSignal): Promise<void> {
    const { v } = this.#at;
    await this.#inParent(path, signal, (task, dir, name) => rmdir(task, v, dir, name));
  }

  async rename(from: string, to: string, signal: AbortSignal): Promise<void> {
    const { runner, files, v } = this.#at;
    await this.#inParent(from, signal, function* (task, oldDir, oldName) {
      const target = yield* resolveParent(task, runner.m, files, to);
      try {
        yield* rename(task, v, oldDir, oldName, target.dir, target.name);
      } finally {
        yield* files.iput(task, target.dir);
      }
    });
  }

  async sync(signal: AbortSignal): Promise<void> {
    const { runner, v } = this.#at;
    await runner.run((task) => v.sync(task), signal);
  }

  async close(): Promise<void> {
    const { runner, process } = this.#at;
    if (runner.m.panicked) return; // a machine that has stopped gives nothing back
    await runner.run((task) => process.exit(task));
  }

  async #inParent(
    path: string,
    signal: AbortSignal,
    change: (task: Task, dir: number, name: string) => Op<void>,
  ): Promise<void> {
    const { runner, files } = this.#at;
    const run = function* (task: Task): Op<void> {
      const { dir, name } = yield* resolveParent(task, runner.m, files, path);
      try {
        yield* change(task, dir, name);
      } finally {
        yield* files.iput(task, dir);
      }
    };
    await runner.run(run, signal);
  }
}

/** The root, `..` and paths that end with a slash are no links. */
function isDirectoryPath(path: string): boolean {
  return path.endsWith('/') || ['', '.', '..'].includes(path.slice(path.lastIndexOf('/') + 1));
}

/** The inode of the last name of a path, with a reference; a link there is not followed. */
function* lookUpLast(task: Task, m: Machine, files: VolumeFiles, path: string): Op<number> {
  const { dir, name } = yield* resolveParent(task, m, files, path);
  try {
    return yield* files.lookup(task, dir, name);
  } finally {
    yield* files.iput(task, dir);
  }
}

class EngineFile implements FileHandle {
  constructor(
    private readonly at: Context,
    private readonly fd: number,
    private readonly direct: boolean,
  ) {}

  async stat(signal: AbortSignal): Promise<Stat> {
    const { runner, process, v } = this.at;
    return await runner.run(() => statOf(v, process.inodeOf(this.fd)), signal);
  }

  async pread(offset: number, target: Uint8Array, signal: AbortSignal): Promise<number> {
    const { runner, process } = this.at;
    if (!this.direct) {
      return await runner.run((task) => process.pread(task, this.fd, target, offset), signal);
    }
    return await this.#throughMemory(target.byteLength, signal, (address) =>
      this.#directRead(address, offset, target),
    );
  }

  async pwrite(offset: number, data: Uint8Array, signal: AbortSignal): Promise<number> {
    const { runner, process } = this.at;
    if (!this.direct) {
      return await runner.run((task) => process.pwrite(task, this.fd, data, offset), signal);
    }
    return await this.#throughMemory(data.byteLength, signal, (address) =>
      this.#directWrite(address, offset, data),
    );
  }

  #directRead(address: number, offset: number, target: Uint8Array) {
    const { process } = this.at;
    const { fd } = this;
    return function* (task: Task): Op<number> {
      const length = target.byteLength;
      const done = yield* process.directRead(task, fd, address, length, offset);
      yield* process.load(task, address, target.subarray(0, done));
      return done;
    };
  }

  #directWrite(address: number, offset: number, data: Uint8Array) {
    const { process } = this.at;
    const { fd } = this;
    return function* (task: Task): Op<number> {
      yield* process.store(task, address, data);
      return yield* process.directWrite(task, fd, address, data.byteLength, offset);
    };
  }

  /** Direct I/O is between a file and memory of the process: anonymous pages, for as long as it takes. */
  async #throughMemory(
    lengthBytes: number,
    signal: AbortSignal,
    transfer: (address: number) => (task: Task) => Op<number>,
  ): Promise<number> {
    if (lengthBytes === 0) return 0;
    const { runner, process } = this.at;
    const anonymous = { fd: null, offsetBytes: 0, lengthBytes, address: null };
    const request = { ...anonymous, read: true, write: true, shared: false };
    return await runner.run(function* (task) {
      const address = yield* process.mmap(task, request);
      try {
        return yield* transfer(address)(task);
      } finally {
        yield* process.munmap(task, address, lengthBytes);
      }
    }, signal);
  }

  async fsync(signal: AbortSignal): Promise<void> {
    const { runner, process } = this.at;
    await runner.run((task) => process.fsync(task, this.fd), signal);
  }

  async truncate(sizeBytes: number, signal: AbortSignal): Promise<void> {
    const { runner, process } = this.at;
    await runner.run((task) => process.ftruncate(task, this.fd, sizeBytes), signal);
  }

  async punch(offset: number, lengthBytes: number, signal: AbortSignal): Promise<void> {
    const { runner, process } = this.at;
    await runner.run((task) => process.punchHole(task, this.fd, offset, lengthBytes), signal);
  }

  async extents(
    offset: number,
    lengthBytes: number,
    max: number,
    signal: AbortSignal,
  ): Promise<FileExtent[]> {
    const { runner, process, v } = this.at;
    const inode = process.inodeOf(this.fd);
    return await runner.run(
      (task) => fileExtents(task, v, inode, offset, lengthBytes, max),
      signal,
    );
  }

  async map(
    offsetBytes: number,
    lengthBytes: number,
    write: boolean,
    signal: AbortSignal,
  ): Promise<MappingHandle> {
    const { runner, process } = this.at;
    const request = { fd: this.fd, offsetBytes, lengthBytes, read: true, write, shared: true };
    const inode = process.inodeOf(this.fd);
    const address = await runner.run(
      (task) => process.mmap(task, { ...request, address: null }),
      signal,
    );
    return new EngineMapping(this.at, inode, offsetBytes, address, lengthBytes);
  }

  async close(): Promise<void> {
    const { runner, process } = this.at;
    if (runner.m.panicked) return;
    await runner.run((task) => process.close(task, this.fd));
  }
}

function* statOf(v: Volume, inode: number): Op<Stat> {
  const { ino, mode, nlink, sizeBytes, mtimeMs } = yield* statInode(v, inode);
  const type = mode & S_IF.mask;
  return {
    inode: ino,
    kind: type === S_IF.dir ? 'directory' : type === S_IF.link ? 'symlink' : 'file',
    mode: mode & 0o7777,
    links: nlink,
    sizeBytes,
    modifiedMs: mtimeMs,
  };
}

function kindOf(type: number): DirectoryEntry['kind'] {
  if (type === DIRENT_TYPE.dir) return 'directory';
  return type === DIRENT_TYPE.link ? 'symlink' : 'file';
}
