// A region of the daemon, mapped into this process: the same physical memory, no copies.

import { packControl, unpackControl } from '../../daemon/protocol/control.js';
import { PinfoldError } from '../../daemon/protocol/errors.js';
import { CLIENT_TAKES, encodeFrame, FRAME, UNVERSIONED } from '../../daemon/protocol/frame.js';
import { FrameReader } from '../../daemon/protocol/frame-reader.js';
import { METHODS } from '../../daemon/protocol/methods.js';
import {
  closeDescriptor,
  connectUnix,
  type Memory,
  mapMemory,
  receiveDescriptors,
  sendDescriptors,
} from '../../native/index.js';
import { type Link, parseError } from './link.js';
import type { Owner } from './owner.js';

const REPLY_BYTES_MAX = 4096;

export class Region {
  readonly #memory: Memory;

  private constructor(
    private readonly client: Owner,
    readonly name: string,
    memory: Memory,
    private readonly link: Link,
    private readonly handle: number,
  ) {
    this.#memory = memory;
  }

  /** Use client.region(). */
  static async open(client: Owner, name: string, signal?: AbortSignal): Promise<Region> {
    const link = await client.up();
    const { handle, sizeBytes, token } = await link.call(METHODS.regionOpen, { name }, signal);
    try {
      const fd = await receiveMemory(client, token);
      try {
        return new Region(client, name, mapMemory(fd, sizeBytes), link, handle);
      } catch (error) {
        closeDescriptor(fd);
        throw error;
      }
    } catch (error) {
      await link.call(METHODS.release, { handle }).catch(() => undefined);
      throw error;
    }
  }

  get sizeBytes(): number {
    return this.#memory.lengthBytes;
  }

  /** Bytes of each segment but the last. */
  get segmentBytes(): number {
    return this.#memory.segmentBytes;
  }

  /**
   * The memory in segments. Stores are seen by all who map the region, at once. They stay valid after close(), also when
   * the daemon ends. Atomics work across processes, except that notify() does not wake another process.
   */
  get segments(): readonly SharedArrayBuffer[] {
    return this.#memory.segments;
  }

  /** The memory as one buffer. @throws PinfoldError EFBIG if it is longer than one segment */
  get buffer(): SharedArrayBuffer {
    const first = this.segments.at(0);
    if (first !== undefined && this.segments.length === 1) return first;
    throw new PinfoldError(
      'EFBIG',
      `region ${this.name} has ${this.sizeBytes} bytes in segments of ${this.segmentBytes}: use .segments`,
    );
  }

  /** Gives the handle back. The mapping stays for whoever holds its SharedArrayBuffers. */
  async close(): Promise<void> {
    this.#memory.close();
    if (this.client.link !== this.link) return;
    await this.link.call(METHODS.release, { handle: this.handle });
  }
}

/** Shows the token on a connection of its own, and takes the descriptor that comes back. */
async function receiveMemory(client: Owner, token: string): Promise<number> {
  const socket = connectUnix(client.path);
  try {
    const attach = encodeFrame(UNVERSIONED, FRAME.ATTACH, 0, packControl({ token }));
    sendDescriptors(socket, attach, [], client.timeoutMs);
    const { data, fds } = await receiveDescriptors(socket, REPLY_BYTES_MAX, client.timeoutMs);
    const fd = fds.shift();
    for (const other of fds) closeDescriptor(other);
    const reader = new FrameReader(CLIENT_TAKES);
    reader.feed(data);
    const complete = reader.next();
    if (complete && reader.header.type === FRAME.ERROR) throw parseError(reader.payload);
    if (fd !== undefined && complete && reader.header.type === FRAME.REPLY) {
      unpackControl(reader.payload);
      return fd;
    }
    if (fd !== undefined) closeDescriptor(fd);
    throw new PinfoldError('EPROTO', 'the daemon sent no descriptor for the region');
  } finally {
    closeDescriptor(socket);
  }
}
