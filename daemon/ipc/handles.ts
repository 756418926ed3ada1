// Handles: the numbers by which a client names what it has opened. They are unique in the daemon and never used again,
// so that a number of another client is told from one that never was.

import { PinfoldError } from '../protocol/errors.js';
import type { Limits } from '../protocol/limits.js';
import type { Target } from '../target.js';

export type HandleKind = 'disk' | 'region' | 'volume' | 'file' | 'mapping' | 'pin';

/** Something that a client has opened. */
export interface Opened {
  readonly kind: HandleKind;
  readonly label: string;
  /** Handle of the volume that it belongs to, 0 if none. */
  readonly volume: number;
  /** Not null if it can be read and written. */
  readonly target: Target | null;
  /** Bytes that it pins. */
  readonly pinnedBytes: number;
  /** Gives it back. */
  close(): Promise<void>;
}

/** Which limit each kind counts towards. */
const LIMITED_BY = {
  disk: 'devices',
  region: 'devices',
  volume: 'devices',
  file: 'files',
  mapping: 'mappings',
  pin: 'pins',
} as const satisfies Record<HandleKind, keyof Limits>;

/** Errors of Linux for too many of them. */
const TOO_MANY = {
  devices: 'EMFILE',
  files: 'EMFILE',
  mappings: 'ENOMEM',
  pins: 'ENOMEM',
} as const;

/** What is closed first, so that nothing is closed under something that uses it. */
const CLOSING_ORDER: readonly HandleKind[] = ['pin', 'mapping', 'file', 'volume', 'region', 'disk'];

/** Gives out the numbers of one daemon. */
export class HandleSpace {
  #next = 1;
  readonly #owners = new Map<number, number>();

  take(clientId: number): number {
    if (this.#next > 0xffffffff) {
      throw new PinfoldError('ENFILE', 'this daemon has given out all its handles: restart it');
    }
    const handle = this.#next++;
    this.#owners.set(handle, clientId);
    return handle;
  }

  give(handle: number): void {
    this.#owners.delete(handle);
  }

  isTaken(handle: number): boolean {
    return this.#owners.has(handle);
  }
}

/** The handles of one client. */
export class Handles {
  readonly #opened = new Map<number, Opened>();
  readonly #counts = { devices: 0, files: 0, mappings: 0, pins: 0 };
  #pinnedBytes = 0;
  #closed = false;

  constructor(
    private readonly space: HandleSpace,
    private readonly clientId: number,
    private readonly limits: Limits,
  ) {}

  get size(): number {
    return this.#opened.size;
  }

  get pinnedBytes(): number {
    return this.#pinnedBytes;
  }

  /** The handle under which a volume is open, 0 if it is not. */
  findVolume(name: string): number {
    for (const [handle, opened] of this.#opened) {
      if (opened.kind === 'volume' && opened.label === `volume ${name}`) return handle;
    }
    return 0;
  }

  /** @throws PinfoldError EPERM for a handle of another client, EBADF for one that nobody has */
  get(handle: number): Opened {
    const opened = this.#opened.get(handle);
    if (opened !== undefined) return opened;
    if (this.space.isTaken(handle)) {
      throw new PinfoldError('EPERM', `handle ${handle} belongs to another client`);
    }
    throw new PinfoldError('EBADF', `handle ${handle} is not open: it was released, or never was`);
  }

  /** Ask before opening: throws if one more of this kind, or so many bytes more pinned, are too many. */
  checkRoom(kind: HandleKind, pinnedBytes = 0): void {
    const limited = LIMITED_BY[kind];
    const limit = this.limits[limited];
    if (this.#counts[limited] >= limit) {
      throw new PinfoldError(
        TOO_MANY[limited],
        `this client has ${limit} ${limited} open, which is the limit: release some, or raise limits.${limited}`,
      );
    }
    if (this.#pinnedBytes + pinnedBytes > this.limits.pinnedBytes) {
      throw new PinfoldError(
        'ENOMEM',
        `this client has ${this.#pinnedBytes} bytes pinned and asks for ${pinnedBytes} more, at most ` +
          `${this.limits.pinnedBytes} are allowed: release pins, or raise limits.pinnedBytes`,
      );
    }
  }

  /**
   * Opens something under a new handle. Its place is reserved while it is being opened, so that many calls at a time
   * get no more than one after the other. A client that has gone meanwhile gets nothing: it is closed again.
   */
  async open<T extends Opened>(
    kind: HandleKind,
    pinnedBytes: number,
    open: () => Promise<T>,
  ): Promise<{ readonly handle: number; readonly opened: T }> {
    this.checkRoom(kind, pinnedBytes);
    this.#counts[LIMITED_BY[kind]]++;
    this.#pinnedBytes += pinnedBytes;
    try {
      const opened = await open();
      if (this.#closed) {
        await opened.close();
        throw new PinfoldError('ESHUTDOWN', 'the client has gone');
      }
      const handle = this.space.take(this.clientId);
      this.#opened.set(handle, opened);
      return { handle, opened };
    } catch (error) {
      this.#counts[LIMITED_BY[kind]]--;
      this.#pinnedBytes -= pinnedBytes;
      throw error;
    }
  }

  /** Closes one handle, and with a volume all that belongs to it. */
  async release(handle: number): Promise<void> {
    const opened = this.get(handle);
    if (opened.kind === 'volume') {
      await this.#closeAll((other) => other.volume === handle && other.kind !== 'volume');
    }
    await this.#close(handle, opened);
  }

  /** Takes a handle out without closing what it stands for: the caller does that. */
  detach(handle: number): Opened {
    const opened = this.get(handle);
    this.#drop(handle, opened);
    return opened;
  }

  /** How many of each kind are open. */
  count(): Record<HandleKind, number> {
    const counts = { disk: 0, region: 0, volume: 0, file: 0, mapping: 0, pin: 0 };
    for (const opened of this.#opened.values()) counts[opened.kind]++;
    return counts;
  }

  /** The client goes: nothing is opened any more, and pins, which others may wait for, are given back. */
  async releasePins(): Promise<void> {
    this.#closed = true;
    await this.#closeAll((opened) => opened.kind === 'pin');
  }

  /** The client has gone, and none of its requests is left: closes everything. */
  async releaseAll(): Promise<void> {
    this.#closed = true;
    await this.#closeAll(() => true);
  }

  async #closeAll(which: (opened: Opened) => boolean): Promise<void> {
    for (const kind of CLOSING_ORDER) {
      const group = [...this.#opened].filter(([, opened]) => opened.kind === kind && which(opened));
      const results = await Promise.allSettled(
        group.map(async ([handle, opened]) => await this.#close(handle, opened)),
      );
      const failed = results.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    }
  }

  async #close(handle: number, opened: Opened): Promise<void> {
    this.#drop(handle, opened);
    await opened.close();
  }

  #drop(handle: number, opened: Opened): void {
    if (!this.#opened.delete(handle)) return;
    this.space.give(handle);
    this.#counts[LIMITED_BY[opened.kind]]--;
    this.#pinnedBytes -= opened.pinnedBytes;
  }
}
