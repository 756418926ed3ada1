// Serving stream sockets in a thread of one's own: listen, accept, wait for many. Bytes move by Arena.receive and send.
import { addon } from './addon.js';
import { closeDescriptor } from './files.js';

/** What Arena.receive() and send() return instead of a number of bytes. */
export const WOULD_BLOCK = -1;
export const GONE = -2;

/** What a triple of Arena.send() is a range of. */
export const PLACE = { BUFFER: 0, ARENA: 1, ZEROES: 2 } as const;
export const TRIPLE_NUMBERS = 3;

/** What to wait for: a sum. */
export const INTEREST = { NONE: 0, READ: 1, WRITE: 2 } as const;
/** What has come: a sum. BROKEN is an error, or a peer that closed both ways; the next receive tells. */
export const READY = { READ: 1, WRITE: 2, BROKEN: 4 } as const;

/**
 * Listens on a Unix stream socket, whose file must not exist.
 * @param path at most 107 bytes.
 * @param mode permissions of the socket's file: who may connect.
 * @returns a non-blocking, close-on-exec descriptor that the caller closes; the file stays then.
 * @throws NativeError EADDRINUSE, ENOENT, EACCES, ENAMETOOLONG.
 */
export function listenUnix(path: string, mode: number): number {
  return addon.listenUnix(path, mode);
}

/**
 * Listens on a TCP port.
 * @param address numeric, IPv4 or IPv6.
 * @param port 0 takes any that is free, see listeningPort().
 * @throws NativeError EADDRINUSE, EADDRNOTAVAIL, EACCES, EINVAL.
 */
export function listenTcp(address: string, port: number): number {
  return addon.listenTcp(address, port);
}

/** The port of a listening socket, 0 if it is a Unix one. @throws NativeError EINVAL if it does not listen, ENOTSOCK. */
export function listeningPort(fd: number): number {
  return addon.listeningPort(fd);
}

/**
 * The next connection of a listening socket, as a non-blocking descriptor that the caller closes; -1 if there is none.
 * @throws NativeError EMFILE, ENFILE, EINVAL if the socket does not listen, EBADF.
 */
export function acceptStream(fd: number): number {
  return addon.acceptStream(fd);
}

/**
 * Two stream sockets that are connected to each other: non-blocking, close-on-exec, and the caller's to close.
 * @throws NativeError EMFILE, ENFILE
 */
export function socketPair(): [number, number] {
  const out = new Float64Array(2);
  addon.socketPair(out);
  const [first = -1, second = -1] = out;
  return [first, second];
}

/**
 * Waits while the peer of a stream socket has something left to read: it is not waiting for us then, and what it sends
 * meanwhile is received at once, which costs both less than one by one.
 * @param enough bytes that have come end the wait: the peer may have no room for more.
 * @param patienceUs 0 to 10,000: the wait's length at most. It takes the CPU.
 * @returns whether the peer has read all. TCP has done so, for that, when its host has received it; so has
 *   whoever is behind a kind of socket that does not tell.
 * @throws NativeError EINVAL, EBADF.
 */
export function waitWhileUnread(fd: number, enough: number, patienceUs: number): boolean {
  return addon.waitWhileUnread(fd, enough, patienceUs) === 1;
}

/** Waits for many descriptors at once (epoll, level-triggered). */
export class Poller {
  readonly #fd = addon.createPoller();

  /** @param interest a sum of INTEREST. @throws NativeError EEXIST, EBADF, EPERM for a regular file */
  add(fd: number, interest: number): void {
    addon.setInterest(this.#fd, fd, false, interest);
  }

  /** Changes what a descriptor that was added is waited for. @throws NativeError ENOENT, EBADF */
  change(fd: number, interest: number): void {
    addon.setInterest(this.#fd, fd, true, interest);
  }

  /** Waits for a descriptor no more, which stays open for somebody else. @throws NativeError ENOENT, EBADF */
  remove(fd: number): void {
    addon.removeInterest(this.#fd, fd);
  }

  /**
   * Blocks the thread until a descriptor is ready. Closing a descriptor takes it out.
   * @param out gets pairs (descriptor, sum of READY), at most 256.
   * @param timeoutMs 0 to 60,000. A worker that waits longer can't be terminated meanwhile.
   * @param patienceUs 0 to 10,000: how long to ask again and again before going to sleep.
   * @returns the number of pairs; 0 after the timeout or a signal.
   */
  wait(out: Float64Array, timeoutMs: number, patienceUs: number): number {
    return addon.waitPoller(this.#fd, out, timeoutMs, patienceUs);
  }

  close(): void {
    closeDescriptor(this.#fd);
  }
}

/** Ends the wait of another thread: its descriptor becomes readable, and stays so until clearEvent(). */
export class WakeEvent {
  readonly fd = addon.createEvent();

  signal(): void {
    WakeEvent.signal(this.fd);
  }

  /** By another thread, which knows its descriptor only. @throws NativeError EBADF */
  static signal(fd: number): void {
    addon.signalEvent(fd);
  }

  close(): void {
    closeDescriptor(this.fd);
  }
}

/** What WakeEvent.signal() said has been heard. @throws NativeError EBADF */
export function clearEvent(fd: number): void {
  addon.clearEvent(fd);
}
