// The disks' thread's end of TLS: gives a client's socket to the thread that does TLS, for one that carries plaintext.

import type { MessagePort } from 'node:worker_threads';
import { socketPair } from '../../native/index.js';
import type { HandOver, Leave } from './tls-messages.js';

export interface TlsChannel {
  readonly mode: 'required' | 'allowed';
  readonly handOvers: MessagePort;
  readonly sockets: SharedArrayBuffer;
}

export class TlsHandOver {
  readonly #channel: TlsChannel;
  /** Sockets of the other thread, from their hand-over until they are closed there. */
  readonly #theirs: Int32Array;
  /** Our ends, with theirs. */
  readonly #ours = new Map<number, number>();

  constructor(channel: TlsChannel) {
    this.#channel = channel;
    this.#theirs = new Int32Array(channel.sockets);
  }

  get mode(): 'required' | 'allowed' {
    return this.#channel.mode;
  }

  /** Whether it is one of those that give() has returned. */
  has(fd: number): boolean {
    return this.#ours.has(fd);
  }

  /** Clients that are still being told the last of a connection which is over here. */
  get lingering(): number {
    return Math.max(Atomics.load(this.#theirs, 0) - this.#ours.size, 0);
  }

  /**
   * @param client belongs to the other thread from now on
   * @returns where its plaintext goes in and out; tell closed() of its end
   * @throws NativeError EMFILE; the client's socket stays here then
   */
  give(client: number): number {
    const [ours, plain] = socketPair();
    Atomics.add(this.#theirs, 0, 1);
    this.#ours.set(ours, plain);
    this.#channel.handOvers.postMessage({ client, plain } satisfies HandOver);
    return ours;
  }

  closed(ours: number): void {
    const plain = this.#ours.get(ours);
    if (plain === undefined) return;
    this.#ours.delete(ours);
    this.#channel.handOvers.postMessage({ left: plain } satisfies Leave);
  }
}
