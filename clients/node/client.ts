// A client of a daemon: one connection, made anew when it breaks, and what can be opened through it.

import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { PinfoldError } from '../../daemon/protocol/errors.js';
import { type FindingMessage, METHODS, type Method } from '../../daemon/protocol/methods.js';
import { Disk } from './disk.js';
import { Link } from './link.js';
import type { CallOptions, Owner } from './owner.js';
import { Region } from './region.js';
import { Volume } from './volume.js';

export interface ReconnectOptions {
  /** First pause before trying again, doubled each time up to `maxDelayMs`. Default: 50 and 2000. */
  readonly delayMs?: number;
  readonly maxDelayMs?: number;
  /** Then the client gives up and closes. Default: 30,000. */
  readonly giveUpMs?: number;
}

export interface ConnectOptions {
  /** For connecting and the handshake, also when calls wait for a reconnection. Default: 5000. */
  readonly timeoutMs?: number;
  /** Default: true. */
  readonly reconnect?: boolean | ReconnectOptions;
  /** Shown in the daemon's log. Default: `node PID`. */
  readonly name?: string;
}

interface ClientEvents {
  /** The connection broke. Files, mappings and pins are gone; disks, regions and volumes come back by themselves. */
  disconnect: [error: PinfoldError];
  reconnect: [];
  /** No more attempts: all calls fail from here on. */
  close: [error: PinfoldError | null];
  finding: [volume: string, finding: FindingMessage];
  /** The emulated machine of a volume has panicked: its operations end with EIO. */
  panic: [volume: string, message: string];
}

/**
 * Connects to the daemon that listens on `path`.
 * @throws PinfoldError ECONNREFUSED, ETIMEDOUT, EPROTONOSUPPORT, EACCES, EUSERS
 */
export async function connect(path: string, options: ConnectOptions = {}): Promise<Client> {
  const client = new Client(path, options);
  await client.start();
  return client;
}

export class Client extends EventEmitter<ClientEvents> implements Owner {
  readonly #timeoutMs: number;
  readonly #name: string;
  readonly #reconnect: Required<ReconnectOptions> | null;
  #link: Link | null = null;
  #comingUp: Promise<Link> | null = null;
  #closed: PinfoldError | null = null;

  /** Use connect(). */
  constructor(
    readonly path: string,
    options: ConnectOptions,
  ) {
    super();
    const { timeoutMs = 5000, reconnect = true, name = `node ${process.pid}` } = options;
    this.#timeoutMs = timeoutMs;
    this.#name = name;
    const defaults = { delayMs: 50, maxDelayMs: 2000, giveUpMs: 30_000 };
    if (reconnect === false) this.#reconnect = null;
    else this.#reconnect = { ...defaults, ...(reconnect === true ? {} : reconnect) };
  }

  /** For connect(). */
  async start(): Promise<void> {
    this.#link = await this.#open();
  }

  /** The connection that is up now; null while there is none. For the objects of this library. */
  get link(): Link | null {
    return this.#link;
  }

  get timeoutMs(): number {
    return this.#timeoutMs;
  }

  /** What the daemon said of itself, null while there is no connection. */
  get daemon(): { readonly pid: number; readonly release: string } | null {
    const welcome = this.#link?.welcome;
    return welcome === undefined ? null : { pid: welcome.daemonPid, release: welcome.release };
  }

  /** Waits until the connection is up. @throws PinfoldError ENOTCONN after close(), ETIMEDOUT */
  async up(): Promise<Link> {
    if (this.#link !== null) return this.#link;
    this.#checkOpen();
    if (this.#comingUp === null) throw new PinfoldError('ENOTCONN', 'the client is not connected');
    const tooLong = new AbortController();
    const timeout = sleep(this.#timeoutMs, null, { signal: tooLong.signal }).then(() => {
      throw new PinfoldError('ETIMEDOUT', `no connection to ${this.path} in ${this.#timeoutMs} ms`);
    });
    try {
      return await Promise.race([this.#comingUp, timeout]);
    } finally {
      timeout.catch(() => undefined);
      tooLong.abort();
    }
  }

  /** Calls a method of the protocol. For the objects of this library. */
  async call<Params, Result>(
    method: Method<Params, Result>,
    params: Params,
    signal?: AbortSignal,
  ): Promise<Result> {
    const link = this.#link ?? (await this.up());
    return await link.call(method, params, signal);
  }

  /** What the daemon serves. */
  async list(options: CallOptions = {}) {
    return await this.call(METHODS.list, {}, options.signal);
  }

  /** Counters of the daemon since it started. */
  async statistics(options: CallOptions = {}): Promise<Record<string, number>> {
    return await this.call(METHODS.statistics, {}, options.signal);
  }

  /** @throws PinfoldError ENODEV */
  async disk(name: string, options: CallOptions = {}): Promise<Disk> {
    return await Disk.open(this, name, options.signal);
  }

  /** Maps a region into this process. @throws PinfoldError ENODEV */
  async region(name: string, options: CallOptions = {}): Promise<Region> {
    return await Region.open(this, name, options.signal);
  }

  /** @throws PinfoldError ENODEV */
  async volume(name: string, options: CallOptions = {}): Promise<Volume> {
    return await Volume.open(this, name, options.signal);
  }

  /** Ends the connection. The daemon releases what is still open; calls in flight are rejected. */
  async close(): Promise<void> {
    if (this.#closed !== null) return;
    this.#closed = new PinfoldError('ENOTCONN', 'the client was closed');
    const link = this.#link;
    this.#link = null;
    await link?.close();
    this.emit('close', null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #open(): Promise<Link> {
    let link: Link | null = null;
    link = await Link.open(this.path, this.#name, this.#timeoutMs, {
      event: (message) => {
        if (message.event === 'finding') this.emit('finding', message.volume, message.finding);
        else this.emit('panic', message.volume, message.message);
      },
      down: (error) => {
        if (link !== null && this.#link === link) this.#onDown(error);
      },
    });
    return link;
  }

  #onDown(error: PinfoldError): void {
    if (this.#closed !== null) return;
    this.#link = null;
    if (this.#reconnect === null) {
      this.#closed = new PinfoldError('ENOTCONN', `not connected any more: ${error.message}`, {
        cause: error,
      });
      this.emit('disconnect', error);
      this.emit('close', error);
      return;
    }
    this.#comingUp = this.#tryAgain(this.#reconnect);
    this.#comingUp.catch(() => undefined); // those who wait for it get the error
    this.emit('disconnect', error);
  }

  async #tryAgain(options: Required<ReconnectOptions>): Promise<Link> {
    const giveUpAt = performance.now() + options.giveUpMs;
    for (let delayMs = options.delayMs; ; delayMs = Math.min(delayMs * 2, options.maxDelayMs)) {
      await sleep(delayMs);
      try {
        this.#checkOpen();
        const link = await this.#open();
        if (this.#isClosed()) await link.close();
        this.#checkOpen();
        this.#link = link;
        this.#comingUp = null;
        this.emit('reconnect');
        return link;
      } catch (cause) {
        this.#checkOpen();
        if (performance.now() < giveUpAt) continue;
        const error = new PinfoldError(
          'ENOTCONN',
          `gave up connecting to ${this.path} after ${options.giveUpMs} ms`,
          { cause },
        );
        this.#closed = error;
        this.emit('close', error);
        throw error;
      }
    }
  }

  #isClosed(): boolean {
    return this.#closed !== null;
  }

  #checkOpen(): void {
    if (this.#closed !== null) throw this.#closed;
  }
}
