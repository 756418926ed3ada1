// Between TLS and plaintext: what a client sends under TLS comes out of a socket in this process, and the other way.
//
//   client  <--- TLS --->  TLSSocket  <--- pipe --->  plain  <--- socketpair --->  the disks' thread
//
// Each pipe waits for its slower end. Who closes one end closes the other, after what was sent before it, if the other end
// takes it in time.

import { AsyncLocalStorage } from 'node:async_hooks';
import { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { TLS_HANDSHAKE_TIMEOUT_MS, TLS_LINGER_MS } from './limits.js';
import { type Credentials, tlsOptions } from './tls-credentials.js';
import type { HandOver } from './tls-messages.js';

export interface BridgeEvents {
  /** A client's handshake failed; its sockets are gone. */
  failed(reason: string): void;
  /** The sockets of one hand-over are gone. */
  closed(): void;
}

/** One hand-over. */
interface Crossing {
  readonly outer: Socket;
  readonly inner: Socket;
  /** There is no plaintext yet. */
  inHandshake: boolean;
}

export class TlsBridge {
  readonly #server: Server;
  /** Whose handshake goes on: it follows the callbacks of the TLS socket that the server makes of `outer`. */
  readonly #arriving = new AsyncLocalStorage<Crossing>();
  /** By the descriptor of their plaintext. */
  readonly #crossings = new Map<number, Crossing>();

  constructor(
    credentials: Credentials,
    private readonly events: BridgeEvents,
    handshakeTimeout = TLS_HANDSHAKE_TIMEOUT_MS,
  ) {
    this.#server = createServer({ ...tlsOptions(credentials), handshakeTimeout });
    this.#server.on('secureConnection', (secure) => this.#join(secure, this.#arriving.getStore()));
    this.#server.on('tlsClientError', (error, secure) => {
      secure.destroy();
      events.failed(reasonOf(error));
    });
  }

  /** Waits for the handshake of that client, and then carries its bytes. */
  take({ client, plain }: HandOver): void {
    const outer = new Socket({ fd: client });
    const inner = new Socket({ fd: plain, allowHalfOpen: true });
    const crossing = { outer, inner, inHandshake: true };
    this.#crossings.set(plain, crossing);
    // Errors of either are followed by their close.
    outer.on('error', () => undefined);
    inner.on('error', () => undefined);
    outer.on('close', () => {
      if (this.#crossings.get(plain) === crossing) this.#crossings.delete(plain);
      inner.destroy();
      this.events.closed();
    });
    inner.on('close', () => {
      if (crossing.inHandshake) outer.destroy();
    });
    // The documented way to give a TLS server a connection that it has not accepted itself.
    this.#arriving.run(crossing, () => this.#server.emit('connection', outer));
  }

  /**
   * The other end of that plaintext was closed. Its end alone does not tell: it comes after what the client has not taken
   * yet, and that may be never.
   */
  leave(plain: number): void {
    const crossing = this.#crossings.get(plain);
    if (crossing === undefined) return;
    const { outer, inHandshake } = crossing;
    if (inHandshake) {
      outer.destroy();
      return;
    }
    const linger = setTimeout(() => outer.destroy(), TLS_LINGER_MS);
    outer.once('close', () => clearTimeout(linger));
  }

  #join(secure: TLSSocket, crossing: Crossing | undefined): void {
    if (crossing === undefined || crossing.inner.destroyed) {
      secure.destroy();
      return;
    }
    const { inner } = crossing;
    crossing.inHandshake = false;
    // From now on a client that says nothing more may still be told something; before, it ends the handshake.
    secure.allowHalfOpen = true;
    secure.on('error', () => undefined);
    secure.pipe(inner);
    inner.pipe(secure);
    // Nobody hears the client any more; what it has not got yet goes on.
    inner.on('close', () => secure.end());
  }
}

/** OpenSSL's words, without its addresses. */
function reasonOf(error: Error): string {
  const code = 'code' in error ? String(error.code) : '';
  const reason = 'reason' in error ? String(error.reason) : error.message;
  return code === '' ? reason : `${reason} (${code})`;
}
