// Accepts connections on the daemon's socket, and keeps the list of its clients.

import { randomBytes } from 'node:crypto';
import { chmodSync } from 'node:fs';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { dup, peerCredentials, sendDescriptors } from '../../native/index.js';
import { type Caller, Calls } from '../calls.js';
import { type Counters, createCounters } from '../counters.js';
import { packControl } from '../protocol/control.js';
import { PinfoldError } from '../protocol/errors.js';
import { encodeFrame, FLAG, FRAME, UNVERSIONED } from '../protocol/frame.js';
import {
  ATTACH_TOKEN_TIMEOUT_MS,
  ATTACH_TOKENS_MAX,
  DATA_BYTES_MAX,
  DISCARD_BYTES_MAX,
  type Limits,
  PROTOCOL_VERSION_MAX,
} from '../protocol/limits.js';
import type { EventMessage, Hello, Welcome } from '../protocol/methods.js';
import type { Region } from '../region.js';
import type { Served } from '../served.js';
import { Connection, type ConnectionHost } from './connection.js';
import { HandleSpace, Handles } from './handles.js';

/** How long requests may take to end by themselves when the daemon stops, and after being withdrawn. */
const DRAIN_GRACE_MS = 2000;
const DRAIN_TIMEOUT_MS = 10_000;

/** Connections that may be in their handshake, beyond the clients that are let in. */
const STRANGERS_MAX = 64;

export interface ServerOptions {
  readonly limits: Limits;
  readonly allowedUids: readonly number[];
  readonly release: string;
  readonly served: Served;
  readonly log: Logger;
  readonly fatal: (error: unknown) => void;
}

interface Token {
  readonly region: Region;
  readonly clientId: number;
  readonly expires: number;
}

export class Server implements ConnectionHost {
  readonly counters: Counters = createCounters();
  readonly limits: Limits;
  readonly log: Logger;
  readonly fatal: (error: unknown) => void;
  readonly served: Served;
  readonly #net: NetServer;
  readonly #calls: Calls;
  readonly #space = new HandleSpace();
  readonly #connections = new Set<Connection>();
  readonly #tokens = new Map<string, Token>();
  #releasing = 0;
  #nextId = 1;

  constructor(private readonly options: ServerOptions) {
    this.limits = options.limits;
    this.log = options.log;
    this.fatal = options.fatal;
    this.served = options.served;
    this.#calls = new Calls(this);
    // Nothing is read from an accepted socket here: a duplicate of it is read, into a buffer of ours.
    this.#net = createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket));
  }

  /** Clients that have introduced themselves. */
  get clientCount(): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.isOpen) count++;
    return count;
  }

  /** Listens on a path that this process has claimed; only its own user may connect. */
  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#net.once('error', reject);
      this.#net.listen(path, () => {
        this.#net.off('error', reject);
        // EMFILE and the like: that client is lost, the others go on.
        this.#net.on('error', (error) =>
          this.log.error({ err: error }, 'cannot accept a connection'),
        );
        resolve();
      });
      // Bound by now. Whoever comes in between is turned away by its credentials.
      chmodSync(path, 0o600);
    });
  }

  /**
   * Accepts nobody any more, lets what is in flight end, and says goodbye to all clients.
   * @throws PinfoldError ETIMEDOUT if an operation would not end
   */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#net.close(resolve));
    const start = performance.now();
    const all = [...this.#connections];
    const drained = Promise.all(
      all.map(async (connection) => await connection.drain(DRAIN_GRACE_MS)),
    );
    await Promise.race([drained, sleep(DRAIN_TIMEOUT_MS, null, { ref: false })]);
    while (this.#connections.size > 0 || this.#releasing > 0) {
      for (const connection of this.#connections) connection.destroySoon();
      await sleep(2);
      if (performance.now() - start < DRAIN_TIMEOUT_MS) continue;
      const stuck = all.reduce((sum, connection) => sum + connection.requestsInFlight, 0);
      throw new PinfoldError('ETIMEDOUT', `${stuck} requests did not end while the daemon drained`);
    }
    await closed;
  }

  /** Sends an event to all clients that have the volume open. */
  broadcast(event: EventMessage): void {
    for (const connection of this.#connections) {
      const handle = connection.handles.findVolume(event.volume);
      if (handle !== 0) connection.sendEvent(handle, event);
    }
  }

  admit(connection: Connection, hello: Hello): Welcome {
    if (this.clientCount >= this.limits.clients) {
      this.counters.clientsRefused++;
      throw new PinfoldError(
        'EUSERS',
        `${this.limits.clients} clients are connected, which is the limit: wait, or raise limits.clients`,
      );
    }
    this.counters.clientsAccepted++;
    this.log.info({ client: connection.id, name: hello.name, pid: connection.peer.pid }, 'client');
    const { requestsInFlight, bytesInFlight } = this.limits;
    return {
      version: Math.min(hello.versionMax, PROTOCOL_VERSION_MAX),
      release: this.options.release,
      daemonPid: process.pid,
      features: ['disks', 'regions', 'volumes'],
      limits: {
        requestsInFlight,
        bytesInFlight,
        dataBytes: DATA_BYTES_MAX,
        discardBytes: DISCARD_BYTES_MAX,
      },
    };
  }

  async call(
    connection: Connection,
    method: string,
    params: unknown,
    signal: AbortSignal,
  ): Promise<unknown> {
    return await this.#calls.run(connection, method, params, signal);
  }

  issueToken(caller: Caller, region: Region): string {
    const now = performance.now();
    let held = 0;
    for (const [token, { clientId, expires }] of this.#tokens) {
      if (expires < now) this.#tokens.delete(token);
      else if (clientId === caller.id) held++;
    }
    if (held >= ATTACH_TOKENS_MAX) {
      throw new PinfoldError(
        'EAGAIN',
        `${held} regions are being attached: finish with some first`,
      );
    }
    const token = randomBytes(16).toString('hex');
    const expires = now + ATTACH_TOKEN_TIMEOUT_MS;
    this.#tokens.set(token, { region, clientId: caller.id, expires });
    return token;
  }

  attach(connection: Connection, token: string): void {
    const issued = this.#tokens.get(token);
    this.#tokens.delete(token);
    if (issued === undefined || issued.expires < performance.now()) {
      throw new PinfoldError(
        'EACCES',
        `the token is unknown, used, or older than ${ATTACH_TOKEN_TIMEOUT_MS} ms: open the region again`,
      );
    }
    const { memory, sizeBytes } = issued.region;
    const reply = encodeFrame(UNVERSIONED, FRAME.REPLY, 0, packControl({ sizeBytes }), {
      flags: FLAG.CONTROL,
    });
    this.counters.regionsAttached++;
    sendDescriptors(connection.fd, reply, [memory.fd], 100);
    connection.destroy();
  }

  closed(connection: Connection): void {
    this.#releasing++;
    this.#release(connection)
      .catch((error: unknown) => this.fatal(error))
      .finally(() => {
        this.#connections.delete(connection);
        this.#releasing--;
      });
  }

  async #release(connection: Connection): Promise<void> {
    for (const [token, { clientId }] of this.#tokens) {
      if (clientId === connection.id) this.#tokens.delete(token);
    }
    const { handles } = connection;
    const { file: files, mapping: mappings, pin: pins } = handles.count();
    await handles.releasePins();
    await connection.idle();
    await handles.releaseAll();
    if (files + mappings + pins === 0) return;
    this.counters.clientsDied++;
    this.counters.filesReleased += files;
    this.counters.mappingsReleased += mappings;
    this.counters.pinsReleased += pins;
    this.log.warn(
      {
        client: connection.id,
        name: connection.name,
        pid: connection.peer.pid,
        files,
        mappings,
        pins,
      },
      'client went away; released what it had open',
    );
  }

  #accept(accepted: Socket): void {
    let fd: number;
    try {
      fd = dup(descriptorOf(accepted));
    } catch (error) {
      this.log.error({ err: error }, 'cannot take a connection over');
      return;
    } finally {
      accepted.destroy();
    }
    const peer = peerCredentials(fd);
    const id = this.#nextId++;
    const handles = new Handles(this.#space, id, this.limits);
    const connection = new Connection(fd, id, peer, handles, this);
    this.#connections.add(connection);
    if (!this.options.allowedUids.includes(peer.uid)) {
      this.counters.clientsRefused++;
      connection.refuse(
        new PinfoldError(
          'EACCES',
          `user ${peer.uid} may not use this daemon, only ${this.options.allowedUids.join(', ')}: see allowedUids`,
        ),
      );
    } else if (this.#connections.size > this.limits.clients + STRANGERS_MAX) {
      this.counters.clientsRefused++;
      connection.refuse(new PinfoldError('EUSERS', 'too many connections: wait'));
    }
  }
}

/** The descriptor of an accepted socket, which Node keeps to itself. */
function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const fd: unknown =
    typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : -1;
  return typeof fd === 'number' ? fd : -1;
}
