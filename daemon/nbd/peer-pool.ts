// The peers of the disks' thread, as it has them: threads that serve clients of disks in memory. It gives them connections
// when it has several itself, and recalls those of a disk before that thread alone may serve it.

import type { MessagePort } from 'node:worker_threads';
import { WakeEvent } from '../../native/index.js';
import { RECALL_PATIENCE_MS } from './limits.js';
import type { Loads } from './loads.js';
import { fromPeerSchema, type Moved, type ToPeer } from './peer-messages.js';
import { messagesOn } from './port-messages.js';

interface PeerThread {
  readonly port: MessagePort;
  readonly wakeFd: number;
}

interface Recall {
  /** Threads that may still begin a request, and those in which a WRITE may be under way. */
  readonly owing: Set<PeerThread>;
  readonly writing: Set<PeerThread>;
  /** Null: WRITEs that are under way do not matter. */
  readonly isQuiet: (() => boolean) | null;
  readonly then: (quiet: boolean) => void;
  /** Until when WRITEs are waited for; 0: no thread owes an answer first. */
  untilMs: number;
}

interface Cut {
  readonly owing: Set<PeerThread>;
  connections: number;
  readonly then: (connections: number) => void;
}

export class PeerPool {
  #threads: readonly PeerThread[] = [];
  #hasAsked = false;
  readonly #recalls = new Map<number, Recall>();
  readonly #cuts = new Map<number, Cut>();
  #lastId = 0;

  /** @param start asks for the threads: use() gets them later */
  constructor(
    private readonly loads: Loads,
    private readonly start: () => void,
  ) {}

  use(threads: readonly PeerThread[]): void {
    this.#threads = threads;
  }

  /** Whether one of the disks' thread's own clients would have more of another thread. */
  get wantsOne(): boolean {
    const own = this.loads.of(0);
    if (own < 2) return false;
    if (this.#threads.length === 0 && !this.#hasAsked) {
      this.#hasAsked = true;
      this.start();
    }
    return this.#threads.length > 0 && this.loads.of(this.#leastLoaded()) + 1 < own;
  }

  /** A connection that is another thread's from now on. @throws RangeError without threads: see wantsOne */
  give(moved: Moved): void {
    const number = this.#leastLoaded();
    const thread = this.#threads.at(number - 1);
    if (thread === undefined) throw new RangeError('there is no peer');
    this.loads.add(number, 1);
    this.#tell(thread, { moved });
  }

  /** Its number in Loads. */
  #leastLoaded(): number {
    let least = 1;
    for (let number = 2; number <= this.#threads.length; number++) {
      if (this.loads.of(number) < this.loads.of(least)) least = number;
    }
    return least;
  }

  /**
   * Has the other threads serve a disk no more.
   * @param isQuiet whether this thread has no WRITE of it under way either; null: those that are under way do not matter
   * @param then called by settle() when no request will begin there, and none is under way; or with false if that takes too
   *   long: what is under way then ends there, and the connection comes after it
   */
  recall(disk: string, isQuiet: (() => boolean) | null, then: (quiet: boolean) => void): void {
    const id = ++this.#lastId;
    const owing = new Set(this.#threads);
    this.#recalls.set(id, { owing, writing: new Set(owing), isQuiet, then, untilMs: 0 });
    for (const thread of this.#threads) this.#tell(thread, { recall: disk, id });
  }

  /**
   * Has the other threads close all connections to a disk.
   * @param then called by settle() when they have, with their number
   */
  cut(disk: string, then: (connections: number) => void): void {
    const id = ++this.#lastId;
    this.#cuts.set(id, { owing: new Set(this.#threads), connections: 0, then });
    for (const thread of this.#threads) this.#tell(thread, { cut: disk, id });
  }

  /** There are recalls or cuts that have not been settled: call settle() now and then. */
  get isWaiting(): boolean {
    return this.#recalls.size > 0 || this.#cuts.size > 0;
  }

  settle(): void {
    for (const [id, { owing, connections, then }] of this.#cuts) {
      if (owing.size > 0) continue;
      this.#cuts.delete(id);
      then(connections);
    }
    for (const [id, recall] of this.#recalls) {
      const { owing, writing, isQuiet, then } = recall;
      if (owing.size > 0) continue;
      const quiet = isQuiet === null || (writing.size === 0 && isQuiet());
      const nowMs = performance.now();
      if (recall.untilMs === 0) recall.untilMs = nowMs + RECALL_PATIENCE_MS;
      if (!quiet && nowMs < recall.untilMs) continue;
      this.#recalls.delete(id);
      then(quiet);
    }
  }

  /** Takes note of what the threads say. @returns connections that have come back */
  receive(): readonly Moved[] {
    const back: Moved[] = [];
    for (const thread of this.#threads) {
      for (const message of messagesOn(thread.port)) {
        const word = fromPeerSchema.parse(message);
        if ('moved' in word) {
          back.push(word.moved);
          continue;
        }
        if ('cut' in word) {
          const cut = this.#cuts.get(word.cut);
          cut?.owing.delete(thread);
          if (cut !== undefined) cut.connections += word.connections;
          continue;
        }
        const recall = this.#recalls.get(word.recalled);
        recall?.owing.delete(thread);
        if (word.quiet) recall?.writing.delete(thread);
      }
    }
    return back;
  }

  stop(): void {
    for (const thread of this.#threads) this.#tell(thread, 'stop');
  }

  #tell({ port, wakeFd }: PeerThread, word: ToPeer): void {
    port.postMessage(word);
    WakeEvent.signal(wakeFd);
  }
}
