// The disks' thread as the daemon sees it: listens for NBD clients, starts the thread, commands it, and stops it.

import { unlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, type Transferable, Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { z } from 'zod';
import {
  closeDescriptor,
  listeningPort,
  listenTcp,
  listenUnix,
  socketPair,
  WakeEvent,
} from '../../native/index.js';
import type { Disk } from '../disk.js';
import type { FileExport } from '../file-export.js';
import { claimSocketPath } from '../ipc/socket-path.js';
import { isErrorCode, PinfoldError } from '../protocol/errors.js';
import { inheritedSockets, parseTcpAddress } from './address.js';
import { NbdCounters } from './counters.js';
import { createCache } from './disk-cache.js';
import { BUSY_GRACE_MS, PEER_THREADS } from './limits.js';
import { Loads } from './loads.js';
import {
  type Command,
  type CommandRequest,
  type DiskData,
  LEFT,
  type PeerData,
  replySchema,
  START,
  type ThreadData,
} from './messages.js';
import type { RemoteData } from './remote-messages.js';
import { RemoteServer } from './remote-server.js';
import { type StandardConnection, standardConnection } from './stdio.js';
import { type Credentials, loadCredentials, type TlsConfig } from './tls-credentials.js';
import { TlsThread } from './tls-thread.js';

/** Only the daemon's own user may connect. */
const SOCKET_MODE = 0o600;

export interface NbdConfig {
  readonly socket?: string | undefined;
  readonly tcp?: string | undefined;
  readonly activated: boolean;
  readonly stdio: boolean;
  readonly tls?: TlsConfig | undefined;
}

interface Sources {
  readonly listeners: readonly number[];
  readonly client: StandardConnection | null;
  readonly tls: { readonly mode: 'required' | 'allowed'; readonly credentials: Credentials } | null;
}

interface PeerThread {
  readonly worker: Worker;
  readonly wake: WakeEvent;
  readonly exited: Promise<void>;
}

interface Call {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class NbdServer {
  /** The port of `tcp`, or null. */
  readonly port: number | null;
  /** Resolves when the client of `stdio` has left, and has got what was sent to it; never without one. */
  readonly left: Promise<void>;
  readonly #wake = new WakeEvent();
  /** Of each thread its own. */
  readonly #counters: NbdCounters[] = [];
  readonly #loads = new Loads();
  readonly #peerDisks: readonly DiskData[];
  readonly #peerThreads: PeerThread[] = [];
  readonly #worker: Worker;
  readonly #tls: TlsThread | null;
  readonly #exited: Promise<void>;
  readonly #calls = new Map<number, Call>();
  readonly #remote: RemoteServer;
  #lastId = 0;
  #isClosing = false;

  private constructor(
    { listeners, client, tls }: Sources,
    disks: DiskData[],
    exports: readonly FileExport[],
    private readonly release: () => void,
    fatal: (error: unknown) => void,
    log: Logger | null,
  ) {
    this.port = listeners.map(listeningPort).find((port) => port > 0) ?? null;
    this.#peerDisks = disks.filter(({ source }) => source.kind === 'memory');
    const counters = this.#newCounters();
    this.#tls = tls === null ? null : new TlsThread({ ...tls, counters, log, fatal });
    const channel = this.#tls?.channel ?? null;
    const { port1: ours, port2: theirs } = new MessageChannel();
    this.#remote = new RemoteServer(ours, exports, this.#wake, fatal);
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: {
        listeners: [...listeners],
        client: client?.fd ?? null,
        tls: channel,
        wakeFd: this.#wake.fd,
        counters,
        disks,
        remotes: exports.map(remoteOf),
        remotePort: theirs,
        loads: this.#loads.shared,
      } satisfies ThreadData,
      transferList: [theirs, ...(channel === null ? [] : [channel.handOvers])],
    });
    this.#worker.on('error', fatal);
    this.left = new Promise((resolve) => {
      this.#worker.on('message', (message) => {
        if (message === START) this.#startPeerThreads(fatal);
        else if (message !== LEFT) this.#onReply(message);
        else void Promise.race([client?.flushed, sleep(BUSY_GRACE_MS)]).then(() => resolve());
      });
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        for (const { reject } of this.#calls.values()) reject(threadEnded());
        this.#calls.clear();
        resolve();
      });
    });
  }

  /**
   * @param fatal called with a defect of ours
   * @param log hears of handshakes that fail
   * @throws PinfoldError EINVAL for an address that is not this machine's, if no socket was handed in, or for certificates
   *   that are wrong; EADDRINUSE 'lock held by pid N'; NativeError EADDRINUSE, EACCES. Nothing is left open then.
   */
  static async start(
    config: NbdConfig | undefined,
    disks: readonly Disk[],
    exports: readonly FileExport[],
    fatal: (error: unknown) => void,
    log: Logger | null = null,
  ): Promise<NbdServer> {
    const listeners: number[] = [];
    const undo: (() => void)[] = [];
    const release = (): void => {
      for (const each of undo.splice(0).reverse()) each();
    };
    try {
      const tls = config?.tls === undefined ? null : load(config.tls, log);
      if (config?.activated === true) {
        const inherited = inheritedSockets(process.env);
        for (const fd of inherited) listeningPort(fd); // throws unless it listens
        listeners.push(...inherited);
      }
      if (config?.tcp !== undefined) {
        const { address, port } = parseTcpAddress(config.tcp, tls?.mode === 'required');
        listeners.push(listenTcp(address, port));
      }
      const path = config?.socket;
      if (path !== undefined) {
        const claim = await claimSocketPath(path);
        undo.push(() => claim.release());
        listeners.push(listenUnix(path, SOCKET_MODE));
        undo.push(() => unlinkSync(path));
      }
      const client = config?.stdio === true ? standardConnection() : null;
      const data = disks.map((disk) => dataOf(disk, undo));
      return new NbdServer({ listeners, client, tls }, data, exports, release, fatal, log);
    } catch (error) {
      for (const fd of listeners) closeDescriptor(fd);
      release();
      throw error;
    }
  }

  statistics(): Record<string, number> {
    return NbdCounters.sum(this.#counters);
  }

  #newCounters(): SharedArrayBuffer {
    const counters = new NbdCounters();
    this.#counters.push(counters);
    return counters.shared;
  }

  /** Once there are enough clients for them. */
  #startPeerThreads(fatal: (error: unknown) => void): void {
    if (this.#peerDisks.length === 0 || this.#isClosing) return;
    const threads = Array.from({ length: PEER_THREADS }, (_, index) => {
      const { port1: port, port2: theirs } = new MessageChannel();
      const wake = new WakeEvent();
      const worker = new Worker(new URL('./peer-worker.js', import.meta.url), {
        workerData: {
          thread: index + 1,
          disks: [...this.#peerDisks],
          port: theirs,
          wakeFd: wake.fd,
          disksWakeFd: this.#wake.fd,
          counters: this.#newCounters(),
          loads: this.#loads.shared,
        } satisfies PeerData,
        transferList: [theirs],
      });
      worker.on('error', fatal);
      const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
      this.#peerThreads.push({ worker, wake, exited });
      return { port, wakeFd: wake.fd };
    });
    const ports = threads.map(({ port }) => port);
    // Without the disks' thread nobody gives them anything, nor tells them to end.
    this.call({ kind: 'peer-threads', threads }, z.null(), ports).catch(() =>
      Promise.all(this.#peerThreads.map(({ worker }) => worker.terminate())),
    );
  }

  /**
   * Has the thread do something between two requests.
   * @throws PinfoldError what the command throws; ESHUTDOWN if the thread ends meanwhile
   */
  async call<T>(
    command: Command,
    result: z.ZodType<T>,
    transfer: readonly Transferable[] = [],
  ): Promise<T> {
    const id = ++this.#lastId;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
    });
    this.#worker.postMessage({ id, command } satisfies CommandRequest, transfer);
    this.#wake.signal();
    return result.parse(await answer);
  }

  /** A socket that is connected to a disk, in the transmission phase with extended headers; the caller closes it. */
  connect(disk: string): number {
    const [ours, theirs] = socketPair();
    this.call({ kind: 'attach', disk, fd: theirs }, z.null()).catch(() => closeDescriptor(theirs));
    return ours;
  }

  #onReply(message: unknown): void {
    const { id, result, error } = replySchema.parse(message);
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) {
      call?.resolve(result);
    } else {
      const code = isErrorCode(error.code) ? error.code : 'EIO';
      call?.reject(new PinfoldError(code, error.message));
    }
  }

  /** What is under way is served, the rest hears ESHUTDOWN; then the socket goes. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all([this.call({ kind: 'stop' }, z.null()), this.#exited]);
    await Promise.all(this.#peerThreads.map(({ exited }) => exited));
    for (const { wake } of this.#peerThreads) wake.close();
    await this.#tls?.exited;
    this.#remote.close();
    this.#wake.close();
    this.release();
  }
}

function load(config: TlsConfig, log: Logger | null): Sources['tls'] {
  return { mode: config.mode, credentials: loadCredentials(config, (text) => log?.warn(text)) };
}

function threadEnded(): PinfoldError {
  return new PinfoldError('ESHUTDOWN', "the disks' thread has ended");
}

/** @param undo gets what gives up again what is made for it */
function dataOf(
  { name, label, sizeBytes, backing, readOnly, storage: source, cache }: Disk,
  undo: (() => void)[],
): DiskData {
  const where = backing === 'memory' ? 'in memory' : `in ${backing}`;
  const disk = { name, description: `${label}, ${where}`, sizeBytes, readOnly, source };
  if (cache === null) return { ...disk, cache };
  const { data, memory } = createCache(sizeBytes, cache, source.kind === 'file' ? source.fd : null);
  undo.push(() => memory.close());
  return { ...disk, cache: data };
}

function remoteOf({ name, description, sizeBytes, readOnly }: FileExport): RemoteData {
  return { name, description, sizeBytes, readOnly };
}
