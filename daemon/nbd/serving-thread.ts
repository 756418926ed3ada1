// What each thread that serves NBD clients does: it sleeps in its poller, and then its connections take turns. It has no
// event loop.

import { availableParallelism } from 'node:os';
// The global of this name is found by calling a getter each time.
import { performance } from 'node:perf_hooks';
import { INTEREST, NativeError, Poller, READY } from '../../native/index.js';
import type { ServedConnection, Turn } from './connection-host.js';
import type { NbdCounters } from './counters.js';
import { BUSY_GRACE_MS, IDLE_GRACE_MS, WRITE_PATIENCE_MS, WRITE_WAIT_MS } from './limits.js';
import type { Loads } from './loads.js';
import { Patience } from './patience.js';
import type { Clock } from './storage.js';

const EVENTS = 256;
const CPUS = availableParallelism();
/** A wrong argument is no client's fault. */
const OWN_DEFECTS: readonly string[] = ['EINVAL', 'EBADF', 'ENOTSOCK'];

export abstract class ServingThread<C extends ServedConnection> {
  readonly poller = new Poller();
  readonly patience = new Patience();
  nowMs = performance.now();
  protected readonly connections = new Map<number, C>();
  protected stopping = false;
  readonly #again = new Set<number>();
  /** Those with answers that are postponed. */
  readonly #postponed = new Map<number, C>();
  /** Those with a WRITE that waits for memory, in the order in which they began to. */
  readonly #short = new Set<number>();
  readonly #events = new Float64Array(2 * EVENTS);

  /** @param wakeFd readable when there are messages */
  constructor(
    readonly counters: NbdCounters,
    protected readonly loads: Loads,
    private readonly wakeFd: number,
  ) {
    this.poller.add(wakeFd, INTEREST.READ);
  }

  /** What the turns have left for others. */
  protected abstract beforeSleep(): void;
  /** The event was signalled. */
  protected abstract receiveMessages(): void;
  /** Something else is readable that was added to the poller. @returns false if it is none of that */
  protected abstract heard(fd: number): boolean;
  /** The connection has to go on elsewhere: see Turn, 'tls' or 'remote'. */
  protected abstract moveOn(fd: number, connection: C, turn: Turn): void;
  /** After each turn. */
  protected abstract turned(fd: number, connection: C): void;
  protected abstract closed(fd: number): void;
  /** A WRITE of this connection may be ended if it stalls while others wait for memory. */
  protected abstract mayEnd(fd: number): boolean;

  /** One sleep, and what it ends with. @returns how many descriptors were ready */
  protected round(longestMs: number): number {
    if (this.#again.size > 0) for (const fd of [...this.#again]) this.turn(fd);
    const longestUs = (this.#short.size > 0 ? WRITE_WAIT_MS : longestMs) * 1000;
    const dueUs = this.#postponed.size > 0 ? this.#untilDueUs() : longestUs;
    const patienceUs = this.#again.size > 0 ? 0 : Math.min(longestUs, dueUs);
    const timeoutMs = Math.floor(patienceUs / 1000);
    this.beforeSleep();
    // A part of a millisecond is spent asking.
    const askUs = timeoutMs > 0 ? 0 : Math.ceil(patienceUs);
    const count = this.poller.wait(this.#events, timeoutMs, askUs);
    this.nowMs = performance.now();
    this.patience.isAllowed = this.connections.size === 1 && 2 * this.loads.total <= CPUS;
    for (let i = 0; i < count; i++) {
      const fd = this.#events[2 * i] ?? -1;
      const ready = this.#events[2 * i + 1] ?? 0;
      if (fd === this.wakeFd) this.receiveMessages();
      else if (this.heard(fd)) continue;
      else if ((ready & READY.BROKEN) !== 0) this.#turnBroken(fd);
      else if (!this.#again.has(fd)) this.turn(fd);
    }
    if (this.#short.size > 0) this.#turnShort();
    if (this.#postponed.size > 0) this.#turnDue(count === 0 && this.#again.size === 0);
    return count;
  }

  protected turn(fd: number): void {
    const connection = this.connections.get(fd);
    if (connection === undefined) return;
    let turn: Turn;
    try {
      turn = connection.turn();
    } catch (error) {
      // EFAULT and the like: the host has no memory for what this client wrote.
      if (!(error instanceof NativeError) || OWN_DEFECTS.includes(error.code)) throw error;
      turn = 'closed';
    }
    this.turned(fd, connection);
    if (connection.dueUs < Number.POSITIVE_INFINITY) this.#postponed.set(fd, connection);
    else if (this.#postponed.size > 0) this.#postponed.delete(fd);
    if (turn === 'again') this.#again.add(fd);
    else if (this.#again.size > 0) this.#again.delete(fd);
    if (turn === 'short') this.#short.add(fd);
    else if (this.#short.size > 0) this.#short.delete(fd);
    if (turn === 'closed') this.close(fd, connection);
    else if (turn === 'tls' || turn === 'remote') this.moveOn(fd, connection, turn);
  }

  protected close(fd: number, connection: C): void {
    this.forget(fd);
    connection.close();
    this.closed(fd);
  }

  /** It is closed, or somebody else's. */
  protected forget(fd: number): void {
    for (const each of [this.#again, this.#short, this.#postponed, this.connections]) {
      each.delete(fd);
    }
  }

  /** What is under way ends; who asks for more hears ESHUTDOWN for a moment. */
  protected finish(): void {
    for (const [fd, connection] of this.connections) {
      // What has been received is still served.
      this.turn(fd);
      connection.stopping = true;
      if (!this.mayEnd(fd) && connection.idle) this.close(fd, connection);
    }
    const began = Date.now();
    while (this.connections.size > 0) {
      const waited = Date.now() - began;
      const busy = [...this.connections.values()].some((each) => !each.idle);
      if (waited >= (busy ? BUSY_GRACE_MS : IDLE_GRACE_MS)) break;
      this.round(10);
    }
    for (const [fd, connection] of this.connections) this.close(fd, connection);
    this.poller.close();
  }

  /** A connection that receives nothing for now would hear of its end again and again. */
  #turnBroken(fd: number): void {
    const connection = this.connections.get(fd);
    if (connection?.deaf === true) this.close(fd, connection);
    else this.turn(fd);
  }

  /** How long until the next postponed answer. Virtual time comes when there is nothing else to do: at once. */
  #untilDueUs(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { clock, dueUs } of this.#postponed.values()) {
      least = Math.min(least, clock.virtual ? 0 : Math.max(dueUs - clock.nowUs(), 0));
    }
    return least;
  }

  #turnDue(idle: boolean): void {
    if (idle) this.#advance();
    for (const [fd, { clock, dueUs }] of [...this.#postponed]) {
      if (dueUs <= clock.nowUs()) this.turn(fd);
    }
  }

  /** Puts each virtual clock forward to what is due next by it. */
  #advance(): void {
    const next = new Map<Clock, number>();
    for (const { clock, dueUs } of this.#postponed.values()) {
      if (clock.virtual) next.set(clock, Math.min(dueUs, next.get(clock) ?? dueUs));
    }
    for (const [clock, dueUs] of next) if (Number.isFinite(dueUs)) clock.advance(dueUs);
  }

  /** WRITEs that wait for memory of their disk get it: if others have ended, or by ending those that have stalled. */
  #turnShort(): void {
    const full = new Set<unknown>();
    for (const fd of [...this.#short]) {
      const exported = this.connections.get(fd)?.exported ?? null;
      if (full.has(exported)) continue;
      this.turn(fd);
      while (this.#short.has(fd) && this.#endStalled(exported)) this.turn(fd);
      if (this.#short.has(fd)) full.add(exported);
    }
  }

  /** Closes the connection whose WRITE has stalled for the longest time. @returns false if all make progress */
  #endStalled(exported: unknown): boolean {
    let longest = -1;
    let sinceMs = performance.now() - WRITE_PATIENCE_MS;
    for (const [fd, connection] of this.connections) {
      if (connection.exported !== exported || !this.mayEnd(fd)) continue;
      if (connection.stalledSinceMs > sinceMs) continue;
      longest = fd;
      sinceMs = connection.stalledSinceMs;
    }
    if (longest < 0) return false;
    // It may be this thread that had no time for it.
    this.nowMs = performance.now();
    this.turn(longest);
    const connection = this.connections.get(longest);
    if (connection?.stalledSinceMs === sinceMs) this.close(longest, connection);
    return true;
  }
}
