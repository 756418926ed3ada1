// One actor of a workload: it does what programs do to files, in a folder of its own, and keeps account.

import { directWrite } from '../../../engine/fs/direct.js';
import { fsync, readFile, writeFile } from '../../../engine/fs/file.js';
import { ihold, iput } from '../../../engine/fs/inode.js';
import {
  create,
  link,
  lookup,
  mkdir,
  rename,
  rmdir,
  symlink,
  unlink,
} from '../../../engine/fs/names.js';
import { punchHole, truncate } from '../../../engine/fs/truncate.js';
import { storeUser } from '../../../engine/mm/access.js';
import { allocPage, putFolio } from '../../../engine/mm/alloc.js';
import { createMm, mmap, munmap, VM } from '../../../engine/mm/vma.js';
import { InvariantError } from '../../../engine/sched/errors.js';
import type { Op, Task } from '../../../engine/sched/op.js';
import { pattern, same } from '../rig.js';
import {
  type ActorHistory,
  type Entry,
  FileHistory,
  type Folder,
  History,
  type Names,
  namesState,
} from './history.js';
import type { World } from './world.js';

const PAGE = 4096;
/** A file, and all files of an actor, are kept about so small. */
const FILE_BYTES = 40_000;
const ACTOR_BYTES = 130_000;
const FILES = 10;

/** What actors do, and how often. */
const ACTIONS = [
  ['create', 5],
  ['write', 10],
  ['append', 5],
  ['overwrite', 6],
  ['direct', 3],
  ['store', 4],
  ['truncate', 4],
  ['extend', 2],
  ['punch', 4],
  ['fsync', 12],
  ['fsyncFolder', 2],
  ['sync', 2],
  ['rename', 5],
  ['replace', 4],
  ['renameFolder', 1],
  ['link', 2],
  ['symlink', 2],
  ['unlink', 4],
  ['unlinkOpen', 2],
  ['useOpen', 3],
  ['mkdir', 2],
  ['rmdir', 1],
  ['read', 3],
] as const;

type Action = (typeof ACTIONS)[number][0];

/** Files that still have a name, with one of their names. */
type Named = readonly [string, FileHistory];

export class Actor {
  readonly task: Task;
  private readonly history: ActorHistory;
  private names: Names = new Map();
  /** Deleted, but open. */
  private readonly open: { readonly inode: number; readonly file: FileHistory }[] = [];
  private readonly mm: number;

  constructor(
    private readonly world: World,
    nth: number,
  ) {
    const { rig } = world;
    this.task = rig.m.newTask(`actor ${nth}`, nth);
    this.mm = createMm(rig.m);
    this.history = { folder: `a${nth}`, names: new History(), files: [] };
    this.history.names.begin(0, namesState(this.names));
    this.history.names.done = 0;
    world.histories.push(this.history);
  }

  *run(operations: number): Op<void> {
    const { rig } = this.world;
    yield* this.changeNames('mkdir of its folder', [['', folder()]], [], []);
    yield* this.put(yield* mkdir(this.task, rig.v, rig.root, this.history.folder, 0o755));
    this.endNames();
    for (let i = 1; i < operations; i++) yield* this.act(this.choose());
    while (this.open.length > 0) yield* this.close();
  }

  private choose(): Action {
    const { random } = this.world;
    const bytes = this.files().reduce((sum, [, file]) => sum + file.bytes.length, 0);
    if (bytes > ACTOR_BYTES) return 'unlink';
    let left = random(ACTIONS.reduce((sum, [, weight]) => sum + weight, 0));
    for (const [action, weight] of ACTIONS) {
      left -= weight;
      if (left < 0) return action;
    }
    return 'create';
  }

  private *act(action: Action): Op<void> {
    const named = this.aFile();
    if (action === 'create' || named === null) yield* this.create();
    else if (action === 'mkdir') yield* this.mkdir();
    else if (action === 'rmdir') yield* this.rmdir();
    else if (action === 'symlink') yield* this.symlink();
    else if (action === 'link') yield* this.link(named);
    else if (action === 'rename') yield* this.rename(named, this.newPath());
    else if (action === 'replace') yield* this.rename(named, this.aFile()?.[0] ?? this.newPath());
    else if (action === 'renameFolder') yield* this.renameFolder();
    else if (action === 'unlink' || action === 'unlinkOpen')
      yield* this.unlink(named, action === 'unlinkOpen');
    else if (action === 'useOpen') yield* this.useOpen();
    else if (action === 'sync') yield* this.sync();
    else if (action === 'fsyncFolder') yield* this.fsyncFolder();
    else yield* this.use(action, named);
  }

  /** Something with the bytes of a file. */
  private *use(action: Action, [path, file]: Named): Op<void> {
    const inode = yield* this.lookup(path);
    const text = `${action} of ${path}`;
    if (action === 'fsync') yield* this.fsync(text, inode, file);
    else if (action === 'read') yield* this.read(text, inode, file);
    else if (action === 'store') yield* this.store(text, inode, file);
    else yield* this.write(action, text, inode, file);
    yield* iput(this.task, this.world.rig.v, inode);
  }

  private *write(action: Action, text: string, inode: number, file: FileHistory): Op<void> {
    const { random, stamp, rig } = this.world;
    const { task } = this;
    const old = file.bytes;
    const short = random(3) > 0;
    const length = 1 + random(short ? 300 : random(6) === 0 ? 30_000 : 9000);
    const size = old.length;
    if (action === 'truncate' || action === 'extend') {
      const to = action === 'truncate' ? random(size + 1) : size + 1 + random(12_000);
      const bytes = new Uint8Array(to);
      bytes.set(old.subarray(0, to));
      this.begin(`${text} to ${to} B`);
      yield* this.change(file, bytes, truncate(task, rig.v, inode, to));
    } else if (action === 'punch') {
      const at = random(size + 1);
      const bytes = old.slice().fill(0, at, at + length);
      this.begin(`${text} at ${at}, ${length} B`);
      yield* this.change(file, bytes, punchHole(task, rig.v, inode, at, length));
    } else if (action === 'direct') {
      const count = 1 + random(4);
      const at = PAGE * random(Math.ceil(size / PAGE) + 2);
      const data = pattern(count * PAGE, stamp());
      this.begin(`${text} at ${at}, ${data.length} B`);
      yield* this.change(file, overlaid(old, at, data), this.direct(inode, at, data));
    } else {
      const place = { write: random(Math.min(size + 5000, FILE_BYTES)), append: size };
      const at =
        action === 'append' ? place.append : action === 'write' ? place.write : random(size + 1);
      const aligned = action === 'overwrite' && random(2) === 0 ? at - (at % PAGE) : at;
      const data = pattern(length, stamp());
      this.begin(`${text} at ${aligned}, ${length} B`);
      yield* this.change(file, overlaid(old, aligned, data), this.writeAll(inode, aligned, data));
    }
  }

  private *writeAll(inode: number, at: number, data: Uint8Array): Op<void> {
    const done = yield* writeFile(this.task, this.world.rig.v, inode, at, data);
    if (done < data.length) throw new InvariantError(`the volume is too small for this workload`);
  }

  private *direct(inode: number, at: number, data: Uint8Array): Op<void> {
    const { v, m } = this.world.rig;
    const count = data.length / PAGE;
    const pfns = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      pfns[i] = yield* allocPage(this.task, m);
      m.frames.view(pfns[i]).set(data.subarray(i * PAGE, (i + 1) * PAGE));
    }
    yield* directWrite(this.task, v, inode, at, pfns, count);
    for (const pfn of pfns) yield* putFolio(this.task, m, pfn);
  }

  /** Stores through a mapping. */
  private *store(text: string, inode: number, file: FileHistory): Op<void> {
    const { random, stamp, rig } = this.world;
    const { task, mm } = this;
    const size = file.bytes.length;
    if (size === 0) return yield* this.fsync(text, inode, file);
    const at = random(size);
    const page = Math.floor(at / PAGE);
    const length = 1 + random(Math.min(200, size - at, PAGE - (at % PAGE)));
    const data = pattern(length, stamp());
    this.begin(`${text} at ${at}, ${length} B`);
    ihold(rig.v, inode);
    const flags = VM.read | VM.write | VM.shared;
    const vpn = yield* mmap(task, rig.m, mm, { inode, pgoff: page, pages: 1, vpn: -1, flags });
    const stored = storeUser(task, rig.m, mm, vpn, at % PAGE, data);
    yield* this.change(file, overlaid(file.bytes, at, data), stored);
    yield* this.put(yield* munmap(task, rig.m, mm, vpn));
  }

  private *read(text: string, inode: number, file: FileHistory): Op<void> {
    this.begin(text);
    const bytes = new Uint8Array(file.bytes.length + 1);
    const got = yield* readFile(this.task, this.world.rig.v, inode, 0, bytes);
    if (!same(bytes.subarray(0, got), file.bytes))
      throw new InvariantError(`${text}: ${got} B are not what was written, without any power cut`);
  }

  private *fsync(text: string, inode: number, file: FileHistory): Op<void> {
    this.begin(text);
    const { namesIndex, newest } = file;
    yield* fsync(this.task, this.world.rig.v, inode);
    file.promise(this.world.trace.length, newest);
    this.history.names.promise(this.world.trace.length, namesIndex);
  }

  private *fsyncFolder(): Op<void> {
    const [path, { namesIndex }] = this.aFolder();
    this.begin(`fsync of folder ${path}`);
    const inode = yield* this.lookup(path);
    yield* fsync(this.task, this.world.rig.v, inode);
    this.history.names.promise(this.world.trace.length, namesIndex);
    yield* this.put(inode);
  }

  private *sync(): Op<void> {
    this.begin('sync');
    const { histories, trace, rig } = this.world;
    const done = histories.flatMap(({ names, files }) =>
      [names, ...files].map((history) => ({ history, index: history.done })),
    );
    yield* rig.v.sync(this.task);
    for (const { history, index } of done) history.promise(trace.length, index);
  }

  private *useOpen(): Op<void> {
    const held = this.open.at(0);
    if (held === undefined) return yield* this.create();
    if (this.world.random(2) === 0) return yield* this.close();
    yield* this.write('write', 'write of a deleted file', held.inode, held.file);
  }

  private *close(): Op<void> {
    this.begin('close of a deleted file');
    const held = this.open.shift();
    if (held !== undefined) yield* this.put(held.inode);
  }

  // Names.

  private *create(): Op<void> {
    if (this.files().length >= FILES) {
      const named = this.aFile();
      if (named !== null) return yield* this.unlink(named, false);
    }
    const { rig, trace, store, stamp } = this.world;
    const path = this.newPath();
    const file = new FileHistory(stamp(), store, trace.length);
    this.history.files.push(file);
    const [dir, name] = split(path);
    const inode = yield* this.lookup(dir);
    yield* this.changeNames(`create of ${path}`, [[path, { kind: 'file', file }]], [], [dir]);
    yield* this.put(yield* create(this.task, rig.v, inode, name, 0o644));
    this.endNames();
    yield* this.put(inode);
  }

  private *mkdir(): Op<void> {
    const { rig, stamp } = this.world;
    const path = `d${stamp()}`;
    const inode = yield* this.lookup('');
    yield* this.changeNames(`mkdir of ${path}`, [[path, folder()]], [], ['']);
    yield* this.put(yield* mkdir(this.task, rig.v, inode, path, 0o755));
    this.endNames();
    yield* this.put(inode);
  }

  private *rmdir(): Op<void> {
    const empty = [...this.names].find(
      ([path, { kind }]) => kind === 'folder' && path !== '' && !this.hasEntries(path),
    );
    if (empty === undefined) return yield* this.mkdir();
    const [path] = empty;
    const inode = yield* this.lookup('');
    yield* this.changeNames(`rmdir of ${path}`, [], [path], ['']);
    yield* rmdir(this.task, this.world.rig.v, inode, path);
    this.endNames();
    yield* this.put(inode);
  }

  private *symlink(): Op<void> {
    const { rig, random } = this.world;
    const path = this.newPath();
    const [dir, name] = split(path);
    const target = `../${'somewhere/'.repeat(random(2) === 0 ? 2 : 30)}${name}`;
    const inode = yield* this.lookup(dir);
    yield* this.changeNames(`symlink ${path}`, [[path, { kind: 'link', target }]], [], [dir]);
    yield* this.put(yield* symlink(this.task, rig.v, inode, name, target));
    this.endNames();
    yield* this.put(inode);
  }

  private *link([from, file]: Named): Op<void> {
    const path = this.newPath();
    const [dir, name] = split(path);
    const inode = yield* this.lookup(from);
    const dirInode = yield* this.lookup(dir);
    yield* this.changeNames(
      `link of ${from} as ${path}`,
      [[path, { kind: 'file', file }]],
      [],
      [dir],
    );
    file.namesIndex = this.history.names.newest;
    yield* link(this.task, this.world.rig.v, inode, dirInode, name);
    this.endNames();
    yield* this.put(dirInode);
    yield* this.put(inode);
  }

  private *rename([from, file]: Named, to: string): Op<void> {
    const replaced = this.names.get(to);
    if (from === to || (replaced?.kind === 'file' && replaced.file === file)) return;
    const [fromDir, fromName] = split(from);
    const [toDir, toName] = split(to);
    const oldDir = yield* this.lookup(fromDir);
    const newDir = yield* this.lookup(toDir);
    const text = `rename of ${from} to ${to}${replaced === undefined ? '' : ', which is there'}`;
    yield* this.changeNames(text, [[to, { kind: 'file', file }]], [from], [fromDir, toDir]);
    if (replaced?.kind === 'file') replaced.file.namesIndex = this.history.names.newest;
    yield* rename(this.task, this.world.rig.v, oldDir, fromName, newDir, toName);
    this.endNames();
    yield* this.put(oldDir);
    yield* this.put(newDir);
  }

  private *renameFolder(): Op<void> {
    const [from, entry] = this.aFolder();
    if (from === '') return yield* this.mkdir();
    const to = `d${this.world.stamp()}`;
    const below = [...this.names].filter(([path]) => path.startsWith(`${from}/`));
    const added: [string, Entry][] = below.map(([path, one]) => [
      to + path.slice(from.length),
      one,
    ]);
    const inode = yield* this.lookup('');
    const removed = [from, ...below.map(([path]) => path)];
    yield* this.changeNames(`rename of folder ${from} to ${to}`, [[to, entry], ...added], removed, [
      '',
    ]);
    entry.namesIndex = this.history.names.newest;
    yield* rename(this.task, this.world.rig.v, inode, from, inode, to);
    this.endNames();
    yield* this.put(inode);
  }

  private *unlink([path, file]: Named, keepOpen: boolean): Op<void> {
    const [dir, name] = split(path);
    const inode = yield* this.lookup(dir);
    const kept = keepOpen ? yield* this.lookup(path) : -1;
    yield* this.changeNames(`unlink of ${path}`, [], [path], [dir]);
    file.namesIndex = this.history.names.newest;
    yield* unlink(this.task, this.world.rig.v, inode, name);
    this.endNames();
    if (keepOpen) this.open.push({ inode: kept, file });
    yield* this.put(inode);
  }

  // The account.

  private begin(text: string): void {
    const { log, trace } = this.world;
    log.push({ at: trace.length, text: `${this.history.folder}: ${text}` });
  }

  /** Runs an operation that gives a file these bytes. */
  private *change(file: FileHistory, bytes: Uint8Array, operation: Op<void>): Op<void> {
    file.change(this.world.trace.length, bytes);
    yield* operation;
    file.done = file.newest;
  }

  /** An operation on names begins; `touched` are the folders in which it changes entries. */
  private *changeNames(
    text: string,
    added: readonly (readonly [string, Entry])[],
    removed: readonly string[],
    touched: readonly string[],
  ): Op<void> {
    this.begin(text);
    const names = new Map(this.names);
    for (const path of removed) names.delete(path);
    for (const [path, entry] of added) names.set(path, entry);
    const { names: history } = this.history;
    history.begin(this.world.trace.length, namesState(names));
    this.names = names;
    for (const [, entry] of added) if (entry.kind === 'folder') entry.namesIndex = history.newest;
    for (const path of touched) {
      const entry = names.get(path);
      if (entry?.kind === 'folder') entry.namesIndex = history.newest;
    }
    for (const [, entry] of added) {
      if (entry.kind === 'file' && entry.file.namesIndex === 0)
        entry.file.namesIndex = history.newest;
    }
  }

  private endNames(): void {
    const { names } = this.history;
    names.done = names.newest;
  }

  private files(): Named[] {
    return [...this.names].flatMap(([path, entry]): Named[] =>
      entry.kind === 'file' ? [[path, entry.file]] : [],
    );
  }

  private aFile(): Named | null {
    const files = this.files();
    return files.length === 0 ? null : files[this.world.random(files.length)];
  }

  private aFolder(): readonly [string, Folder] {
    const folders = [...this.names].flatMap(([path, entry]): [string, Folder][] =>
      entry.kind === 'folder' ? [[path, entry]] : [],
    );
    return folders[this.world.random(folders.length)];
  }

  private newPath(): string {
    const [dir] = this.aFolder();
    const name = `f${this.world.stamp()}`;
    return dir === '' ? name : `${dir}/${name}`;
  }

  private hasEntries(dir: string): boolean {
    return [...this.names.keys()].some((path) => path.startsWith(`${dir}/`));
  }

  /** The inode of a path, with a reference. */
  private *lookup(path: string): Op<number> {
    const { rig } = this.world;
    let inode = yield* lookup(this.task, rig.v, rig.root, this.history.folder);
    for (const name of path.split('/')) {
      if (name === '') continue;
      const next = yield* lookup(this.task, rig.v, inode, name);
      yield* this.put(inode);
      inode = next;
    }
    return inode;
  }

  private *put(inode: number): Op<void> {
    yield* iput(this.task, this.world.rig.v, inode);
  }
}

function folder(): Folder {
  return { kind: 'folder', namesIndex: 0 };
}

/** Folder and last name of a path. */
function split(path: string): [string, string] {
  const at = path.lastIndexOf('/');
  return at < 0 ? ['', path] : [path.slice(0, at), path.slice(at + 1)];
}

/** Old bytes with others over them, zeroes in a gap. */
function overlaid(old: Uint8Array, at: number, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.max(old.length, at + data.length));
  bytes.set(old);
  bytes.set(data, at);
  return bytes;
}
