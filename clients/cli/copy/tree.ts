// What a copy needs to know of a tree of files. The host has one; a volume has one whether it is
// mounted in this process or behind a daemon. Paths are separated by slashes; links are not followed
// except where it says so.

/** Now or later: trees whose calls block the thread answer at once. */
export type Later<T> = T | Promise<T>;

export type NodeKind = 'file' | 'directory' | 'symlink' | 'special';

/** A file, directory, symbolic link or something else. */
export interface Node {
  readonly kind: NodeKind;
  /** Of a special file, for messages: a FIFO, a socket, ... */
  readonly what: string;
  /** Permission bits, 0o7777. */
  readonly mode: number;
  readonly modifiedMs: number;
  readonly sizeBytes: number;
}

export interface Attributes {
  readonly mode: number;
  readonly modifiedMs: number;
}

export interface Reader {
  /** Fills `target` from the offset on; fewer bytes only at the end of the file. */
  read(offset: number, target: Uint8Array): Later<number>;
  close(): Later<void>;
}

export interface Writer {
  write(offset: number, data: Uint8Array): Later<void>;
  /** Sets the attributes and closes. */
  finish(attributes: Attributes): Later<void>;
  /** Closes and leaves what is there. */
  abandon(): Later<void>;
}

export interface Tree {
  /** How messages call a path of this tree. */
  show(path: string): string;
  /** Null if nothing is there. @param follow also follow a link at the end of the path */
  stat(path: string, follow: boolean): Later<Node | null>;
  /** Names in a directory, without `.` and `..`. */
  list(path: string): Later<string[]>;
  openReader(path: string): Later<Reader>;
  /** A new file, or one that is emptied. @param follow a link at the end of the path; else it is an error */
  openWriter(path: string, follow: boolean): Later<Writer>;
  mkdir(path: string): Later<void>;
  readlink(path: string): Later<string>;
  symlink(path: string, target: string, attributes: Attributes): Later<void>;
  setAttributes(path: string, attributes: Attributes): Later<void>;
  /** Removes anything but a directory. */
  unlink(path: string): Later<void>;
  /** Removes an empty directory. */
  rmdir(path: string): Later<void>;
  /** Makes everything written so far durable. */
  sync(): Later<void>;
}

/** A path below another. */
export function below(folder: string, name: string): string {
  return folder === '' || folder.endsWith('/') ? `${folder}${name}` : `${folder}/${name}`;
}

/** The last name of a path, `/` for the root; trailing slashes do not count. */
export function baseName(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  if (trimmed === '') return '/';
  return trimmed.slice(trimmed.lastIndexOf('/') + 1);
}

/** The path of the directory that holds `path`. */
export function parentOf(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  const slash = trimmed.lastIndexOf('/');
  if (slash < 0) return '.';
  return slash === 0 ? '/' : trimmed.slice(0, slash);
}
