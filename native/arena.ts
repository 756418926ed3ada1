// File I/O straight between a descriptor and shared memory, without a copy in between.
import { type ArenaHandle, addon } from './addon.js';

/** Of a huge page, where pages have 4 KiB; memory that is at least as long is mapped such that they fit. */
export const HUGE_PAGE_BYTES = 2 * 1024 * 1024;

/** A reply that receiveAnswering() sends. */
export interface Prompt {
  /** Its bytes are at the beginning. */
  readonly reply: Uint8Array;
  /** 0: there is none. */
  replyBytes: number;
  /** The first number becomes what the socket has taken of them. */
  readonly sent: Uint32Array;
}

/**
 * Consecutive segments of shared memory seen as one range of bytes. Each thread makes its own over views of the same
 * SharedArrayBuffers. All calls block the thread: never make them on an event loop that serves others.
 */
export class Arena {
  readonly lengthBytes: number;
  readonly #handle: ArenaHandle;

  /**
   * @param segments 1 to 1024 views of SharedArrayBuffers, all of the same length but the last, which may be shorter.
   * @throws NativeError EINVAL naming the segment that is wrong.
   */
  constructor(segments: readonly Uint8Array[]) {
    this.#handle = addon.createArena(segments);
    this.lengthBytes = segments.reduce((sum, segment) => sum + segment.byteLength, 0);
  }

  /**
   * Reads from the file offset on into the first `count` ranges of `iov`, one after the other.
   * @param iov pairs (offsetBytes, lengthBytes) inside the arena; a range may cross segments. At most 2^20 pairs.
   * @returns bytes read: fewer than the ranges hold only at the end of the file.
   * @throws NativeError EINVAL before anything is read if a range or the offset is wrong; EBADF, EIO, EISDIR...
   */
  preadv(fd: number, iov: Float64Array, count: number, fileOffset: number): number {
    return addon.arenaPreadv(this.#handle, fd, iov, count, fileOffset);
  }

  /**
   * Writes the first `count` ranges of `iov`, one after the other, from the file offset on.
   * @param iov see preadv().
   * @returns bytes written: always all of them.
   * @throws NativeError EINVAL before anything is written if a range or the offset is wrong; ENOSPC, EFBIG, EIO, EBADF...
   *   after which a part may have been written; the message says how much.
   */
  pwritev(fd: number, iov: Float64Array, count: number, fileOffset: number): number {
    return addon.arenaPwritev(this.#handle, fd, iov, count, fileOffset);
  }

  /**
   * Receives from a stream socket without sleeping: into a range of the arena first, then into a part of a buffer. The arena
   * only gets whole units (boundaries at multiples of `unit`) or all the rest of its range. What comes of a unit before its
   * end stays in the socket, or, with patience and units of at most 512 bytes, lies in the buffer from `from` on.
   * @param unit 1 to 2^30.
   * @param until where the buffer's part ends, for what comes after the range.
   * @param patienceUs 0 to 10,000: for how long to ask again and again while nothing comes: until the range is full or has
   *   got about 1 MiB, or for the first bytes if there is no range. 0 takes what is there, and what comes while much does.
   * @returns bytes received, with those of a unit that was begun; 0 at the end of the stream, WOULD_BLOCK if nothing is
   *   there or less than a unit (receive that into the buffer, with length 0), GONE if the peer broke the connection.
   * @throws NativeError EINVAL, EBADF, ENOTSOCK, EFAULT if the host has no memory for the arena any more: a part may have been
   *   received, and the stream is of no use.
   */
  receive(
    fd: number,
    at: number,
    length: number,
    unit: number,
    buffer: Uint8Array,
    from: number,
    until: number,
    patienceUs: number,
  ): number {
    return addon.arenaReceive(this.#handle, fd, at, length, unit, buffer, from, until, patienceUs);
  }

  /**
   * As receive(), for a peer that sends no more until it has a reply: once the range is full and nothing has come after it,
   * the reply is sent at once, while the peer is still awake.
   * @param until where the buffer's part ends, which begins at 0.
   * @param pages a byte for each page of 4 KiB of the arena: those of the range become 1 before the reply is sent.
   * @param prompt the reply; the caller sends what the socket has not taken of it.
   * @returns see receive(): `length` if the reply was to be sent.
   * @throws NativeError see receive().
   */
  receiveAnswering(
    fd: number,
    at: number,
    length: number,
    unit: number,
    buffer: Uint8Array,
    until: number,
    patienceUs: number,
    pages: Uint8Array,
    prompt: Prompt,
  ): number {
    return addon.arenaReceiveAnswering(
      this.#handle,
      fd,
      at,
      length,
      unit,
      buffer,
      until,
      patienceUs,
      pages,
      prompt.reply,
      prompt.replyBytes,
      prompt.sent,
    );
  }

  /**
   * As receive(), into pages of 4 KiB of the arena.
   * @param pages their numbers. Bytes `from` to below `until` of what they make up, in this order, are received, and
   *   after them comes the buffer; if they are longer than 1 MiB, perhaps a part of them only, and nothing after it.
   * @param unit 1 to 4096.
   */
  receivePages(
    fd: number,
    pages: Uint32Array,
    from: number,
    until: number,
    unit: number,
    buffer: Uint8Array,
    bufferFrom: number,
    bufferUntil: number,
    patienceUs: number,
  ): number {
    return addon.arenaReceivePages(
      this.#handle,
      fd,
      pages,
      from,
      until,
      unit,
      buffer,
      bufferFrom,
      bufferUntil,
      patienceUs,
    );
  }

  /**
   * Sends ranges of a buffer and of the arena to a stream socket without waiting, in one system call of at most 512 pieces.
   * @param triples (place, offset, length) each, place as in PLACE, where ZEROES needs no offset; from number `first` to below `count`.
   * @param skip bytes of the first triple that were sent before.
   * @returns bytes sent, perhaps fewer than there are; WOULD_BLOCK, GONE.
   * @throws NativeError EINVAL naming the triple that is wrong, EBADF, ENOTSOCK.
   */
  send(
    fd: number,
    buffer: Uint8Array,
    triples: Float64Array,
    first: number,
    count: number,
    skip: number,
  ): number {
    return addon.arenaSend(this.#handle, fd, buffer, triples, first, count, skip);
  }

  /**
   * Copies bytes `from` to below `until` of a view to the arena's byte `at` on: 4 KiB in 140 ns, where TypedArray.set(),
   * which copies to and from shared memory word by word, takes 800.
   * @throws NativeError EINVAL.
   */
  write(at: number, bytes: Uint8Array, from: number, until: number): void {
    addon.arenaWrite(this.#handle, at, bytes, from, until);
  }

  /** Copies the arena's bytes from `at` on to bytes `from` to below `until` of a view, see write(). @throws NativeError EINVAL */
  read(at: number, bytes: Uint8Array, from: number, until: number): void {
    addon.arenaRead(this.#handle, at, bytes, from, until);
  }

  /**
   * Has the host bring the pages of a range together in huge pages, whatever its settings say, by copying them: 0.65 ms
   * for 2 MiB, ten times that where room has to be made first, next to nothing where it was done before. All of them should have memory.
   * @param offsetBytes a multiple of HUGE_PAGE_BYTES, as is the length.
   * @returns whether huge pages hold all of it now; not if none is free, if a page is in use, or if the host can't:
   *   MADV_COLLAPSE came with Linux 6.1.
   * @throws NativeError EINVAL for a range outside the arena.
   */
  collapse(offsetBytes: number, lengthBytes: number): boolean {
    return addon.arenaCollapse(this.#handle, offsetBytes, lengthBytes) === 1;
  }

  /**
   * CRC-32C of a range.
   * @param seed the checksum of what comes before the range, to go on from.
   * @throws NativeError EINVAL.
   */
  crc32c(offsetBytes: number, lengthBytes: number, seed = 0): number {
    return addon.arenaCrc32c(this.#handle, offsetBytes, lengthBytes, seed);
  }
}

/** CRC-32C of a view; see Arena.crc32c. `tables` computes it without the processor's instruction. */
export function crc32c(view: Uint8Array, seed = 0, { tables = false } = {}): number {
  return addon.viewCrc32c(view, seed, tables);
}
