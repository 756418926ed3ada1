// Unix sockets that carry descriptors: how one process gives another its memory.
import { addon } from './addon.js';

/** Who was at the other end of a Unix socket when it was connected. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Received {
  /** Empty when the other end has closed. */
  readonly data: Uint8Array;
  /** Descriptors that came with the data, close-on-exec; the receiver closes them. */
  readonly fds: number[];
}

/**
 * Connects to a listening Unix stream socket.
 * @param path at most 107 bytes.
 * @returns a non-blocking, close-on-exec descriptor that the caller closes, or hands to `new net.Socket({ fd })`.
 * @throws NativeError ENOENT, ECONNREFUSED, EACCES, ENAMETOOLONG, EAGAIN if too many others wait to be accepted.
 */
export function connectUnix(path: string): number {
  return addon.connectUnix(path);
}

/** @throws NativeError EBADF, ENOTSOCK, EINVAL if it is no connected Unix socket. */
export function peerCredentials(socketFd: number): PeerCredentials {
  const out = new Float64Array(3);
  addon.peerCredentials(socketFd, out);
  const [pid = 0, uid = 0, gid = 0] = out;
  return { pid, uid, gid };
}

/**
 * Sends bytes, and with the first of them up to 8 descriptors, which stay open here. Blocks the thread while the
 * socket's buffer is full.
 * @param data 1 byte to 64 KiB.
 * @param timeoutMs how long to wait for the other end, 0 to 60,000.
 * @throws NativeError ETIMEDOUT, after which a part may have been sent: close the socket; EPIPE, EBADF, EINVAL.
 */
export function sendDescriptors(
  socketFd: number,
  data: Uint8Array,
  fds: readonly number[],
  timeoutMs = 1000,
): void {
  addon.sendDescriptors(socketFd, data, Float64Array.from(fds), timeoutMs);
}

/**
 * Waits on the event loop until bytes arrive, and takes those that are there. The socket becomes non-blocking. It may be
 * closed meanwhile, but the wait ends only with the other end or the timeout.
 * @param maxBytes 1 byte to 64 KiB.
 * @param timeoutMs 0 to 2^31 - 1.
 * @returns rejects with NativeError ETIMEDOUT, EMSGSIZE if more than 8 descriptors came (they are closed), ECONNRESET,
 *   EBADF, ENOTSOCK, EINVAL.
 */
export async function receiveDescriptors(
  socketFd: number,
  maxBytes: number,
  timeoutMs: number,
): Promise<Received> {
  return await addon.receiveDescriptors(socketFd, maxBytes, timeoutMs);
}
