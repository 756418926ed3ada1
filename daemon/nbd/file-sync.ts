// Makes a disk's backing file durable without holding up the disks' thread: fdatasync runs elsewhere, and the answers come
// later. One at a time, so that none can miss the error of another; those that ask meanwhile share the next one.

import type { BackingFile } from './backing-file.js';
import { ERROR } from './protocol.js';
import type { RemoteClient, RemoteLink } from './remote-link.js';
import { OPERATION } from './remote-messages.js';
import type { Waiter } from './storage.js';

interface Asked {
  readonly waiter: Waiter;
  readonly id: number;
}

export class FileSync implements RemoteClient {
  readonly #number: number;
  #lastId = 0;
  /** Who waits for the one that runs, and for the next one. */
  #running: Asked[] = [];
  #next: Asked[] = [];

  constructor(
    private readonly link: RemoteLink,
    private readonly file: BackingFile,
  ) {
    this.#number = link.attach(this);
  }

  /** @returns the number under which the waiter is answered */
  ask(waiter: Waiter): number {
    const id = ++this.#lastId;
    this.#next.push({ waiter, id });
    if (this.#running.length === 0) this.#start();
    return id;
  }

  completed(_piece: number, error: number, _extents: number, reached: Set<number>): void {
    if (error !== ERROR.NONE) this.file.failed = true;
    const answer = this.file.failed ? ERROR.EIO : ERROR.NONE;
    for (const { waiter, id } of this.#running) {
      waiter.answered(id, error === ERROR.NONE ? answer : error);
      reached.add(waiter.fd);
    }
    this.#running = [];
    if (this.#next.length > 0) this.#start();
  }

  #start(): void {
    this.#running = this.#next;
    this.#next = [];
    this.link.submit(this.#number, 0, OPERATION.SYNC, 0, this.file.fd, 0);
  }
}
