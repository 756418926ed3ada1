// The NBD server as the daemon sees it: listens, starts the thread that serves, and stops it.

import { unlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import {
  closeDescriptor,
  listeningPort,
  listenTcp,
  listenUnix,
  WakeEvent,
} from '../../native/index.js';
import type { Disk } from '../disk.js';
import { claimSocketPath } from '../ipc/socket-path.js';
import { inheritedSockets, parseTcpAddress } from './address.js';
import { NbdCounters } from './counters.js';
import type { NbdWorkerData, ServedExport } from './messages.js';

/** Only the daemon's own user may connect. */
const SOCKET_MODE = 0o600;

export interface NbdConfig {
  readonly socket?: string | undefined;
  readonly tcp?: string | undefined;
  readonly activated: boolean;
}

export class NbdServer {
  /** The port of `tcp`, or null. */
  readonly port: number | null;
  readonly #wake = new WakeEvent();
  readonly #counters = new NbdCounters();
  readonly #worker: Worker;
  readonly #exited: Promise<void>;

  private constructor(
    listeners: number[],
    disks: readonly Disk[],
    private readonly release: () => void,
    fatal: (error: unknown) => void,
  ) {
    this.port = listeners.map(listeningPort).find((port) => port > 0) ?? null;
    this.#worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: {
        listeners,
        wakeFd: this.#wake.fd,
        counters: this.#counters.shared,
        exports: disks.map(exportOf),
      } satisfies NbdWorkerData,
    });
    this.#worker.on('error', fatal);
    this.#exited = new Promise((resolve) => this.#worker.once('exit', () => resolve()));
  }

  /**
   * @throws PinfoldError EINVAL for an address that is not this machine's, or if no socket was handed in; EADDRINUSE
   *   'lock held by pid N'; NativeError EADDRINUSE, EACCES. Nothing is left open then.
   */
  static async start(
    config: NbdConfig,
    disks: readonly Disk[],
    fatal: (error: unknown) => void,
  ): Promise<NbdServer> {
    const listeners: number[] = [];
    const undo: (() => void)[] = [];
    const release = (): void => {
      for (const each of undo.splice(0).reverse()) each();
    };
    try {
      if (config.activated) {
        const inherited = inheritedSockets(process.env);
        for (const fd of inherited) listeningPort(fd); // throws unless it listens
        listeners.push(...inherited);
      }
      if (config.tcp !== undefined) {
        const { address, port } = parseTcpAddress(config.tcp);
        listeners.push(listenTcp(address, port));
      }
      const path = config.socket;
      if (path !== undefined) {
        const claim = await claimSocketPath(path);
        undo.push(() => claim.release());
        listeners.push(listenUnix(path, SOCKET_MODE));
        undo.push(() => unlinkSync(path));
      }
      return new NbdServer(listeners, disks, release, fatal);
    } catch (error) {
      for (const fd of listeners) closeDescriptor(fd);
      release();
      throw error;
    }
  }

  statistics(): Record<string, number> {
    return this.#counters.read();
  }

  /** What is under way is served, the rest hears ESHUTDOWN; then the socket goes. */
  async close(): Promise<void> {
    this.#wake.signal();
    await this.#exited;
    this.#wake.close();
    this.release();
  }
}

function exportOf({ name, label, sizeBytes, backing, readOnly, storage }: Disk): ServedExport {
  const where = backing === 'memory' ? 'in memory' : `in ${backing}`;
  return { name, description: `${label}, ${where}`, sizeBytes, readOnly, source: storage };
}
