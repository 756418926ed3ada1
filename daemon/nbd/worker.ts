// The thread of the NBD server. It owns its sockets, and sleeps only in the poller: it has no event loop.

import { workerData } from 'node:worker_threads';
import {
  acceptStream,
  closeDescriptor,
  INTEREST,
  NativeError,
  Poller,
} from '../../native/index.js';
import { Connection } from './connection.js';
import { NbdCounters } from './counters.js';
import {
  BUSY_GRACE_MS,
  CONNECTIONS_MAX,
  HANDSHAKE_TIMEOUT_MS,
  IDLE_GRACE_MS,
  SPIN_US,
  WAIT_MS,
} from './limits.js';
import { type ServedExport, workerDataSchema } from './messages.js';
import { BackingFile, FileStorage, MemoryStorage, type Storage } from './storage.js';

const EVENTS = 256;
/** A wrong argument is no client's fault. */
const OWN_DEFECTS: readonly string[] = ['EINVAL', 'EBADF', 'ENOTSOCK'];
/** After accept() had no descriptor left. */
const ACCEPT_PAUSE_MS = 100;

class NbdWorker {
  readonly poller = new Poller();
  readonly counters: NbdCounters;
  readonly exports: readonly ServedExport[];
  readonly #listeners: ReadonlySet<number>;
  readonly #wakeFd: number;
  readonly #connections = new Map<number, Connection<ServedExport>>();
  readonly #strangers = new Map<number, number>();
  readonly #again = new Set<number>();
  readonly #files = new Map<ServedExport, BackingFile>();
  readonly #events = new Float64Array(2 * EVENTS);
  #stopping = false;
  #acceptAfter = 0;

  constructor() {
    const data = workerDataSchema.parse(workerData);
    this.counters = new NbdCounters(data.counters);
    this.exports = data.exports;
    this.#listeners = new Set(data.listeners);
    this.#wakeFd = data.wakeFd;
    for (const each of data.exports) {
      if (each.source.kind !== 'file') continue;
      this.#files.set(each, new BackingFile(each.source.fd, each.sizeBytes, each.readOnly));
    }
    for (const fd of this.#listeners) this.poller.add(fd, INTEREST.READ);
    this.poller.add(this.#wakeFd, INTEREST.READ);
  }

  open(exported: ServedExport): Storage {
    const { source, sizeBytes } = exported;
    if (source.kind === 'memory') return new MemoryStorage(source.fd, source.segments, sizeBytes);
    const file = this.#files.get(exported);
    if (file === undefined)
      throw new RangeError(`the backing file of ${exported.name} is not open`);
    return new FileStorage(file);
  }

  run(): void {
    let strangersChecked = Date.now();
    while (!this.#stopping) {
      this.#round(this.#again.size > 0 ? 0 : WAIT_MS);
      const now = Date.now();
      if (this.#acceptAfter > 0 && now >= this.#acceptAfter) this.#pauseAccepting(false);
      if (now - strangersChecked < WAIT_MS) continue;
      strangersChecked = now;
      this.#closeStrangers(now);
    }
    this.#finish();
    for (const file of this.#files.values()) file.close();
    this.poller.close();
  }

  #round(timeoutMs: number): void {
    for (const fd of [...this.#again]) this.#turn(fd);
    const count = this.poller.wait(this.#events, timeoutMs, SPIN_US);
    for (let i = 0; i < count; i++) {
      const fd = this.#events[2 * i] ?? -1;
      if (fd === this.#wakeFd) this.#stopping = true;
      else if (this.#listeners.has(fd)) this.#accept(fd);
      else if (!this.#again.has(fd)) this.#turn(fd);
    }
  }

  #accept(listener: number): void {
    while (true) {
      let fd: number;
      try {
        fd = acceptStream(listener);
      } catch (error) {
        // No descriptor, or no memory for one: the others are served on, and it is tried again.
        if (!(error instanceof NativeError)) throw error;
        this.#pauseAccepting(true);
        return;
      }
      if (fd < 0) return;
      if (this.#connections.size >= CONNECTIONS_MAX) {
        this.counters.add('nbdConnectionsRefused', 1);
        closeDescriptor(fd);
        continue;
      }
      this.counters.add('nbdConnectionsAccepted', 1);
      this.counters.add('nbdConnections', 1);
      this.#connections.set(fd, new Connection(fd, this));
      this.#strangers.set(fd, Date.now());
      this.#turn(fd);
    }
  }

  #pauseAccepting(pause: boolean): void {
    this.#acceptAfter = pause ? Date.now() + ACCEPT_PAUSE_MS : 0;
    for (const fd of this.#listeners) this.poller.change(fd, pause ? INTEREST.NONE : INTEREST.READ);
  }

  #turn(fd: number): void {
    const connection = this.#connections.get(fd);
    if (connection === undefined) return;
    let turn: ReturnType<typeof connection.turn>;
    try {
      turn = connection.turn();
    } catch (error) {
      // EFAULT and the like: the host has no memory for what this client wrote.
      if (!(error instanceof NativeError) || OWN_DEFECTS.includes(error.code)) throw error;
      turn = 'closed';
    }
    if (!connection.inHandshake) this.#strangers.delete(fd);
    if (turn === 'closed') this.#close(fd, connection);
    else if (turn === 'again') this.#again.add(fd);
    else this.#again.delete(fd);
  }

  #close(fd: number, connection: Connection<ServedExport>): void {
    this.#again.delete(fd);
    this.#strangers.delete(fd);
    this.#connections.delete(fd);
    connection.close();
    this.counters.add('nbdConnections', -1);
  }

  #closeStrangers(now: number): void {
    for (const [fd, since] of this.#strangers) {
      const connection = this.#connections.get(fd);
      if (connection !== undefined && now - since > HANDSHAKE_TIMEOUT_MS)
        this.#close(fd, connection);
    }
  }

  /** What is under way ends; who asks for more hears ESHUTDOWN for a moment. */
  #finish(): void {
    for (const fd of this.#listeners) closeDescriptor(fd);
    this.poller.change(this.#wakeFd, INTEREST.NONE);
    for (const [fd, connection] of this.#connections) {
      // What has been received is still served.
      this.#turn(fd);
      connection.stopping = true;
    }
    const began = Date.now();
    while (this.#connections.size > 0) {
      const waited = Date.now() - began;
      const busy = [...this.#connections.values()].some((each) => !each.idle);
      if (waited >= (busy ? BUSY_GRACE_MS : IDLE_GRACE_MS)) break;
      this.#round(this.#again.size > 0 ? 0 : 10);
    }
    for (const [fd, connection] of this.#connections) this.#close(fd, connection);
  }
}

new NbdWorker().run();
