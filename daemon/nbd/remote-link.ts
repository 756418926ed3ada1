// The disks' thread's end of the channel to the daemon's main thread: requests go out in batches, one a round.

import type { MessagePort } from 'node:worker_threads';
import { messagesOn } from './port-messages.js';
import { type Opening, REPLY_NUMBERS } from './remote-messages.js';
import { Staging } from './staging.js';

/** Somebody whose requests the main thread serves. */
export interface RemoteClient {
  /**
   * A request is done.
   * @param extents the number of them, for OPERATION.EXTENTS
   * @param reached gets the sockets of connections that can go on
   */
  completed(piece: number, error: number, extents: number, reached: Set<number>): void;
}

export class RemoteLink {
  readonly #clients = new Map<number, RemoteClient>();
  /** Of connections that are over, for the next ones: a thread without an event loop never frees an Arena. */
  readonly #stagings: Staging[] = [];
  #lastNumber = 0;
  #batch: number[] = [];

  constructor(private readonly port: MessagePort) {}

  /** @returns the client's number */
  attach(client: RemoteClient): number {
    const number = ++this.#lastNumber;
    this.#clients.set(number, client);
    return number;
  }

  /** Requests of a client that is attached are about this export from now on. @returns what its data goes through */
  open(client: number, exported: string): Staging {
    const staging = this.#stagings.pop() ?? new Staging();
    this.port.postMessage({
      open: client,
      export: exported,
      staging: staging.buffer,
    } satisfies Opening);
    return staging;
  }

  /** The client wants nothing more. It is told of what is under way all the same, and calls forget() then. */
  close(client: number): void {
    this.flush();
    this.port.postMessage({ close: client } satisfies Opening);
  }

  /** Nothing of the client is under way any more. */
  forget(client: number, staging: Staging): void {
    this.#clients.delete(client);
    staging.giveAll();
    this.#stagings.push(staging);
  }

  submit(
    client: number,
    piece: number,
    operation: number,
    place: number,
    offset: number,
    length: number,
  ): void {
    this.#batch.push(client, piece, operation, place, offset, length);
  }

  /** Sends what was submitted since. */
  flush(): void {
    if (this.#batch.length === 0) return;
    this.port.postMessage(Float64Array.from(this.#batch));
    this.#batch = [];
  }

  /** Hands out all replies that have arrived. @returns the sockets of connections that can go on */
  receive(): Set<number> {
    const reached = new Set<number>();
    for (const replies of messagesOn(this.port)) {
      if (!(replies instanceof Float64Array))
        throw new TypeError('the main thread sent no replies');
      for (let i = 0; i < replies.length; i += REPLY_NUMBERS) {
        const client = this.#clients.get(replies[i] ?? 0);
        if (client === undefined) throw new RangeError('a reply to a client that is unknown');
        const [, piece = 0, error = 0, extents = 0] = replies.subarray(i, i + REPLY_NUMBERS);
        client.completed(piece, error, extents, reached);
      }
    }
    return reached;
  }
}
