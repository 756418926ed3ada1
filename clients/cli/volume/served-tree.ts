// The files of a volume that a daemon serves, as a tree.

import { type File, PinfoldError, type Stat, type Volume } from '../../node/index.js';
import type { Attributes, Node, Reader, Tree, Writer } from '../copy/tree.js';
import { CliError, reasonOf } from '../frame/errors.js';

const NEW_FILE_MODE = 0o600;
const NEW_DIRECTORY_MODE = 0o700;

export class ServedTree implements Tree {
  /** @param signal withdraws calls */
  constructor(
    private readonly volume: Volume,
    private readonly signal: AbortSignal,
  ) {}

  show(path: string): string {
    return `${this.volume.name}:${absolute(path)}`;
  }

  async stat(path: string, follow: boolean): Promise<Node | null> {
    try {
      return nodeOf(
        await this.call(path, (at, options) =>
          follow ? this.volume.stat(at, options) : this.volume.lstat(at, options),
        ),
      );
    } catch (error) {
      if (error instanceof CliError && ['ENOENT', 'ENOTDIR'].includes(error.code)) return null;
      throw error;
    }
  }

  async list(path: string): Promise<string[]> {
    const entries = await this.call(path, (at, options) => this.volume.readdir(at, options));
    return entries.map(({ name }) => name);
  }

  async openReader(path: string): Promise<Reader> {
    const file = await this.call(path, (at, options) =>
      this.volume.open(at, { ...options, writable: false }),
    );
    return {
      read: (offset, target) =>
        this.call(path, (_at, options) => file.preadInto(offset, target, options)),
      close: () => file.close(),
    };
  }

  /** The copy has removed what is in the way; a path that the user named may be a link. */
  async openWriter(path: string): Promise<Writer> {
    const file = await this.call(path, (at, options) =>
      this.volume.open(at, { ...options, create: true, truncate: true, mode: NEW_FILE_MODE }),
    );
    return new ServedWriter(this, path, file);
  }

  async mkdir(path: string): Promise<void> {
    await this.call(path, (at, options) =>
      this.volume.mkdir(at, { ...options, mode: NEW_DIRECTORY_MODE }),
    );
  }

  async readlink(path: string): Promise<string> {
    return await this.call(path, (at, options) => this.volume.readlink(at, options));
  }

  async symlink(path: string, target: string, { modifiedMs }: Attributes): Promise<void> {
    await this.call(path, async (at, options) => {
      await this.volume.symlink(target, at, options);
      const time = { modifiedMs: Math.floor(modifiedMs), follow: false };
      await this.volume.setattr(at, { ...options, ...time });
    });
  }

  async setAttributes(path: string, { mode, modifiedMs }: Attributes): Promise<void> {
    await this.call(path, (at, options) =>
      this.volume.setattr(at, { ...options, mode, modifiedMs: Math.floor(modifiedMs) }),
    );
  }

  async unlink(path: string): Promise<void> {
    await this.call(path, (at, options) => this.volume.unlink(at, options));
  }

  async rmdir(path: string): Promise<void> {
    await this.call(path, (at, options) => this.volume.rmdir(at, options));
  }

  async sync(): Promise<void> {
    await this.call('/', (_at, options) => this.volume.sync(options));
  }

  /** Calls the daemon; its error names the path. */
  async call<T>(
    path: string,
    run: (path: string, options: { readonly signal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    try {
      return await run(absolute(path), { signal: this.signal });
    } catch (cause) {
      // Which signal it was says more than that the call was withdrawn.
      this.signal.throwIfAborted();
      if (!(cause instanceof PinfoldError)) throw cause;
      const options = { cause };
      throw new CliError(cause.code, `${this.show(path)}: ${reasonOf(cause)}`, undefined, options);
    }
  }
}

class ServedWriter implements Writer {
  constructor(
    private readonly tree: ServedTree,
    private readonly path: string,
    private readonly file: File,
  ) {}

  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.tree.call(this.path, (_at, options) => this.file.pwrite(offset, data, options));
  }

  async finish(attributes: Attributes): Promise<void> {
    await this.file.close();
    await this.tree.setAttributes(this.path, attributes);
  }

  async abandon(): Promise<void> {
    await this.file.close();
  }
}

/** Paths of a volume begin at its root. */
function absolute(path: string): string {
  return path.startsWith('/') ? path : `/${path}`;
}

function nodeOf({ kind, mode, modifiedMs, sizeBytes }: Stat): Node {
  return { kind, what: `a ${kind}`, mode: mode & 0o7777, modifiedMs, sizeBytes };
}
