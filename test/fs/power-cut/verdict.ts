// Is what was found after a power cut what the volume promised? Names are those of one moment, not
// before the last one that a sync covered; each sector of a file is one that the file had at some time
// since its last fsync; sizes alike.

import {
  type ActorHistory,
  describeNames,
  type FileHistory,
  type FoundName,
  type Names,
  type Window,
} from './history.js';
import type { FoundInode, FoundTree } from './recover.js';
import {
  BLOCK_BYTES,
  SECTOR_BYTES,
  SECTORS_PER_BLOCK,
  type SectorImage,
  type SectorStore,
  ZEROES,
} from './sectors.js';

/** What a file was found to hold; equal contents are one object. */
export interface FoundFile {
  readonly sizeBytes: number;
  readonly sectors: Int32Array;
  /** Something other than zeroes is behind its end, in its last block. */
  readonly staleTail: boolean;
}

/** What matters of a recovered volume; equal ones are one object. */
export interface FoundState {
  readonly id: number;
  /** For each actor its names as a text, and per path the file. */
  readonly actors: readonly FoundActor[];
}

export interface FoundActor {
  readonly text: string;
  readonly files: ReadonlyMap<string, FoundFile>;
}

/** Makes equal states one object. */
export class FoundStates {
  private readonly files = new Map<string, FoundFile>();
  private readonly ids = new Map<FoundFile, number>();
  private readonly states = new Map<string, FoundState>();
  private readonly texts = new Map<FoundTree, readonly string[]>();

  constructor(
    private readonly store: SectorStore,
    private readonly folders: readonly string[],
  ) {}

  get count(): number {
    return this.states.size;
  }

  of(tree: FoundTree, image: SectorImage): FoundState {
    const texts = this.textsOf(tree);
    let key = texts.join('\n\n');
    const found = new Map<string, FoundFile>();
    for (const [path, inode] of tree) {
      if (inode.kind !== 'file') continue;
      const file = this.fileOf(inode, image);
      found.set(path, file);
      key += ` ${this.ids.get(file) ?? 0}`;
    }
    const known = this.states.get(key);
    if (known !== undefined) return known;
    const actors = this.folders.map((folder, i): FoundActor => {
      const files = new Map<string, FoundFile>();
      for (const [path, file] of found)
        if (path.startsWith(`${folder}/`)) files.set(path.slice(folder.length + 1), file);
      return { text: texts[i], files };
    });
    const state = { id: this.states.size, actors };
    this.states.set(key, state);
    return state;
  }

  private textsOf(tree: FoundTree): readonly string[] {
    let texts = this.texts.get(tree);
    if (texts === undefined) {
      texts = this.folders.map((folder) => {
        const names = new Map<string, FoundName>();
        for (const [path, { kind, inline, ino }] of tree) {
          if (path !== folder && !path.startsWith(`${folder}/`)) continue;
          const target = kind === 'link' ? new TextDecoder().decode(inline ?? undefined) : '';
          names.set(path.slice(folder.length + 1), { kind, target, file: ino });
        }
        return describeNames(names);
      });
      this.texts.set(tree, texts);
    }
    return texts;
  }

  private fileOf({ sizeBytes, inline, blocks }: FoundInode, image: SectorImage): FoundFile {
    const count = Math.ceil(sizeBytes / SECTOR_BYTES);
    const sectors = new Int32Array(Math.ceil(sizeBytes / BLOCK_BYTES) * SECTORS_PER_BLOCK);
    if (inline !== null) sectors.set(this.store.idsOf(inline));
    for (let page = 0; page < sectors.length / SECTORS_PER_BLOCK; page++) {
      const first = (blocks.at(page) ?? 0) * SECTORS_PER_BLOCK;
      if (first > 0)
        sectors.set(image.ids.subarray(first, first + SECTORS_PER_BLOCK), page * SECTORS_PER_BLOCK);
    }
    const bytes = Buffer.from(sectors.buffer);
    const key = `${sizeBytes} ${bytes.toString('latin1')}`;
    let file = this.files.get(key);
    if (file === undefined) {
      const staleTail =
        sectors.subarray(count).some((id) => id !== ZEROES) ||
        (sizeBytes % SECTOR_BYTES !== 0 &&
          !this.store.isZeroFrom(sectors[count - 1], sizeBytes % SECTOR_BYTES));
      file = { sizeBytes, sectors: sectors.slice(0, count), staleTail };
      this.ids.set(file, this.files.size);
      this.files.set(key, file);
    }
    return file;
  }
}

/** What may be found at one crash point. */
export interface Allowed {
  readonly actors: readonly {
    readonly names: Window;
    readonly files: ReadonlyMap<number, Window>;
  }[];
}

/** The windows of all histories at a crash point. */
export function allowedAt(actors: readonly ActorHistory[], point: number): Allowed {
  return {
    actors: actors.map(({ names, files }) => ({
      names: names.window(point),
      files: new Map(files.map((file) => [file.id, file.window(point)])),
    })),
  };
}

export class Judge {
  constructor(
    private readonly actors: readonly ActorHistory[],
    private readonly store: SectorStore,
  ) {}

  /** What is wrong with a recovered volume; null if nothing. */
  problemOf(state: FoundState, allowed: Allowed): string | null {
    for (const [i, { folder, names }] of this.actors.entries()) {
      const window = allowed.actors[i].names;
      const found = state.actors[i];
      let problem: string | null = null;
      let matches = false;
      for (
        let index = window.high;
        index >= window.low && !(matches && problem === null);
        index--
      ) {
        if (names.states[index].state.text !== found.text) continue;
        matches = true;
        const files = names.states[index].state.names;
        problem = this.filesProblem(found, files, allowed.actors[i].files);
      }
      if (!matches) return `${folder}: ${this.namesProblem(found, i, window)}`;
      if (problem !== null) return `${folder}/${problem}`;
    }
    return null;
  }

  private namesProblem(found: FoundActor, i: number, { low, high }: Window): string {
    const { states } = this.actors[i].names;
    const other = states.findIndex(({ state }) => state.text === found.text);
    if (other >= 0)
      return `its names are those after operation ${other} on them, promised were those after ${low} to ${high}`;
    const has = new Set(found.text.split('\n'));
    const last = states[low].state.text.split('\n');
    const missing = last.filter((line) => !has.has(line));
    const more = [...has].filter((line) => !last.includes(line));
    return (
      `its names never were so: beside those after operation ${low}, ` +
      `missing are [${missing.join(', ')}], more are [${more.join(', ')}]`
    );
  }

  private filesProblem(
    found: FoundActor,
    names: Names,
    windows: ReadonlyMap<number, Window>,
  ): string | null {
    for (const [path, file] of found.files) {
      const entry = names.get(path);
      const window = entry?.kind === 'file' ? windows.get(entry.file.id) : undefined;
      if (entry?.kind !== 'file' || window === undefined) return `${path}: is no file`;
      const problem = this.fileProblem(file, entry.file, window);
      if (problem !== null) return `${path}: ${problem}`;
    }
    return null;
  }

  private fileProblem(found: FoundFile, file: FileHistory, { low, high }: Window): string | null {
    const versions = file.states.slice(low, high + 1).map(({ state }) => state);
    const sizes = versions.map(({ sizeBytes }) => sizeBytes);
    const { sizeBytes, sectors } = found;
    // Growing files show the size up to any whole page on the way.
    const onTheWay =
      sizeBytes % BLOCK_BYTES === 0 &&
      sizeBytes >= Math.min(...sizes) &&
      sizeBytes <= Math.max(...sizes);
    if (!sizes.includes(sizeBytes) && !onTheWay)
      return `has ${sizeBytes} B, may have ${[...new Set(sizes)].join(' or ')}`;
    for (const [i, id] of sectors.entries()) {
      const length = Math.min(SECTOR_BYTES, sizeBytes - i * SECTOR_BYTES);
      const fits = versions.some((version) =>
        this.store.sameStart(id, version.sectors.at(i) ?? ZEROES, length),
      );
      if (!fits) return this.sectorProblem(i, id, length, file, low);
    }
    return null;
  }

  private sectorProblem(
    i: number,
    id: number,
    length: number,
    file: FileHistory,
    low: number,
  ): string {
    const where = `bytes ${i * SECTOR_BYTES} to ${i * SECTOR_BYTES + length - 1}`;
    const older = file.states.findLastIndex(
      ({ state }, nth) =>
        nth < low && this.store.sameStart(id, state.sectors.at(i) ?? ZEROES, length),
    );
    if (older >= 0) return `${where} are of version ${older}, but version ${low} was synced`;
    if (id === ZEROES) return `${where} are zeroes, which they never were`;
    for (const { folder, files } of this.actors)
      for (const other of files)
        for (const { state } of other.states)
          if (state.sectors.includes(id))
            return `${where} are those of ${other === file ? 'another place of it' : `another file (number ${other.id} of ${folder})`}`;
    return `${where} are neither what it ever held, nor zeroes`;
  }
}
