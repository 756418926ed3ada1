// A file of a volume as an export for NBD clients. Its bytes go by DMA into and out of pinned pages of the page cache, by
// the rules that are in force for the volume: what other clients of the volume see is the same file.
//
// The file is mapped in windows, since an address space is smaller than a file may be.

import { setMaxListeners } from 'node:events';
import type { ExportConfig } from './config.js';
import { Gate } from './gate.js';
import type {
  FileExtent,
  FileHandle,
  MachineService,
  MappingHandle,
  VolumeSession,
} from './machine-service.js';
import { PinfoldError } from './protocol/errors.js';

/** Bytes of the file in one mapping, and mappings of one export: 256 MiB, half of an address space. */
const WINDOW_BYTES = 8 * 2 ** 20;
const WINDOWS_MAX = 32;
/** Requests of all exports of a volume that may pin pages at a time: fewer than one export has windows. */
const TRANSFERS_MAX = 16;
/** What one transfer pins (volume-dma.ts), and the share of the machine's memory that all may pin. */
const TRANSFER_PINNED_BYTES = 64 * 1024;
const PINNED_SHARE = 1 / 8;

const ZEROES = new Uint8Array(TRANSFER_PINNED_BYTES);
const never = new AbortController().signal;
setMaxListeners(0, never);

interface Window {
  readonly mapping: Promise<MappingHandle>;
  users: number;
}

/** How many requests of a volume's exports may pin pages at a time. @param memoryBytes of its machine */
export function exportGate(memoryBytes: number): Gate {
  const fit = Math.floor((memoryBytes * PINNED_SHARE) / TRANSFER_PINNED_BYTES);
  return new Gate(Math.min(TRANSFERS_MAX, Math.max(1, fit)));
}

export class FileExport {
  readonly name: string;
  readonly description: string;
  readonly volumeName: string;
  /** Of the file in the volume. */
  readonly path: string;
  readonly readOnly: boolean;
  /** By their number, the one used last at the end. */
  readonly #windows = new Map<number, Window>();
  readonly #running = new Set<Promise<unknown>>();
  /** After a failed fsync what was written may be lost: no later one may say otherwise. */
  #flushFailed = false;

  private constructor(
    config: ExportConfig,
    /** Of the file when it was opened. */
    readonly sizeBytes: number,
    private readonly volume: MachineService,
    private readonly session: VolumeSession,
    private readonly file: FileHandle,
    private readonly gate: Gate,
  ) {
    this.name = config.name;
    this.volumeName = config.volume;
    this.path = config.file;
    this.description = `file ${config.file} of volume ${config.volume}, ${volume.profile}`;
    this.readOnly = config.readOnly === true;
  }

  /**
   * Opens the file, or makes it if it is missing and the configuration has a size.
   * @param gate of the volume, for all its exports
   * @throws PinfoldError EINVAL for a file of another size, or an empty one; as opening a file does
   */
  static async open(config: ExportConfig, volume: MachineService, gate: Gate): Promise<FileExport> {
    const session = await volume.newSession(`export ${config.name}`);
    try {
      const writable = config.readOnly !== true;
      const file = await session.open(
        config.file,
        {
          create: writable && config.size !== undefined,
          exclusive: false,
          truncate: false,
          writable,
          direct: false,
          mode: 0o644,
        },
        never,
      );
      const sizeBytes = await prepareSize(config, file);
      return new FileExport(config, sizeBytes, volume, session, file, gate);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** A device stores the file's bytes into `target`. @throws as write() */
  read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<void> {
    return this.#run(() => this.#transfer(offset, target, 'load', signal));
  }

  /**
   * A device loads the file's new bytes from `data`.
   * @throws EIO (of the disk, or the file has been cut to less than that), ENOSPC, ESHUTDOWN if the machine has panicked;
   *   what lies before the failure is written then
   */
  write(offset: number, data: Uint8Array, signal: AbortSignal): Promise<void> {
    return this.#run(() => this.#transfer(offset, data, 'store', signal));
  }

  /** What was written before is durable afterwards (fsync). Once it has failed it always does. @throws EIO, ENOSPC, ESHUTDOWN */
  flush(signal: AbortSignal): Promise<void> {
    return this.#run(async () => {
      if (this.#flushFailed)
        throw new PinfoldError('EIO', `an earlier flush of ${this.name} failed`);
      try {
        await this.file.fsync(signal);
      } catch (error) {
        this.#flushFailed = true;
        throw error;
      }
    });
  }

  /**
   * The range reads as zeroes afterwards.
   * @param keepBlocks writes zeroes; otherwise it becomes a hole
   * @throws as write(); ETIMEDOUT if somebody keeps a long-term pin on what would become a hole
   */
  zero(
    offset: number,
    lengthBytes: number,
    keepBlocks: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#run(async () => {
      if (!keepBlocks) {
        await this.file.punch(offset, lengthBytes, signal);
        const { sizeBytes } = await this.file.stat(signal);
        if (sizeBytes >= offset + lengthBytes) return;
        throw new PinfoldError(
          'EIO',
          `the file of ${this.name} has been cut to ${sizeBytes} bytes`,
        );
      }
      for (let done = 0; done < lengthBytes; done += ZEROES.byteLength) {
        const part = ZEROES.subarray(0, lengthBytes - done);
        await this.#transfer(offset + done, part, 'store', signal);
      }
    });
  }

  /** Data and holes in turns, from the offset on; see FileHandle.extents(). @throws EIO, ESHUTDOWN */
  extents(
    offset: number,
    lengthBytes: number,
    max: number,
    signal: AbortSignal,
  ): Promise<FileExtent[]> {
    return this.#run(() => this.file.extents(offset, lengthBytes, max, signal));
  }

  /** Waits for what is under way, and gives the file up. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#running);
    for (const { mapping } of this.#windows.values()) await (await mapping).unmap();
    await this.file.close();
    await this.session.close();
  }

  async #run<T>(action: () => Promise<T>): Promise<T> {
    if (this.#isDown()) throw this.#down();
    const running = action();
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      throw this.#isDown() ? this.#down() : error;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Looked at again after each wait. */
  #isDown(): boolean {
    return this.volume.panicked;
  }

  #down(): PinfoldError {
    return new PinfoldError('ESHUTDOWN', `the machine of ${this.description} has panicked`);
  }

  async #transfer(
    offset: number,
    bytes: Uint8Array,
    direction: 'load' | 'store',
    signal: AbortSignal,
  ): Promise<void> {
    await this.gate.enter();
    try {
      for (let done = 0; done < bytes.byteLength; ) {
        if (signal.aborted) throw new PinfoldError('EINTR', 'the client has gone');
        const within = (offset + done) % WINDOW_BYTES;
        const part = bytes.subarray(done, done + WINDOW_BYTES - within);
        const window = this.#window(Math.floor((offset + done) / WINDOW_BYTES));
        window.users++;
        try {
          await (await window.mapping).transfer(within, part, direction, signal);
        } finally {
          window.users--;
        }
        done += part.byteLength;
      }
    } finally {
      this.gate.leave();
    }
  }

  #window(index: number): Window {
    const known = this.#windows.get(index);
    this.#windows.delete(index);
    const window = known ?? { mapping: this.#map(index), users: 0 };
    this.#windows.set(index, window);
    if (known === undefined) {
      window.mapping.catch(() => {
        if (this.#windows.get(index) === window) this.#windows.delete(index);
      });
    }
    return window;
  }

  /** Maps a window, in place of one that nobody uses if there are too many. */
  async #map(index: number): Promise<MappingHandle> {
    if (this.#windows.size >= WINDOWS_MAX) {
      const unused = [...this.#windows].find(([, { users }]) => users === 0);
      if (unused !== undefined) {
        this.#windows.delete(unused[0]);
        await (await unused[1].mapping).unmap();
      }
    }
    const start = index * WINDOW_BYTES;
    const length = Math.min(WINDOW_BYTES, this.sizeBytes - start);
    return await this.file.map(start, length, !this.readOnly, never);
  }
}

async function prepareSize(config: ExportConfig, file: FileHandle): Promise<number> {
  const { sizeBytes } = await file.stat(never);
  const { name, size } = config;
  const what = `the file ${config.file} of export ${name} has ${sizeBytes} bytes`;
  if (size === undefined || size === sizeBytes) {
    if (sizeBytes > 0) return sizeBytes;
    throw new PinfoldError('EINVAL', `${what}, and nothing can be exported of it: give size=`);
  }
  if (sizeBytes !== 0 || config.readOnly === true) {
    throw new PinfoldError(
      'EINVAL',
      `${what}, but size=${size} was asked for: leave size away, or name a new file`,
    );
  }
  await file.truncate(size, never);
  return size;
}
