// The disks' thread: serves NBD clients, and every disk that is more than plain memory or a file. It owns its sockets, and
// sleeps only in the poller: it has no event loop.

import { parentPort, workerData } from 'node:worker_threads';
import { acceptStream, closeDescriptor, INTEREST, NativeError } from '../../native/index.js';
import { PinfoldError } from '../protocol/errors.js';
import type { Cut } from '../protocol/methods.js';
import { type Answer, Commands } from './commands.js';
import { Connection } from './connection.js';
import type { Turn } from './connection-host.js';
import { COUNTER, NbdCounters } from './counters.js';
import type { TlsState } from './handshake.js';
import { CONNECTIONS_MAX, HANDSHAKE_TIMEOUT_MS, WAIT_MS, WRITE_WAIT_MS } from './limits.js';
import { Loads, OWN_LOAD } from './loads.js';
import { type Command, LEFT, START, type ThreadData, workerDataSchema } from './messages.js';
import type { Moved } from './peer-messages.js';
import { PeerPool } from './peer-pool.js';
import { RemoteConnection } from './remote-connection.js';
import { RemoteExport } from './remote-export.js';
import { RemoteLink } from './remote-link.js';
import { STYLE } from './replies.js';
import { ServingThread } from './serving-thread.js';
import type { Waiter } from './storage.js';
import { ThreadDisk } from './thread-disk.js';
import { TlsHandOver } from './tls-hand-over.js';

const NOTHING = new Uint8Array(0);
/** After accept() had no descriptor left. */
const ACCEPT_PAUSE_MS = 100;

type AnyExport = ThreadDisk | RemoteExport;
type AnyConnection = Connection<AnyExport> | RemoteConnection;

class DisksThread extends ServingThread<AnyConnection> {
  readonly exports: readonly AnyExport[];
  readonly remote: RemoteLink;
  readonly #disks: readonly ThreadDisk[];
  readonly #listeners: ReadonlySet<number>;
  readonly #commands: Commands;
  readonly #peers: PeerPool;
  /** Connections of the daemon itself, which are not counted. */
  readonly #internal = new Set<number>();
  readonly #strangers = new Map<number, number>();
  readonly #tls: TlsHandOver | null;
  /** The one that the daemon was started for. */
  #client = -1;
  #acceptAfter = 0;

  constructor(data: ThreadData) {
    super(new NbdCounters(data.counters), new Loads(data.loads), data.wakeFd);
    this.remote = new RemoteLink(data.remotePort);
    this.#disks = data.disks.map(
      (disk) =>
        new ThreadDisk(
          disk,
          this.remote,
          () => this.counters.add(COUNTER.faultsFired, 1),
          (waiter) => this.#leaves(waiter),
        ),
    );
    this.exports = [...this.#disks, ...data.remotes.map((each) => new RemoteExport(each))];
    this.#listeners = new Set(data.listeners);
    const port = parentPort;
    if (port === null) throw new Error('this file runs as a worker');
    this.#peers = new PeerPool(this.loads, () => port.postMessage(START));
    this.#commands = new Commands(port, data.wakeFd, (command, answer) =>
      this.#command(command, answer),
    );
    for (const fd of this.#listeners) this.poller.add(fd, INTEREST.READ);
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
    let strangersChecked = this.nowMs;
    while (!this.stopping) {
      const count = this.round(this.#peers.isWaiting ? WRITE_WAIT_MS : WAIT_MS);
      if (this.#peers.isWaiting) this.#peers.settle();
      if (count > 0) for (const disk of this.#disks) disk.drainRecording();
      const now = this.nowMs;
      if (this.#acceptAfter > 0 && now >= this.#acceptAfter) this.#pauseAccepting(false);
      if (now - strangersChecked < WAIT_MS) continue;
      strangersChecked = now;
      this.#closeStrangers(now);
    }
    for (const fd of this.#listeners) closeDescriptor(fd);
    this.#peers.stop();
    this.finish();
    for (const disk of this.#disks) disk.close();
  }

  #command(command: Command, answer: Answer): void {
    switch (command.kind) {
      case 'stop':
        this.stopping = true;
        answer.resolve(null);
        return;
      case 'attach':
        this.#attach(this.#disk(command.disk), command.fd);
        answer.resolve(null);
        return;
      case 'cut':
        this.#cut(this.#disk(command.disk), command.state, answer);
        return;
      case 'peer-threads':
        this.#peers.use(command.threads);
        for (const disk of this.#disks) disk.reopen();
        for (const fd of [...this.connections.keys()]) this.turn(fd);
        answer.resolve(null);
        return;
      case 'fault-add': {
        const disk = this.#disk(command.disk);
        this.#change(disk, answer, null, () => disk.faults.add(command.fault, command.before));
        return;
      }
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
      case 'record-start': {
        const disk = this.#disk(command.disk);
        const isQuiet = (): boolean => !this.#isWritten(disk);
        this.#change(disk, answer, isQuiet, (quiet) => {
          if (quiet) return disk.record(command);
          throw new PinfoldError(
            'EBUSY',
            `a client of disk ${disk.name} has been in the middle of a WRITE for too long: try again, or end that client`,
          );
        });
        return;
      }
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

  /**
   * Does something to a disk that no other thread may know of, once these have given back what they have of it.
   * @param isQuiet what else it waits for, for a while; null: WRITEs that are under way began before
   * @param action its result, or error, is the answer
   */
  #change(
    disk: ThreadDisk,
    answer: Answer,
    isQuiet: (() => boolean) | null,
    action: (quiet: boolean) => unknown,
  ): void {
    const end = disk.beginChange();
    this.#peers.recall(disk.name, isQuiet, (quiet) => {
      end();
      answer.resolveWith(() => action(quiet));
    });
    this.#peers.settle();
  }

  /** Payload for it is on its way. */
  #isWritten(disk: ThreadDisk): boolean {
    for (const { exported, stalledSinceMs } of this.connections.values()) {
      if (exported === disk && stalledSinceMs < Number.POSITIVE_INFINITY) return true;
    }
    return false;
  }

  #attach(disk: ThreadDisk, fd: number): void {
    this.#internal.add(fd);
    const style = STYLE.EXTENDED;
    const beginning = {
      kind: 'moved',
      chosen: disk,
      hasContext: true,
      style,
      received: NOTHING,
    } as const;
    this.connections.set(fd, new Connection<AnyExport>(fd, this, beginning));
  }

  /** Nobody hears of it, but that the connections are gone. */
  #cut(disk: ThreadDisk, wanted: string, answer: Answer): void {
    disk.checkCut(wanted);
    const end = disk.beginChange();
    this.#peers.cut(disk.name, (connections) => {
      end();
      answer.resolveWith(() => this.#cutHere(disk, wanted, connections));
    });
    this.#peers.settle();
  }

  /** @param connections of other threads that were closed for it */
  #cutHere(disk: ThreadDisk, wanted: string, connections: number): Cut {
    const cut = disk.planCut(wanted);
    for (const [fd, connection] of this.connections) {
      if (connection.exported !== disk) continue;
      if (!this.#internal.has(fd)) connections++;
      this.close(fd, connection);
    }
    cut.carryOut();
    disk.afterCut();
    return { ...cut.result, connections };
  }

  protected override beforeSleep(): void {
    this.remote.flush();
  }

  protected override receiveMessages(): void {
    this.#commands.receive();
    for (const moved of this.#peers.receive()) this.#takeBack(moved);
    for (const fd of this.remote.receive()) this.turn(fd);
  }

  protected override heard(fd: number): boolean {
    if (!this.#listeners.has(fd)) return false;
    this.#accept(fd);
    return true;
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
      const lingering = this.#tls?.lingering ?? 0;
      if (this.loads.total + this.#internal.size + lingering >= CONNECTIONS_MAX) {
        this.counters.add(COUNTER.nbdConnectionsRefused, 1);
        closeDescriptor(fd);
        continue;
      }
      this.#begin(fd);
    }
  }

  #begin(fd: number): void {
    this.counters.add(COUNTER.nbdConnectionsAccepted, 1);
    this.counters.add(COUNTER.nbdConnections, 1);
    this.loads.add(OWN_LOAD, 1);
    this.connections.set(fd, new Connection<AnyExport>(fd, this));
    this.#strangers.set(fd, this.nowMs);
    this.turn(fd);
  }

  /** The connection begins anew under TLS. Nothing that came before, said or buffered, is known to the new one. */
  #startTls(fd: number, before: Connection<AnyExport>): void {
    let plain: number;
    try {
      this.poller.remove(fd);
      plain = this.#tls?.give(fd) ?? -1;
    } catch (error) {
      if (!(error instanceof NativeError)) throw error;
      this.close(fd, before);
      return;
    }
    const { noZeroes } = before;
    this.connections.set(
      plain,
      new Connection<AnyExport>(plain, this, { kind: 'secured', noZeroes }),
    );
    this.#strangers.set(plain, this.#strangers.get(fd) ?? this.nowMs);
    this.counters.add(COUNTER.nbdTlsConnections, 1);
    if (fd === this.#client) this.#client = plain;
    this.forget(fd);
    this.#strangers.delete(fd);
  }

  #pauseAccepting(pause: boolean): void {
    this.#acceptAfter = pause ? this.nowMs + ACCEPT_PAUSE_MS : 0;
    for (const fd of this.#listeners) this.poller.change(fd, pause ? INTEREST.NONE : INTEREST.READ);
  }

  protected override turned(fd: number, connection: AnyConnection): void {
    if (this.#strangers.size > 0 && !connection.inHandshake) this.#strangers.delete(fd);
  }

  protected override moveOn(fd: number, connection: AnyConnection, turn: Turn): void {
    if (!(connection instanceof Connection)) throw new RangeError('it has moved before');
    if (turn === 'tls') this.#startTls(fd, connection);
    else if (connection.exported instanceof RemoteExport) this.#handOver(fd, connection);
    else this.#give(fd, connection);
  }

  /** The export is the main thread's. */
  #handOver(fd: number, connection: Connection<AnyExport>): void {
    const next = new RemoteConnection(connection.handOver(), this);
    next.stopping = connection.stopping;
    this.connections.set(fd, next);
    this.#strangers.delete(fd);
    this.turn(fd);
  }

  /** To a peer. */
  #give(fd: number, connection: Connection<AnyExport>): void {
    this.forget(fd);
    this.#strangers.delete(fd);
    this.poller.remove(fd);
    this.loads.add(OWN_LOAD, -1);
    this.counters.add(COUNTER.nbdConnectionsMoved, 1);
    this.#peers.give(connection.leave());
  }

  /** From a peer. */
  #takeBack({ fd, disk, hasContext, style, received }: Moved): void {
    const beginning = {
      kind: 'moved',
      chosen: this.#disk(disk),
      hasContext,
      style,
      received,
    } as const;
    this.loads.add(OWN_LOAD, 1);
    this.counters.add(COUNTER.nbdConnectionsMoved, 1);
    const connection = new Connection<AnyExport>(fd, this, beginning);
    connection.stopping = this.stopping;
    this.connections.set(fd, connection);
    this.turn(fd);
  }

  /** Whether a connection goes on in a peer. Those that others here know by their socket stay. */
  #leaves({ fd, isQuiet }: Waiter): boolean {
    const isBound = fd === this.#client || this.#internal.has(fd) || this.#tls?.has(fd) === true;
    return isQuiet && !isBound && !this.stopping && this.#peers.wantsOne;
  }

  protected override closed(fd: number): void {
    this.#strangers.delete(fd);
    this.#tls?.closed(fd);
    if (fd === this.#client) parentPort?.postMessage(LEFT);
    if (this.#internal.delete(fd)) return;
    this.loads.add(OWN_LOAD, -1);
    this.counters.add(COUNTER.nbdConnections, -1);
  }

  protected override mayEnd(fd: number): boolean {
    return !this.#internal.has(fd);
  }

  #closeStrangers(now: number): void {
    for (const [fd, since] of this.#strangers) {
      const connection = this.connections.get(fd);
      if (connection !== undefined && now - since > HANDSHAKE_TIMEOUT_MS)
        this.close(fd, connection);
    }
  }
}

new DisksThread(workerDataSchema.parse(workerData)).run();
