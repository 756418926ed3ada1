// The files of the host as a tree. Calls block the thread: the command has nothing else to do.

import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  futimesSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmdirSync,
  type Stats,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { CliError, codeOf } from '../frame/errors.js';
import type { Attributes, Node, NodeKind, Reader, Tree, Writer } from './tree.js';

/** What a system call's error means to the user, after the path. */
const MEANINGS: Readonly<Record<string, string | undefined>> = {
  ENOENT: 'is missing: check the path',
  EACCES: 'may not be used: check its permissions',
  EPERM: 'may not be changed: check its owner',
  EEXIST: 'is already there',
  ENOTDIR: 'has something on its way that is no directory',
  EISDIR: 'is a directory',
  ENOSPC: 'does not fit: the file system of the host is full',
  EDQUOT: 'does not fit: the quota is used up',
  EROFS: 'is on a read-only file system of the host',
  ELOOP: 'is a symlink, or has too many on its way',
  ENOTEMPTY: 'is not empty',
  ENAMETOOLONG: 'is too long a name',
  EIO: 'cannot be read or written: the disk of the host failed',
};

export class HostTree implements Tree {
  show(path: string): string {
    return path;
  }

  stat(path: string, follow: boolean): Node | null {
    const options = { throwIfNoEntry: false } as const;
    const status = call(path, () => (follow ? statSync(path, options) : lstatSync(path, options)));
    return status === undefined ? null : nodeOf(status);
  }

  list(path: string): string[] {
    return call(path, () => readdirSync(path));
  }

  openReader(path: string): Reader {
    return new HostReader(
      path,
      call(path, () => openSync(path, constants.O_RDONLY)),
    );
  }

  openWriter(path: string, follow: boolean): Writer {
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    const flags = O_WRONLY | O_CREAT | O_TRUNC | (follow ? 0 : O_NOFOLLOW);
    return new HostWriter(
      path,
      call(path, () => openSync(path, flags, 0o600)),
    );
  }

  mkdir(path: string): void {
    call(path, () => {
      mkdirSync(path, 0o700);
    });
  }

  readlink(path: string): string {
    return call(path, () => readlinkSync(path));
  }

  symlink(path: string, target: string, { modifiedMs }: Attributes): void {
    call(path, () => {
      symlinkSync(target, path);
      lutimesSync(path, secondsOf(modifiedMs), secondsOf(modifiedMs));
    });
  }

  setAttributes(path: string, { mode, modifiedMs }: Attributes): void {
    call(path, () => {
      chmodSync(path, mode);
      utimesSync(path, secondsOf(modifiedMs), secondsOf(modifiedMs));
    });
  }

  unlink(path: string): void {
    call(path, () => {
      unlinkSync(path);
    });
  }

  rmdir(path: string): void {
    call(path, () => {
      rmdirSync(path);
    });
  }

  /** The host's own affair. */
  sync(): void {
    // Files of the host are durable when the host says so: run sync(1) if it matters.
  }
}

class HostReader implements Reader {
  constructor(
    private readonly path: string,
    private readonly fd: number,
  ) {}

  read(offset: number, target: Uint8Array): number {
    let got = 0;
    while (got < target.length) {
      const count = call(this.path, () =>
        readSync(this.fd, target, got, target.length - got, offset + got),
      );
      if (count === 0) break;
      got += count;
    }
    return got;
  }

  close(): void {
    closeSync(this.fd);
  }
}

class HostWriter implements Writer {
  constructor(
    private readonly path: string,
    private readonly fd: number,
  ) {}

  write(offset: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      done += call(this.path, () =>
        writeSync(this.fd, data, done, data.length - done, offset + done),
      );
    }
  }

  finish({ mode, modifiedMs }: Attributes): void {
    try {
      call(this.path, () => {
        fchmodSync(this.fd, mode);
        futimesSync(this.fd, secondsOf(modifiedMs), secondsOf(modifiedMs));
      });
    } finally {
      closeSync(this.fd);
    }
  }

  abandon(): void {
    closeSync(this.fd);
  }
}

/** As Node takes times. It cuts them off at a microsecond, so half of one is added. */
function secondsOf(timeMs: number): number {
  return (timeMs + 0.0005) / 1000;
}

/** Runs a system call; its error names the path and says what it means. */
function call<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    const code = codeOf(cause);
    if (code === null) throw cause;
    const meaning = MEANINGS[code] ?? `failed (${cause instanceof Error ? cause.message : code})`;
    throw new CliError(code, `${path} ${meaning}`, undefined, { cause });
  }
}

function nodeOf(status: Stats): Node {
  const [kind, what] = kindOf(status);
  return {
    kind,
    what,
    mode: status.mode & 0o7777,
    modifiedMs: status.mtimeMs,
    sizeBytes: status.size,
  };
}

function kindOf(status: Stats | BigIntStats): [NodeKind, string] {
  if (status.isFile()) return ['file', 'a file'];
  if (status.isDirectory()) return ['directory', 'a directory'];
  if (status.isSymbolicLink()) return ['symlink', 'a symlink'];
  if (status.isFIFO()) return ['special', 'a FIFO'];
  if (status.isSocket()) return ['special', 'a socket'];
  return ['special', 'a device'];
}
