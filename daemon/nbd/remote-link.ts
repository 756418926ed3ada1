// The disks' thread's end of the channel to the daemon's main thread: requests go out in batches, one a round.

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { type Opening, REPLY_NUMBERS } from './remote-messages.js';

/** A connection whose requests the main thread serves. */
export interface RemoteClient {
  readonly fd: number;
  /** @param extents the number of them, for OPERATION.EXTENTS */
  completed(piece: number, error: number, extents: number): void;
}

export class RemoteLink {
  readonly #clients = new Map<number, RemoteClient>();
  #lastNumber = 0;
  #batch: number[] = [];

  constructor(private readonly port: MessagePort) {}

  /** @returns the client's number, for submit() and close() */
  open(client: RemoteClient, exported: string, staging: SharedArrayBuffer): number {
    const number = ++this.#lastNumber;
    this.#clients.set(number, client);
    this.port.postMessage({ open: number, export: exported, staging } satisfies Opening);
    return number;
  }

  close(client: number): void {
    this.#clients.delete(client);
    this.port.postMessage({ close: client } satisfies Opening);
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

  /** Hands out all replies that have arrived. @returns the sockets of clients that got some */
  receive(): Set<number> {
    const reached = new Set<number>();
    for (
      let message = receiveMessageOnPort(this.port);
      message !== undefined;
      message = receiveMessageOnPort(this.port)
    ) {
      const replies: unknown = message.message;
      if (!(replies instanceof Float64Array))
        throw new TypeError('the main thread sent no replies');
      for (let i = 0; i < replies.length; i += REPLY_NUMBERS) {
        const [number = 0, piece = 0, error = 0, extents = 0] = replies.subarray(
          i,
          i + REPLY_NUMBERS,
        );
        const client = this.#clients.get(number);
        if (client === undefined) continue;
        client.completed(piece, error, extents);
        reached.add(client.fd);
      }
    }
    return reached;
  }
}
