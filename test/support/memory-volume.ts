// A volume that keeps its files in this process: what the daemon is tested with where the engine does not matter.
//
// As on a real one, a truncate waits while pages of the file are pinned, until its signal is aborted.

import type {
  FileExtent,
  FileHandle,
  MachineService,
  MappingHandle,
  OpenOptions,
  PinHandle,
  VolumeEvents,
  VolumeSession,
} from '../../daemon/machine-service.js';
import { PinfoldError } from '../../daemon/protocol/errors.js';
import type { FindingMessage, Stat } from '../../daemon/protocol/methods.js';

const PAGE_BYTES = 4096;

class Node {
  data = Buffer.alloc(0);
  pins = 0;
  readonly waiting = new Set<() => void>();

  constructor(
    readonly inode: number,
    readonly children: Map<string, Node> | null,
  ) {}

  stat(): Stat {
    const sizeBytes = this.data.byteLength;
    const kind = this.children === null ? 'file' : 'directory';
    return {
      inode: this.inode,
      kind,
      mode: 0o644,
      links: 1,
      sizeBytes,
      modifiedMs: 0,
    };
  }

  resize(sizeBytes: number): void {
    const next = Buffer.alloc(sizeBytes);
    this.data.copy(next);
    this.data = next;
  }
}

export class MemoryVolume implements MachineService {
  readonly sizeBytes = 2 ** 30;
  readonly pageBytes = PAGE_BYTES;
  readonly backing = 'memory';
  readonly profile = 'none';
  panicked = false;
  readonly root = new Node(1, new Map());
  /** What has been called, for tests that care. */
  readonly calls: string[] = [];
  openFiles = 0;
  mappings = 0;
  pins = 0;
  sessions = 0;
  #nextInode = 2;
  readonly #kept: FindingMessage[] = [];
  #events: VolumeEvents | null = null;

  newSession(): Promise<VolumeSession> {
    this.sessions++;
    return Promise.resolve(new Session(this));
  }

  statfs() {
    return Promise.resolve({
      blockBytes: PAGE_BYTES,
      blocks: 262144,
      blocksFree: 262144,
      inodes: 1000,
      inodesFree: 1000,
    });
  }

  writeback(action: string): Promise<void> {
    this.calls.push(`writeback ${action}`);
    return Promise.resolve();
  }

  statistics(): Record<string, number> {
    return { openFiles: this.openFiles, mappings: this.mappings, pins: this.pins };
  }

  findings() {
    return { count: this.#kept.length, kept: [...this.#kept] };
  }

  listen(events: VolumeEvents): void {
    this.#events = events;
  }

  /** As if the engine had found something. */
  find(finding: FindingMessage): void {
    this.#kept.push(finding);
    this.#events?.finding(finding);
  }

  panic(message: string): void {
    this.#events?.panic(message);
  }

  close(): Promise<void> {
    this.calls.push('close');
    return Promise.resolve();
  }

  nodeAt(path: string): Node {
    let node = this.root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      const next = node.children?.get(name);
      if (next === undefined) throw new PinfoldError('ENOENT', `${path} does not exist`);
      node = next;
    }
    return node;
  }

  parentOf(path: string): { readonly children: Map<string, Node>; readonly name: string } {
    const slash = path.lastIndexOf('/');
    const { children } = this.nodeAt(path.slice(0, Math.max(slash, 0)));
    if (children === null) throw new PinfoldError('ENOTDIR', `${path} is below a file`);
    return { children, name: path.slice(slash + 1) };
  }

  create(path: string, directory: boolean): Node {
    const { children, name } = this.parentOf(path);
    if (children.has(name)) throw new PinfoldError('EEXIST', `${path} exists`);
    const node = new Node(this.#nextInode++, directory ? new Map() : null);
    children.set(name, node);
    return node;
  }
}

class Session implements VolumeSession {
  constructor(private readonly volume: MemoryVolume) {}

  async open(path: string, options: OpenOptions): Promise<FileHandle> {
    const { children, name } = this.volume.parentOf(path);
    if (options.create && options.exclusive && children.has(name)) {
      throw new PinfoldError('EEXIST', `${path} exists`);
    }
    if (options.create && !children.has(name)) this.volume.create(path, false);
    const node = this.volume.nodeAt(path);
    if (node.children !== null) throw new PinfoldError('EISDIR', `${path} is a directory`);
    if (options.truncate) node.resize(0);
    this.volume.openFiles++;
    return await Promise.resolve(new OpenFile(this.volume, node));
  }

  stat(path: string): Promise<Stat> {
    return attempt(() => this.volume.nodeAt(path).stat());
  }

  lstat(path: string): Promise<Stat> {
    return this.stat(path);
  }

  /** It has no symbolic links and no attributes. */
  readlink(path: string): Promise<string> {
    return attempt(() => {
      this.volume.nodeAt(path);
      throw new PinfoldError('EINVAL', `${path} is no symbolic link`);
    });
  }

  symlink(): Promise<void> {
    return attempt(() => {
      throw new PinfoldError('EOPNOTSUPP', 'no symbolic links here');
    });
  }

  setattr(path: string): Promise<void> {
    return attempt(() => void this.volume.nodeAt(path));
  }

  readdir(path: string, cursor: number) {
    return attempt(() => {
      const all = [...(this.volume.nodeAt(path).children ?? [])];
      const entries = all
        .slice(cursor, cursor + 3)
        .map(([name, node]) => ({ name, inode: node.inode, kind: node.stat().kind }));
      return { entries, cursor: cursor + 3 < all.length ? cursor + 3 : null };
    });
  }

  mkdir(path: string): Promise<void> {
    return attempt(() => void this.volume.create(path, true));
  }

  unlink(path: string): Promise<void> {
    return attempt(() => {
      this.volume.nodeAt(path);
      const { children, name } = this.volume.parentOf(path);
      children.delete(name);
    });
  }

  rmdir(path: string): Promise<void> {
    return this.unlink(path);
  }

  rename(from: string, to: string): Promise<void> {
    return attempt(() => {
      const node = this.volume.nodeAt(from);
      const source = this.volume.parentOf(from);
      const target = this.volume.parentOf(to);
      source.children.delete(source.name);
      target.children.set(target.name, node);
    });
  }

  sync(): Promise<void> {
    this.volume.calls.push('sync');
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.volume.sessions--;
    return Promise.resolve();
  }
}

class OpenFile implements FileHandle {
  constructor(
    private readonly volume: MemoryVolume,
    private readonly node: Node,
  ) {}

  stat(): Promise<Stat> {
    return attempt(() => this.node.stat());
  }

  pread(offset: number, target: Uint8Array): Promise<number> {
    return attempt(() => this.node.data.copy(target, 0, offset));
  }

  pwrite(offset: number, data: Uint8Array): Promise<number> {
    return attempt(() => {
      const end = offset + data.byteLength;
      if (end > this.node.data.byteLength) this.node.resize(end);
      this.node.data.set(data, offset);
      return data.byteLength;
    });
  }

  fsync(): Promise<void> {
    this.volume.calls.push('fsync');
    return Promise.resolve();
  }

  async truncate(sizeBytes: number, signal: AbortSignal): Promise<void> {
    const { node } = this;
    while (node.pins > 0) {
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          node.waiting.delete(resolve);
          reject(new PinfoldError('EINTR', 'withdrawn while it waited for a pin'));
        };
        if (signal.aborted) onAbort();
        signal.addEventListener('abort', onAbort, { once: true });
        node.waiting.add(resolve);
      });
    }
    node.resize(sizeBytes);
  }

  punch(offset: number, lengthBytes: number): Promise<void> {
    return attempt(() => void this.node.data.fill(0, offset, offset + lengthBytes));
  }

  /** It knows of no holes. */
  extents(_offset: number, lengthBytes: number): Promise<FileExtent[]> {
    return Promise.resolve([{ lengthBytes, data: true }]);
  }

  map(offset: number, lengthBytes: number): Promise<MappingHandle> {
    return attempt(() => {
      if (offset % PAGE_BYTES !== 0 || lengthBytes % PAGE_BYTES !== 0) {
        throw new PinfoldError('EINVAL', 'a mapping is in whole pages');
      }
      this.volume.mappings++;
      return new MappedFile(this.volume, this.node, offset);
    });
  }

  close(): Promise<void> {
    this.volume.openFiles--;
    return Promise.resolve();
  }
}

class MappedFile implements MappingHandle {
  constructor(
    private readonly volume: MemoryVolume,
    private readonly node: Node,
    private readonly offset: number,
  ) {}

  load(offset: number, target: Uint8Array): Promise<void> {
    return attempt(() => void this.node.data.copy(target, 0, this.offset + offset));
  }

  store(offset: number, data: Uint8Array): Promise<void> {
    return attempt(() => this.node.data.set(data, this.offset + offset));
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  pin(offset: number, lengthBytes: number): Promise<PinHandle> {
    this.volume.pins++;
    this.node.pins++;
    const pages = Math.ceil(lengthBytes / PAGE_BYTES);
    return Promise.resolve(new Pinned(this.volume, this.node, this.offset + offset, pages));
  }

  async transfer(offset: number, bytes: Uint8Array, direction: 'load' | 'store'): Promise<void> {
    if (direction === 'load') await this.load(offset, bytes);
    else await this.store(offset, bytes);
  }

  unmap(): Promise<void> {
    this.volume.mappings--;
    return Promise.resolve();
  }
}

class Pinned implements PinHandle {
  constructor(
    private readonly volume: MemoryVolume,
    private readonly node: Node,
    private readonly offset: number,
    readonly pages: number,
  ) {}

  dmaRead(offset: number, target: Uint8Array): Promise<void> {
    return attempt(() => void this.node.data.copy(target, 0, this.offset + offset));
  }

  dmaWrite(offset: number, data: Uint8Array): Promise<void> {
    return attempt(() => this.node.data.set(data, this.offset + offset));
  }

  unpin(dirty: boolean): Promise<void> {
    this.volume.calls.push(`unpin ${dirty ? 'dirty' : 'clean'}`);
    this.volume.pins--;
    this.node.pins--;
    for (const wake of this.node.waiting) wake();
    this.node.waiting.clear();
    return Promise.resolve();
  }
}

/** What an async function does with a throw, for functions that have nothing to wait for. */
function attempt<T>(run: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(run());
  });
}
