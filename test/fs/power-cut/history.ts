// What actors did to a volume, and what it promised them: per file every version it ever had, per
// folder of an actor every set of names, each with the crash point from which on it may be seen, and
// with the points from which on a sync says that nothing older may be (B11).

import type { SectorStore } from './sectors.js';

/** From crash point `at` on, nothing older than `index` may be found. */
interface SyncPromise {
  readonly at: number;
  readonly index: number;
}

/** States of something in the order in which they came to be. */
export class History<T> {
  readonly states: { readonly start: number; readonly state: T }[] = [];
  /** Index of the last state whose operation has ended. */
  done = -1;
  private readonly promises: SyncPromise[] = [];

  get newest(): number {
    return this.states.length - 1;
  }

  /** An operation that leads to a new state begins after `start` events. */
  begin(start: number, state: T): void {
    this.states.push({ start, state });
  }

  promise(at: number, index: number): void {
    const last = this.promises.at(-1);
    if (index < 0 || (last !== undefined && last.index >= index)) return;
    this.promises.push({ at, index });
  }

  /** Indices of the states that may be found after a cut at this crash point. */
  window(point: number): Window {
    let low = 0;
    for (const { at, index } of this.promises) if (at <= point) low = index;
    let high = -1;
    for (const { start } of this.states) if (start <= point) high++;
    return { low, high };
  }

  /** The crash points at which a window changes. */
  *changes(): Generator<number, void> {
    for (const { start } of this.states) yield start;
    for (const { at } of this.promises) yield at;
  }
}

/** The first and the last state that may be found; high < low: none yet. */
export interface Window {
  readonly low: number;
  readonly high: number;
}

/** What a file holds. */
export interface FileVersion {
  readonly sizeBytes: number;
  /** Numbers of its sectors; those that are missing are zeroes. */
  readonly sectors: Int32Array;
}

/** A file, whatever its names are. */
export class FileHistory extends History<FileVersion> {
  bytes: Uint8Array = new Uint8Array(0);
  /** The newest set of names of its actor in which its links changed: fsync makes that durable too. */
  namesIndex = 0;

  constructor(
    readonly id: number,
    private readonly store: SectorStore,
    start: number,
  ) {
    super();
    this.change(start, this.bytes);
    this.done = 0;
  }

  /** An operation begins that gives it these bytes. */
  change(start: number, bytes: Uint8Array): void {
    this.bytes = bytes;
    this.begin(start, { sizeBytes: bytes.length, sectors: this.store.idsOf(bytes) });
  }
}

export interface Folder {
  readonly kind: 'folder';
  /** As FileHistory.namesIndex. */
  namesIndex: number;
}

export interface Link {
  readonly kind: 'link';
  readonly target: string;
}

export interface FileEntry {
  readonly kind: 'file';
  readonly file: FileHistory;
}

export type Entry = Folder | Link | FileEntry;

/** By path below the actor's folder, which itself is ''. Empty: there is no such folder. */
export type Names = ReadonlyMap<string, Entry>;

/** A set of names, as a text that two equal ones share (describeNames). */
export interface NamesState {
  readonly names: Names;
  readonly text: string;
}

/** What one actor did. */
export interface ActorHistory {
  /** The name of its folder in the root. */
  readonly folder: string;
  readonly names: History<NamesState>;
  readonly files: FileHistory[];
}

/** What is found of one name: kind, target, and which file it is. */
export interface FoundName {
  readonly kind: Entry['kind'];
  readonly target: string;
  /** Names of one file have the same one. */
  readonly file: number;
}

/** Names as a text: files with several names are told by the first of them. */
export function describeNames(names: ReadonlyMap<string, FoundName>): string {
  const firsts = new Map<number, string>();
  const lines: string[] = [];
  for (const path of [...names.keys()].sort()) {
    const entry = names.get(path);
    if (entry === undefined) continue;
    if (entry.kind !== 'file') {
      lines.push(`${path} ${entry.kind} ${entry.target}`);
      continue;
    }
    const first = firsts.get(entry.file) ?? path;
    firsts.set(entry.file, first);
    lines.push(`${path} file ${first}`);
  }
  return lines.join('\n');
}

/** A state of names for a history. */
export function namesState(names: Names): NamesState {
  const found = new Map<string, FoundName>();
  for (const [path, entry] of names) {
    const target = entry.kind === 'link' ? entry.target : '';
    found.set(path, { kind: entry.kind, target, file: entry.kind === 'file' ? entry.file.id : 0 });
  }
  return { names, text: describeNames(found) };
}
