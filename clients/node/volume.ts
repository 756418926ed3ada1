// A volume of the daemon: its names, its files, and its machine. It comes back by itself after a reconnection.

import {
  type DirectoryEntry,
  type FindingMessage,
  METHODS,
  type Stat,
} from '../../daemon/protocol/methods.js';
import { File } from './file.js';
import type { Link } from './link.js';
import type { CallOptions, Owner } from './owner.js';

export interface OpenOptions extends CallOptions {
  /** Make the file if it is missing. */
  readonly create?: boolean;
  /** With `create`: fail with EEXIST if it is there. */
  readonly exclusive?: boolean;
  readonly truncate?: boolean;
  /** Default: true. */
  readonly writable?: boolean;
  /** Bypass the page cache: offsets and lengths are multiples of the page size. */
  readonly direct?: boolean;
  /** Permissions of a new file. Default: 0o644. */
  readonly mode?: number;
}

export interface SetattrOptions extends CallOptions {
  readonly mode?: number;
  readonly modifiedMs?: number;
  /** False: of a symbolic link itself. Default: true. */
  readonly follow?: boolean;
}

export class Volume {
  #link: Link;
  #handle: number;

  private constructor(
    private readonly client: Owner,
    readonly name: string,
    readonly sizeBytes: number,
    readonly pageBytes: number,
    /** The rules in force. */
    readonly profile: string,
    link: Link,
    handle: number,
  ) {
    this.#link = link;
    this.#handle = handle;
  }

  /** Use client.volume(). */
  static async open(client: Owner, name: string, signal?: AbortSignal): Promise<Volume> {
    const link = await client.up();
    const opened = await link.call(METHODS.volumeOpen, { name }, signal);
    const { handle, sizeBytes, pageBytes, profile } = opened;
    return new Volume(client, name, sizeBytes, pageBytes, profile, link, handle);
  }

  /** Opens a file. @throws PinfoldError ENOENT, EEXIST, EISDIR, EMFILE, ENOSPC... */
  async open(path: string, options: OpenOptions = {}): Promise<File> {
    const { signal, ...given } = options;
    const defaults = {
      create: false,
      exclusive: false,
      truncate: false,
      writable: true,
      direct: false,
      mode: 0o644,
    };
    const { link, handle: volume } = await this.#at(options);
    const params = { ...defaults, ...given, handle: volume, path };
    const { handle } = await link.call(METHODS.fileOpen, params, signal);
    return new File(this.client, link, handle, path);
  }

  async stat(path: string, options: CallOptions = {}): Promise<Stat> {
    const { link, handle } = await this.#at(options);
    return await link.call(METHODS.volumeStat, { handle, path }, options.signal);
  }

  /** As stat(), but of a symbolic link itself. */
  async lstat(path: string, options: CallOptions = {}): Promise<Stat> {
    const { link, handle } = await this.#at(options);
    return await link.call(METHODS.volumeLstat, { handle, path }, options.signal);
  }

  /** Where a symbolic link points. @throws PinfoldError EINVAL if it is none */
  async readlink(path: string, options: CallOptions = {}): Promise<string> {
    const { link, handle } = await this.#at(options);
    const { target } = await link.call(METHODS.volumeReadlink, { handle, path }, options.signal);
    return target;
  }

  async symlink(target: string, path: string, options: CallOptions = {}): Promise<void> {
    const { link, handle } = await this.#at(options);
    await link.call(METHODS.volumeSymlink, { handle, target, path }, options.signal);
  }

  /** Sets permission bits and modification time (whole milliseconds). */
  async setattr(path: string, attributes: SetattrOptions): Promise<void> {
    const { follow = true, mode = null, modifiedMs = null, signal } = attributes;
    const { link, handle } = await this.#at(attributes);
    const params = { handle, path, follow, mode, modifiedMs };
    await link.call(METHODS.volumeSetattr, params, signal);
  }

  /** All entries of a directory, without `.` and `..`. */
  async readdir(path: string, options: CallOptions = {}): Promise<DirectoryEntry[]> {
    const all: DirectoryEntry[] = [];
    let cursor: number | null = 0;
    while (cursor !== null) {
      const { link, handle } = await this.#at(options);
      const params: { handle: number; path: string; cursor: number } = { handle, path, cursor };
      const page = await link.call(METHODS.volumeReaddir, params, options.signal);
      all.push(...page.entries);
      cursor = page.cursor;
    }
    return all;
  }

  async mkdir(path: string, options: CallOptions & { readonly mode?: number } = {}): Promise<void> {
    const { link, handle } = await this.#at(options);
    await link.call(
      METHODS.volumeMkdir,
      { handle, path, mode: options.mode ?? 0o755 },
      options.signal,
    );
  }

  async unlink(path: string, options: CallOptions = {}): Promise<void> {
    const { link, handle } = await this.#at(options);
    await link.call(METHODS.volumeUnlink, { handle, path }, options.signal);
  }

  async rmdir(path: string, options: CallOptions = {}): Promise<void> {
    const { link, handle } = await this.#at(options);
    await link.call(METHODS.volumeRmdir, { handle, path }, options.signal);
  }

  async rename(from: string, to: string, options: CallOptions = {}): Promise<void> {
    const { link, handle } = await this.#at(options);
    await link.call(METHODS.volumeRename, { handle, from, to }, options.signal);
  }

  /** Makes everything written so far durable. */
  async sync(options: CallOptions = {}): Promise<void> {
    const { link, handle } = await this.#at(options);
    await link.call(METHODS.volumeSync, { handle }, options.signal);
  }

  async statfs(options: CallOptions = {}) {
    const { link, handle } = await this.#at(options);
    return await link.call(METHODS.volumeStatfs, { handle }, options.signal);
  }

  /** `flush` cleans dirty pages now (WB_SYNC_NONE); `pause` and `resume` stop and start the flusher. */
  async writeback(action: 'flush' | 'pause' | 'resume', options: CallOptions = {}): Promise<void> {
    const { link, handle } = await this.#at(options);
    await link.call(METHODS.volumeWriteback, { handle, action }, options.signal);
  }

  /** Counters of the machine: pages dirty, under writeback, pinned... */
  async statistics(options: CallOptions = {}): Promise<Record<string, number>> {
    const { link, handle } = await this.#at(options);
    return await link.call(METHODS.volumeStatistics, { handle }, options.signal);
  }

  /** What went wrong under the rules in force: all are counted, the first ones are kept. */
  async findings(
    options: CallOptions = {},
  ): Promise<{ readonly count: number; readonly kept: FindingMessage[] }> {
    const { link, handle } = await this.#at(options);
    return await link.call(METHODS.volumeFindings, { handle }, options.signal);
  }

  /** Closes it, and all files, mappings and pins that were opened through it. */
  async close(): Promise<void> {
    if (this.client.link !== this.#link) return; // went with its connection
    await this.#link.call(METHODS.release, { handle: this.#handle });
  }

  /** Where it is open, after a reconnection anew. */
  async #at(options: CallOptions): Promise<{ readonly link: Link; readonly handle: number }> {
    if (this.client.link !== this.#link) {
      const link = await this.client.up();
      const { handle } = await link.call(METHODS.volumeOpen, { name: this.name }, options.signal);
      this.#handle = handle;
      this.#link = link;
    }
    return { link: this.#link, handle: this.#handle };
  }
}
