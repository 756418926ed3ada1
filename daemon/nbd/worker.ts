// The disks' thread: serves NBD clients, and every disk that is more than plain memory or a file. It owns its sockets, and
// sleeps only in the poller: it has no event loop.

import { availableParallelism } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import {
  acceptStream,
  closeDescriptor,
  INTEREST,
  NativeError,
  Poller,
  READY,
} from '../../native/index.js';
import { PinfoldError } from '../protocol/errors.js';
import type { Cut } from '../protocol/methods.js';
import { type Answer, Commands } from './commands.js';
import { Connection } from './connection.js';
import type { Turn } from './connection-host.js';
import { NbdCounters } from './counters.js';
import type { TlsState } from './handshake.js';
import {
  BUSY_GRACE_MS,
  CONNECTIONS_MAX,
  HANDSHAKE_TIMEOUT_MS,
  IDLE_GRACE_MS,
  WAIT_MS,
  WRITE_PATIENCE_MS,
  WRITE_WAIT_MS,
} from './limits.js';
import { type Command, LEFT, workerDataSchema } from './messages.js';
import { Patience } from './patience.js';
import { RemoteConnection } from './remote-connection.js';
import { RemoteExport } from './remote-export.js';
import { RemoteLink } from './remote-link.js';
import type { Clock } from './storage.js';
import { ThreadDisk } from './thread-disk.js';
import { TlsHandOver } from './tls-hand-over.js';

const EVENTS = 256;
const CPUS = availableParallelism();
/** A wrong argument is no client's fault. */
const OWN_DEFECTS: readonly string[] = ['EINVAL', 'EBADF', 'ENOTSOCK'];
/** After accept() had no descriptor left. */
const ACCEPT_PAUSE_MS = 100;

type AnyExport = ThreadDisk | RemoteExport;
type AnyConnection = Connection<AnyExport> | RemoteConnection;

class DisksThread {
  readonly poller = new Poller();
  readonly counters: NbdCounters;
  readonly patience = new Patience();
  nowMs = performance.now();
  readonly exports: readonly AnyExport[];
  readonly remote: RemoteLink;
  readonly #disks: readonly ThreadDisk[];
  readonly #listeners: ReadonlySet<number>;
  readonly #wakeFd: number;
  readonly #commands: Commands;
  readonly #connections = new Map<number, AnyConnection>();
  /** Connections of the daemon itself, which are not counted. */
  readonly #internal = new Set<number>();
  readonly #strangers = new Map<number, number>();
  readonly #again = new Set<number>();
  /** Those with answers that are postponed. */
  readonly #postponed = new Map<number, AnyConnection>();
  /** Those with a WRITE that waits for memory, in the order in which they began to. */
  readonly #short = new Set<number>();
  readonly #events = new Float64Array(2 * EVENTS);
  readonly #tls: TlsHandOver | null;
  /** The one that the daemon was started for. */
  #client = -1;
  #stopping = false;
  #acceptAfter = 0;

  constructor() {
    const data = workerDataSchema.parse(workerData);
    this.counters = new NbdCounters(data.counters);
    this.remote = new RemoteLink(data.remotePort);
    this.#disks = data.disks.map(
      (disk) => new ThreadDisk(disk, this.remote, () => this.counters.add('faultsFired', 1)),
    );
    this.exports = [...this.#disks, ...data.remotes.map((each) => new RemoteExport(each))];
    this.#listeners = new Set(data.listeners);
    this.#wakeFd = data.wakeFd;
    if (parentPort === null) throw new Error('this file runs as a worker');
    this.#commands = new Commands(parentPort, this.#wakeFd, (command, answer) =>
      this.#command(command, answer),
    );
    for (const fd of this.#listeners) this.poller.add(fd, INTEREST.READ);
    this.poller.add(this.#wakeFd, INTEREST.READ);
    this.#tls = data.tls === null ? null : new TlsHandOver(data.tls);
    if (data.client !== null) {
      this.#client = data.client;
      this.#begin(data.client);
    }
  }

  get tls(): TlsState {
    return this.#tls?.mode ?? 'none';
  }

  run(): void {
    let strangersChecked = Date.now();
    while (!this.#stopping) {
      this.#round(WAIT_MS);
      const now = Date.now();
      if (this.#acceptAfter > 0 && now >= this.#acceptAfter) this.#pauseAccepting(false);
      if (now - strangersChecked < WAIT_MS) continue;
      strangersChecked = now;
      this.#closeStrangers(now);
    }
    this.#finish();
    for (const disk of this.#disks) disk.close();
    this.poller.close();
  }

  #command(command: Command, answer: Answer): void {
    switch (command.kind) {
      case 'stop':
        this.#stopping = true;
        answer.resolve(null);
        return;
      case 'attach':
        this.#attach(this.#disk(command.disk), command.fd);
        answer.resolve(null);
        return;
      case 'cut':
        answer.resolve(this.#cut(this.#disk(command.disk), command.state));
        return;
      case 'fault-add':
        answer.resolve(this.#disk(command.disk).faults.add(command.fault, command.before));
        return;
      case 'fault-list':
        answer.resolve(this.#disk(command.disk).faults.list());
        return;
      case 'fault-clear':
        answer.resolve(this.#disk(command.disk).faults.clear(command.layer));
        return;
      case 'fault-wait': {
        const { disk, waiter, layer, times } = command;
        this.#disk(disk).faults.wait(waiter, layer, times, answer);
        return;
      }
      case 'fault-unwait':
        this.#disk(command.disk).faults.unwait(command.waiter);
        answer.resolve(null);
        return;
      case 'record-start':
        answer.resolve(this.#disk(command.disk).record(command));
        return;
      case 'record-stop':
        answer.resolve(this.#disk(command.disk).stopRecording());
        return;
      case 'record-status':
        answer.resolve(this.#disk(command.disk).recordingSoFar());
        return;
      case 'record-mark':
        this.#disk(command.disk).mark(command.text);
        answer.resolve(null);
        return;
    }
  }

  #disk(name: string): ThreadDisk {
    const disk = this.#disks.find((each) => each.name === name);
    if (disk !== undefined) return disk;
    throw new PinfoldError('ENODEV', `no disk is named ${name}`);
  }

  #attach(disk: ThreadDisk, fd: number): void {
    this.#internal.add(fd);
    this.#connections.set(fd, new Connection(fd, this, { kind: 'attached', chosen: disk }));
  }

  /** Nobody hears of it, but that the connections are gone. */
  #cut(disk: ThreadDisk, wanted: string): Cut {
    const cut = disk.planCut(wanted);
    let connections = 0;
    for (const [fd, connection] of this.#connections) {
      if (connection.exported !== disk) continue;
      if (!this.#internal.has(fd)) connections++;
      this.#close(fd, connection);
    }
    cut.carryOut();
    disk.afterCut();
    return { ...cut.result, connections };
  }

  #round(longestMs: number): void {
    for (const fd of [...this.#again]) this.#turn(fd);
    const longestUs = (this.#short.size > 0 ? WRITE_WAIT_MS : longestMs) * 1000;
    const patienceUs = this.#again.size > 0 ? 0 : Math.min(longestUs, this.#untilDueUs());
    const timeoutMs = Math.floor(patienceUs / 1000);
    // A part of a millisecond is spent asking.
    this.remote.flush();
    const count =
      timeoutMs > 0
        ? this.poller.wait(this.#events, timeoutMs, 0)
        : this.poller.wait(this.#events, 0, Math.ceil(patienceUs));
    this.nowMs = performance.now();
    this.patience.isAllowed = this.#connections.size === 1 && CPUS >= 2;
    for (let i = 0; i < count; i++) {
      const fd = this.#events[2 * i] ?? -1;
      const ready = this.#events[2 * i + 1] ?? 0;
      if (fd === this.#wakeFd) this.#receiveMessages();
      else if (this.#listeners.has(fd)) this.#accept(fd);
      else if ((ready & READY.BROKEN) !== 0) this.#turnBroken(fd);
      else if (!this.#again.has(fd)) this.#turn(fd);
    }
    if (this.#short.size > 0) this.#turnShort();
    if (this.#postponed.size > 0) this.#turnDue(count === 0 && this.#again.size === 0);
    if (count > 0) for (const disk of this.#disks) disk.drainRecording();
  }

  #receiveMessages(): void {
    this.#commands.receive();
    for (const fd of this.remote.receive()) this.#turn(fd);
  }

  /** A connection that receives nothing for now would hear of its end again and again. */
  #turnBroken(fd: number): void {
    const connection = this.#connections.get(fd);
    if (connection?.deaf === true) this.#close(fd, connection);
    else this.#turn(fd);
  }

  /** How long until the next postponed answer. Virtual time comes when there is nothing else to do: at once. */
  #untilDueUs(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { clock, dueUs } of this.#postponed.values()) {
      least = Math.min(least, clock.virtual ? 0 : Math.max(dueUs - clock.nowUs(), 0));
    }
    return least;
  }

  #turnDue(idle: boolean): void {
    if (idle) this.#advance();
    for (const [fd, { clock, dueUs }] of [...this.#postponed]) {
      if (dueUs <= clock.nowUs()) this.#turn(fd);
    }
  }

  /** WRITEs that wait for memory of their disk get it: if others have ended, or by ending those that have stalled. */
  #turnShort(): void {
    const full = new Set<AnyExport | null>();
    for (const fd of [...this.#short]) {
      const exported = this.#connections.get(fd)?.exported ?? null;
      if (full.has(exported)) continue;
      this.#turn(fd);
      while (this.#short.has(fd) && this.#endStalled(exported)) this.#turn(fd);
      if (this.#short.has(fd)) full.add(exported);
    }
  }

  /** Closes the connection whose WRITE has stalled for the longest time. @returns false if all make progress */
  #endStalled(exported: AnyExport | null): boolean {
    let longest = -1;
    let sinceMs = performance.now() - WRITE_PATIENCE_MS;
    for (const [fd, connection] of this.#connections) {
      if (connection.exported !== exported || this.#internal.has(fd)) continue;
      if (connection.stalledSinceMs > sinceMs) continue;
      longest = fd;
      sinceMs = connection.stalledSinceMs;
    }
    if (longest < 0) return false;
    // It may be this thread that had no time for it.
    this.nowMs = performance.now();
    this.#turn(longest);
    const connection = this.#connections.get(longest);
    if (connection?.stalledSinceMs === sinceMs) this.#close(longest, connection);
    return true;
  }

  /** Puts each virtual clock forward to what is due next by it. */
  #advance(): void {
    const next = new Map<Clock, number>();
    for (const { clock, dueUs } of this.#postponed.values()) {
      if (clock.virtual) next.set(clock, Math.min(dueUs, next.get(clock) ?? dueUs));
    }
    for (const [clock, dueUs] of next) if (Number.isFinite(dueUs)) clock.advance(dueUs);
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
      if (this.#connections.size + (this.#tls?.lingering ?? 0) >= CONNECTIONS_MAX) {
        this.counters.add('nbdConnectionsRefused', 1);
        closeDescriptor(fd);
        continue;
      }
      this.#begin(fd);
    }
  }

  #begin(fd: number): void {
    this.counters.add('nbdConnectionsAccepted', 1);
    this.counters.add('nbdConnections', 1);
    this.#connections.set(fd, new Connection<AnyExport>(fd, this));
    this.#strangers.set(fd, Date.now());
    this.#turn(fd);
  }

  /** The connection begins anew under TLS. Nothing that came before, said or buffered, is known to the new one. */
  #startTls(fd: number, before: Connection<AnyExport>): void {
    let plain: number;
    try {
      this.poller.remove(fd);
      plain = this.#tls?.give(fd) ?? -1;
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
      this.#close(fd, before);
      return;
    }
    const { noZeroes } = before;
    this.#connections.set(
      plain,
      new Connection<AnyExport>(plain, this, { kind: 'secured', noZeroes }),
    );
    this.#strangers.set(plain, this.#strangers.get(fd) ?? Date.now());
    this.counters.add('nbdTlsConnections', 1);
    if (fd === this.#client) this.#client = plain;
    for (const each of [this.#connections, this.#strangers, this.#again]) each.delete(fd);
  }

  #pauseAccepting(pause: boolean): void {
    this.#acceptAfter = pause ? Date.now() + ACCEPT_PAUSE_MS : 0;
    for (const fd of this.#listeners) this.poller.change(fd, pause ? INTEREST.NONE : INTEREST.READ);
  }

  #turn(fd: number): void {
    const connection = this.#connections.get(fd);
    if (connection === undefined) return;
    let turn: Turn;
    try {
      turn = connection.turn();
    } catch (error) {
      // EFAULT and the like: the host has no memory for what this client wrote.
      if (!(error instanceof NativeError) || OWN_DEFECTS.includes(error.code)) throw error;
      turn = 'closed';
    }
    if (!connection.inHandshake) this.#strangers.delete(fd);
    if (connection.dueUs < Number.POSITIVE_INFINITY) this.#postponed.set(fd, connection);
    else this.#postponed.delete(fd);
    if (turn === 'closed') this.#close(fd, connection);
    else if (turn === 'tls' && connection instanceof Connection) this.#startTls(fd, connection);
    else if (turn === 'remote') this.#handOver(fd, connection);
    else if (turn === 'again') this.#again.add(fd);
    else this.#again.delete(fd);
    if (turn === 'short') this.#short.add(fd);
    else this.#short.delete(fd);
  }

  #handOver(fd: number, connection: AnyConnection): void {
    const handOver = connection instanceof Connection ? connection.handOver() : null;
    if (handOver === null) throw new RangeError('a connection leaves before an export is chosen');
    const next = new RemoteConnection(handOver, this);
    next.stopping = connection.stopping;
    this.#connections.set(fd, next);
    this.#strangers.delete(fd);
    this.#turn(fd);
  }

  #close(fd: number, connection: AnyConnection): void {
    this.#again.delete(fd);
    this.#short.delete(fd);
    this.#postponed.delete(fd);
    this.#strangers.delete(fd);
    this.#connections.delete(fd);
    connection.close();
    this.#tls?.closed(fd);
    if (fd === this.#client) parentPort?.postMessage(LEFT);
    if (!this.#internal.delete(fd)) this.counters.add('nbdConnections', -1);
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
    for (const [fd, connection] of this.#connections) {
      // What has been received is still served.
      this.#turn(fd);
      connection.stopping = true;
      if (this.#internal.has(fd) && connection.idle) this.#close(fd, connection);
    }
    const began = Date.now();
    while (this.#connections.size > 0) {
      const waited = Date.now() - began;
      const busy = [...this.#connections.values()].some((each) => !each.idle);
      if (waited >= (busy ? BUSY_GRACE_MS : IDLE_GRACE_MS)) break;
      this.#round(10);
    }
    for (const [fd, connection] of this.#connections) this.#close(fd, connection);
  }
}

new DisksThread().run();
