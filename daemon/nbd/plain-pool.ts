// The threads for plain disks, as the disks' thread has them: it gives them connections when it has several itself, and
// recalls those of a disk before that becomes more than plain.

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { WakeEvent } from '../../native/index.js';
import { RECALL_PATIENCE_MS } from './limits.js';
import type { Loads } from './loads.js';
import { fromPlainSchema, type Moved, type ToPlain } from './plain-messages.js';

interface PlainThread {
  readonly port: MessagePort;
  readonly wakeFd: number;
}

interface Recall {
  readonly untilMs: number;
  /** Threads that have not answered. */
  readonly owing: Set<PlainThread>;
  readonly isQuiet: () => boolean;
  readonly then: (quiet: boolean) => void;
}

export class PlainPool {
  #threads: readonly PlainThread[] = [];
  #hasAsked = false;
  readonly #recalls = new Map<number, Recall>();
  #lastId = 0;

  /** @param start asks for the threads: use() gets them later */
  constructor(
    private readonly loads: Loads,
    private readonly start: () => void,
  ) {}

  use(threads: readonly PlainThread[]): void {
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
    if (thread === undefined) throw new RangeError('there is no thread for plain disks');
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
   * @param isQuiet whether this thread, too, has no WRITE under way that counts
   * @param then called by settle() once no request of the disk is under way there, and isQuiet(); or with false if that
   *   takes too long: what is under way then ends there, and the connection comes after it
   */
  recall(disk: string, isQuiet: () => boolean, then: (quiet: boolean) => void): void {
    const id = ++this.#lastId;
    const untilMs = performance.now() + RECALL_PATIENCE_MS;
    this.#recalls.set(id, { untilMs, owing: new Set(this.#threads), isQuiet, then });
    for (const thread of this.#threads) this.#tell(thread, { recall: disk, id });
  }

  /** There are recalls that have not been settled: call settle() now and then. */
  get isWaiting(): boolean {
    return this.#recalls.size > 0;
  }

  settle(): void {
    for (const [id, { owing, isQuiet, untilMs, then }] of this.#recalls) {
      const quiet = owing.size === 0 && isQuiet();
      if (!quiet && performance.now() < untilMs) continue;
      this.#recalls.delete(id);
      then(quiet);
    }
  }

  /** Takes note of what the threads say. @returns connections that have come back */
  receive(): readonly Moved[] {
    const back: Moved[] = [];
    for (const thread of this.#threads) {
      for (
        let message = receiveMessageOnPort(thread.port);
        message !== undefined;
        message = receiveMessageOnPort(thread.port)
      ) {
        const word = fromPlainSchema.parse(message.message);
        if ('moved' in word) back.push(word.moved);
        else this.#recalls.get(word.recalled)?.owing.delete(thread);
      }
    }
    return back;
  }

  stop(): void {
    for (const thread of this.#threads) this.#tell(thread, 'stop');
  }

  #tell({ port, wakeFd }: PlainThread, word: ToPlain): void {
    port.postMessage(word);
    WakeEvent.signal(wakeFd);
  }
}
