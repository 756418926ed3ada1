// What keeps several threads that use one volatile cache in order: a lock around each use of it, and what a FLUSH has to
// wait for.
//
//   word 0       0: free, 1: taken, 2: taken, and somebody may sleep until it is free
//   word 1 + T   odd while thread T hands out replies that tell of writes
//
// A thread notes a write as replied to right after the socket has taken the reply. In between the client may have it, and
// may have sent a FLUSH, which another thread has received: it has to cover that write (B4).

/** So often a thread looks again before it sleeps: what is done under the lock takes about as long. */
const SPIN_LOADS = 200;
/** Nobody wakes who waits for replies: system calls that do not block, unless their thread has lost its CPU. */
const LOOK_AGAIN_MS = 1;

export class CacheLock {
  readonly #own: number;

  /**
   * @param words one more than there are threads, zeroes at first
   * @param thread from 0 on
   */
  constructor(
    private readonly words: Int32Array,
    thread: number,
  ) {
    this.#own = 1 + thread;
  }

  /** Sleeps until the lock is free, and takes it. Whoever has it must not ask for it again. */
  take(): void {
    const { words } = this;
    if (Atomics.compareExchange(words, 0, 0, 1) === 0) return;
    for (let i = 0; i < SPIN_LOADS; i++) {
      if (Atomics.load(words, 0) === 0 && Atomics.compareExchange(words, 0, 0, 1) === 0) return;
    }
    while (Atomics.exchange(words, 0, 2) !== 0) Atomics.wait(words, 0, 2);
  }

  release(): void {
    if (Atomics.exchange(this.words, 0, 0) === 2) Atomics.notify(this.words, 0, 1);
  }

  /** Does something rare under the lock. */
  hold<T>(action: () => T): T {
    this.take();
    try {
      return action();
    } finally {
      this.release();
    }
  }

  /** Replies that tell of writes are about to be handed out. */
  beginReplies(): void {
    Atomics.add(this.words, this.#own, 1);
  }

  /** The writes that those replies told of are noted. */
  endReplies(): void {
    Atomics.add(this.words, this.#own, 1);
  }

  /** Returns when replies are noted that any other thread is handing out now. Not to be called under the lock. */
  awaitReplies(): void {
    const { words } = this;
    for (let at = 1; at < words.length; at++) {
      const seen = Atomics.load(words, at);
      if (at === this.#own || (seen & 1) === 0) continue;
      for (let i = 0; i < SPIN_LOADS && Atomics.load(words, at) === seen; i++);
      while (Atomics.load(words, at) === seen) Atomics.wait(words, at, seen, LOOK_AGAIN_MS);
    }
  }
}
