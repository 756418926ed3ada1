// Copies files and trees from one tree to another as `cp -r` does, with modes and times kept, in
// bounded memory.

import { CliError, codeOf, reasonOf } from '../frame/errors.js';
import {
  type Attributes,
  baseName,
  below,
  type Later,
  type Node,
  parentOf,
  type Reader,
  type Tree,
  type Writer,
} from './tree.js';

/** Bytes that are read and written at once. */
export const CHUNK_BYTES = 1024 * 1024;

/** Errors after which nothing else can work; after all others the copy goes on with the next file. */
const FATAL: ReadonlySet<string> = new Set([
  ...['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'ENOMEM', 'EINTR', 'ESHUTDOWN'],
  ...['ECONNRESET', 'ECONNREFUSED', 'ENOTCONN', 'EPIPE', 'ETIMEDOUT', 'EPROTO', 'EBADMSG'],
]);

export interface CopyCounts {
  files: number;
  directories: number;
  symlinks: number;
  bytes: number;
}

/** Something that was not copied, and why. */
export interface Refusal {
  readonly path: string;
  readonly code: string;
  readonly message: string;
}

export interface CopyOptions {
  /** Called often: after each file and each chunk. Throwing ends the copy. */
  readonly onProgress: (counts: Readonly<CopyCounts>, path: string) => Later<void>;
  readonly onRefusal: (refusal: Refusal) => void;
  /** Sync the target after so many files; 0: only the caller does. */
  readonly syncEvery: number;
  /** Told after each of those: so many files are durable. */
  readonly onSync: (files: number) => void;
  /** Permission bits that are kept. */
  readonly modeMask: number;
}

export interface CopyResult extends Readonly<CopyCounts> {
  readonly refusals: readonly Refusal[];
}

/**
 * Copies `from` of the source to `to` of the target: into it if it is a directory, else under that name.
 * @throws CliError if nothing can be copied; errors of the trees that leave no hope
 */
export async function copyTree(
  source: Tree,
  from: string,
  target: Tree,
  to: string,
  options: CopyOptions,
): Promise<CopyResult> {
  const node = await source.stat(from, from.endsWith('/'));
  if (node === null) throw missing(source, from);
  if (from.endsWith('/') && node.kind !== 'directory') {
    throw new CliError('ENOTDIR', `${source.show(from)} is no directory: leave the slash out`);
  }
  const copy = new Copy(source, target, options);
  await copy.node(from, node, await destination(node, from, target, to), true);
  return { ...copy.counts, refusals: copy.refusals };
}

/** Where a copy of `from` goes. */
async function destination(node: Node, from: string, target: Tree, to: string): Promise<string> {
  const there = await target.stat(to, true);
  const name = baseName(from);
  if (there?.kind === 'directory') {
    // The contents of `/`, `dir/.` and `..` go into the directory itself, as with cp.
    return ['/', '.', '..'].includes(name) ? to : below(to, name);
  }
  if (there !== null) {
    if (!to.endsWith('/')) return to;
    throw new CliError('ENOTDIR', `${target.show(to)} is no directory: leave the slash out`);
  }
  const parent = await target.stat(parentOf(to), true);
  if (parent === null) throw missing(target, parentOf(to));
  if (parent.kind !== 'directory') {
    throw new CliError('ENOTDIR', `${target.show(parentOf(to))} is no directory`);
  }
  if (to.endsWith('/') && node.kind !== 'directory') {
    throw new CliError(
      'ENOTDIR',
      `${target.show(to)} is missing: make it first, or leave the slash out`,
    );
  }
  return to.replace(/\/+$/, '');
}

function missing(tree: Tree, path: string): CliError {
  return new CliError('ENOENT', `${tree.show(path)} is missing: check the path`);
}

/** One copy under way. */
class Copy {
  readonly counts: CopyCounts = { files: 0, directories: 0, symlinks: 0, bytes: 0 };
  readonly refusals: Refusal[] = [];
  private readonly chunk = new Uint8Array(CHUNK_BYTES);

  constructor(
    private readonly source: Tree,
    private readonly target: Tree,
    private readonly options: CopyOptions,
  ) {}

  /** Copies one node and what is below it. @param named by the user: a link in the way is followed */
  async node(from: string, node: Node, to: string, named: boolean): Promise<void> {
    try {
      await this.options.onProgress(this.counts, from);
      if (node.kind === 'directory') await this.directory(from, node, to, named);
      else if (node.kind === 'symlink') await this.symlink(from, node, to);
      else if (node.kind === 'file') await this.file(from, node, to, named);
      else {
        throw new CliError(
          'EINVAL',
          `${this.source.show(from)} is ${node.what}: only files, directories and symlinks are copied`,
        );
      }
    } catch (error) {
      this.refuse(from, error);
    }
  }

  private async directory(from: string, node: Node, to: string, named: boolean): Promise<void> {
    const there = await this.target.stat(to, named);
    if (there === null) await this.target.mkdir(to);
    else if (there.kind !== 'directory') {
      throw new CliError(
        'ENOTDIR',
        `${this.target.show(to)} is in the way of a directory: remove it first`,
      );
    }
    for (const name of await this.source.list(from)) {
      const path = below(from, name);
      try {
        checkName(this.source, path, name);
        const child = await this.source.stat(path, false);
        if (child === null) throw missing(this.source, path);
        await this.node(path, child, below(to, name), false);
      } catch (error) {
        this.refuse(path, error);
      }
    }
    await this.target.setAttributes(to, this.attributes(node));
    this.counts.directories++;
  }

  private async symlink(from: string, node: Node, to: string): Promise<void> {
    const text = await this.source.readlink(from);
    const there = await this.target.stat(to, false);
    if (there !== null) await this.clear(to, there);
    await this.target.symlink(to, text, this.attributes(node));
    this.counts.symlinks++;
  }

  private async file(from: string, node: Node, to: string, named: boolean): Promise<void> {
    const there = await this.target.stat(to, named);
    if (there !== null && there.kind !== 'file') await this.clear(to, there);
    if (there === null && named && (await this.target.stat(to, false)) !== null) {
      throw new CliError('ENOENT', `${this.target.show(to)} is a link to nowhere: remove it first`);
    }
    const reader = await this.source.openReader(from);
    try {
      const writer = await this.target.openWriter(to, named);
      try {
        await this.contents(reader, writer, from);
      } catch (error) {
        await writer.abandon();
        throw error;
      }
      await writer.finish(this.attributes(node));
    } finally {
      await reader.close();
    }
    this.counts.files++;
    const { syncEvery } = this.options;
    if (syncEvery > 0 && this.counts.files % syncEvery === 0) {
      await this.target.sync();
      this.options.onSync(this.counts.files);
    }
  }
  private async contents(reader: Reader, writer: Writer, from: string): Promise<void> {
    for (let offset = 0; ; ) {
      const got = await reader.read(offset, this.chunk);
      if (got > 0) await writer.write(offset, this.chunk.subarray(0, got));
      offset += got;
      this.counts.bytes += got;
      // A file of one chunk needs no second look: what it grew by meanwhile came after the copy.
      if (got < CHUNK_BYTES) return;
      await this.options.onProgress(this.counts, from);
    }
  }

  /** Makes room for something that is no directory. */
  private async clear(path: string, there: Node): Promise<void> {
    if (there.kind === 'directory') {
      throw new CliError(
        'EISDIR',
        `${this.target.show(path)} is a directory and in the way: remove it first`,
      );
    }
    await this.target.unlink(path);
  }

  private attributes(node: Node): Attributes {
    return { mode: node.mode & this.options.modeMask, modifiedMs: node.modifiedMs };
  }

  /** Goes on with the rest, if there is hope. */
  private refuse(path: string, error: unknown): void {
    const code = codeOf(error) ?? (error instanceof CliError ? error.code : null);
    if (code === null || code === 'INVARIANT' || FATAL.has(code)) throw error;
    const refusal = { path: this.source.show(path), code, message: reasonOf(error) };
    this.refusals.push(refusal);
    this.options.onRefusal(refusal);
  }
}

/** A damaged or hostile volume may hold names that lead out of the tree. */
function checkName(tree: Tree, path: string, name: string): void {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)) {
    if (!name.includes('\ufffd')) return;
    throw new CliError('EILSEQ', `${tree.show(path)} has a name that is no UTF-8: rename it`);
  }
  throw new CliError('EUCLEAN', `${tree.show(path)} is no possible name: run fsck`);
}
