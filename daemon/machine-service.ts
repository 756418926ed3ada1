// What the daemon asks of a mounted volume. volume-service.ts implements it over the engine; tests have a small one of
// their own. All errors carry an errno `code`; a signal that is aborted ends a sleeping operation with EINTR.

import type { DirectoryEntry, FindingMessage, Stat } from './protocol/methods.js';

export interface OpenOptions {
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly truncate: boolean;
  readonly writable: boolean;
  readonly direct: boolean;
  readonly mode: number;
}

/** A run of a file that is all data, or all hole. */
export interface FileExtent {
  readonly lengthBytes: number;
  readonly data: boolean;
}

/** An open file description. */
export interface FileHandle {
  stat(signal: AbortSignal): Promise<Stat>;
  /** @returns bytes read, fewer than `target` holds at the end of the file */
  pread(offset: number, target: Uint8Array, signal: AbortSignal): Promise<number>;
  /** @returns bytes written */
  pwrite(offset: number, data: Uint8Array, signal: AbortSignal): Promise<number>;
  fsync(signal: AbortSignal): Promise<void>;
  truncate(sizeBytes: number, signal: AbortSignal): Promise<void>;
  punch(offset: number, lengthBytes: number, signal: AbortSignal): Promise<void>;
  /**
   * Data and holes in turns, one to `max`; they may end before the range does, or go on behind it. EIO if the file ends
   * before the range does.
   */
  extents(
    offset: number,
    lengthBytes: number,
    max: number,
    signal: AbortSignal,
  ): Promise<FileExtent[]>;
  map(
    offset: number,
    lengthBytes: number,
    writable: boolean,
    signal: AbortSignal,
  ): Promise<MappingHandle>;
  close(): Promise<void>;
}

/** A mapping of a file into the address space of the client's process. Offsets count from its beginning. */
export interface MappingHandle {
  load(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void>;
  store(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void>;
  /** msync of the whole mapping. */
  sync(signal: AbortSignal): Promise<void>;
  pin(
    offset: number,
    lengthBytes: number,
    options: { readonly write: boolean; readonly longterm: boolean },
    signal: AbortSignal,
  ): Promise<PinHandle>;
  /**
   * A device loads from the mapping's pages into `bytes`, or stores them there: through pins that it holds only for as
   * long as that takes, a few at a time. EIO if the file ends before the range does.
   */
  transfer(
    offset: number,
    bytes: Uint8Array,
    direction: 'load' | 'store',
    signal: AbortSignal,
  ): Promise<void>;
  unmap(): Promise<void>;
}

/** Pages that a device holds. It reads and writes them asking nobody, also after the mapping is gone. */
export interface PinHandle {
  readonly pages: number;
  dmaRead(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void>;
  dmaWrite(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void>;
  unpin(dirty: boolean): Promise<void>;
}

/** What setattr changes; null leaves it as it is. */
export interface Attributes {
  /** Of what a link leads to, not of the link. */
  readonly follow: boolean;
  readonly mode: number | null;
  readonly modifiedMs: number | null;
}

/** One client's process on the volume: its file table and its address space. */
export interface VolumeSession {
  open(path: string, options: OpenOptions, signal: AbortSignal): Promise<FileHandle>;
  stat(path: string, signal: AbortSignal): Promise<Stat>;
  /** Of a symbolic link itself. */
  lstat(path: string, signal: AbortSignal): Promise<Stat>;
  readlink(path: string, signal: AbortSignal): Promise<string>;
  symlink(target: string, path: string, signal: AbortSignal): Promise<void>;
  setattr(path: string, attributes: Attributes, signal: AbortSignal): Promise<void>;
  /** @returns at most READDIR_ENTRIES_MAX entries from `cursor` on, and where to go on, null at the end */
  readdir(
    path: string,
    cursor: number,
    signal: AbortSignal,
  ): Promise<{ readonly entries: DirectoryEntry[]; readonly cursor: number | null }>;
  mkdir(path: string, mode: number, signal: AbortSignal): Promise<void>;
  unlink(path: string, signal: AbortSignal): Promise<void>;
  rmdir(path: string, signal: AbortSignal): Promise<void>;
  rename(from: string, to: string, signal: AbortSignal): Promise<void>;
  sync(signal: AbortSignal): Promise<void>;
  /** Ends the process. Its files, mappings and pins have been closed before. */
  close(): Promise<void>;
}

export type WritebackAction = 'flush' | 'pause' | 'resume';

export interface VolumeEvents {
  finding(finding: FindingMessage): void;
  panic(message: string): void;
}

/** A mounted volume. */
export interface MachineService {
  readonly sizeBytes: number;
  readonly pageBytes: number;
  readonly backing: string;
  readonly profile: string;
  /** Its machine has panicked, and stays down. */
  readonly panicked: boolean;
  /** @param clientName for messages and findings */
  newSession(clientName: string): Promise<VolumeSession>;
  statfs(signal: AbortSignal): Promise<{
    readonly blockBytes: number;
    readonly blocks: number;
    readonly blocksFree: number;
    readonly inodes: number;
    readonly inodesFree: number;
  }>;
  writeback(action: WritebackAction, signal: AbortSignal): Promise<void>;
  statistics(): Record<string, number>;
  /** All are counted, the first ones are kept. */
  findings(): { readonly count: number; readonly kept: FindingMessage[] };
  /** Where events go from now on. */
  listen(events: VolumeEvents): void;
  /** Syncs and unmounts. */
  close(): Promise<void>;
}
