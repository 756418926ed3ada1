// Reads and writes of any length, cut into requests of the size that the daemon takes.

import { FLAG, FRAME } from '../../daemon/protocol/frame.js';
import type { Link } from './link.js';

/** Reads into `target`. @returns bytes read: fewer than it holds only at the end of a file */
export function readInto(
  link: Link,
  handle: number,
  offset: number,
  target: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<number> {
  const length = target.byteLength;
  if (length > link.welcome.limits.dataBytes) {
    return readInPieces(link, handle, offset, target, signal);
  }
  return link.request(FRAME.READ, 0, handle, offset, length, null, target, signal);
}

async function readInPieces(
  link: Link,
  handle: number,
  offset: number,
  target: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<number> {
  const max = link.welcome.limits.dataBytes;
  const reads: Promise<number>[] = [];
  for (let done = 0; done < target.byteLength; done += max) {
    reads.push(readInto(link, handle, offset + done, target.subarray(done, done + max), signal));
  }
  let total = 0;
  for (const length of await allOrError(reads)) {
    total += length;
    if (length < max) break;
  }
  return total;
}

/** Writes all of `data`. After an error a part may have been written. */
export async function writeAll(
  link: Link,
  handle: number,
  offset: number,
  data: Uint8Array,
  fua: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const max = link.welcome.limits.dataBytes;
  const flags = fua ? FLAG.FUA : 0;
  const writes: Promise<unknown>[] = [];
  for (let done = 0; done === 0 || done < data.byteLength; done += max) {
    const payload = data.byteLength <= max ? data : data.subarray(done, done + max);
    writes.push(link.request(FRAME.WRITE, flags, handle, offset + done, 0, payload, null, signal));
  }
  await allOrError(writes);
}

/** DISCARD of any length. */
export async function discardRange(
  link: Link,
  handle: number,
  offset: number,
  lengthBytes: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const max = link.welcome.limits.discardBytes;
  for (let done = 0; done < lengthBytes; done += max) {
    const length = Math.min(max, lengthBytes - done);
    await link.request(FRAME.DISCARD, 0, handle, offset + done, length, null, null, signal);
  }
}

/** Waits for all of them, then throws the first error: nothing uses the caller's buffer any more. */
async function allOrError<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(promises);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
