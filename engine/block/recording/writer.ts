// Writes a recording to a file, record by record, through one buffer.

import { crc32c, pwriteFrom } from '../../../native/index.js';
import {
  HEAD_BYTES,
  HEADER_BYTES,
  HEADER_FLAG,
  MAGIC,
  putHead,
  putU64,
  RECORD,
  RECORD_FLAG,
  type RecordingHeader,
  VERSION,
} from './format.js';

const BUFFER_BYTES = 256 * 1024;
const NOTHING: readonly Uint8Array[] = [];

/** A write-like command, without its bytes. */
export interface WrittenRange {
  readonly id: number;
  readonly offset: number;
  readonly length: number;
  readonly connection: number;
  readonly fua: boolean;
  readonly atomic: boolean;
}

/** All methods throw what pwrite() throws (NativeError ENOSPC, EIO, ...): then the recording is over. */
export class RecordingWriter {
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  readonly #head = new DataView(new ArrayBuffer(HEAD_BYTES));
  readonly #headBytes = new Uint8Array(this.#head.buffer);
  readonly #startedUs = performance.now() * 1000;
  #used = 0;
  #written = 0;

  /** @param fd an empty file, which stays the caller's */
  constructor(
    private readonly fd: number,
    header: RecordingHeader,
  ) {
    this.#append(headerBytes(header));
  }

  /** Bytes of the recording so far. */
  get lengthBytes(): number {
    return this.#written + this.#used;
  }

  /** Some of the disk's first content; before begin(). */
  extent(offset: number, bytes: Uint8Array): void {
    const range = { id: 0, offset, length: bytes.length, connection: 0 };
    this.#record(RECORD.EXTENT, 0, range, [bytes]);
  }

  begin(): void {
    this.#record(RECORD.BEGIN, 0, NO_RANGE, NOTHING);
  }

  /** A write has become visible. @param pieces its bytes, one after the other */
  write(range: WrittenRange, pieces: readonly Uint8Array[]): void {
    this.#record(RECORD.WRITE, flagsOf(range), range, pieces);
  }

  /** A range reads as zeroes from now on. @param durable false: a trim, which promises nothing (B8) */
  zeroes(range: WrittenRange, durable: boolean): void {
    this.#record(durable ? RECORD.ZEROES : RECORD.TRIM, flagsOf(range), range, NOTHING);
  }

  /** The reply to a write or trim was handed out. @param fua it was one with FUA, which was not known before */
  replied(id: number, fua = false): void {
    this.#record(RECORD.REPLIED, fua ? RECORD_FLAG.FUA : 0, { ...NO_RANGE, id }, NOTHING);
  }

  flush(id: number, connection: number): void {
    this.#record(RECORD.FLUSH, 0, { ...NO_RANGE, id, connection }, NOTHING);
  }

  flushed(id: number, ok: boolean): void {
    this.#record(RECORD.FLUSHED, ok ? 0 : RECORD_FLAG.FAILED, { ...NO_RANGE, id }, NOTHING);
  }

  /** @param text up to MARK_BYTES_MAX bytes */
  mark(text: string): void {
    this.#record(RECORD.MARK, 0, NO_RANGE, [new TextEncoder().encode(text)]);
  }

  /** Ends the recording in good order; nothing may follow. */
  end(): void {
    this.#record(RECORD.END, 0, NO_RANGE, NOTHING);
    this.drain();
  }

  /** Hands everything to the file. */
  drain(): void {
    if (this.#used === 0) return;
    pwriteFrom(this.fd, this.#buffer.subarray(0, this.#used), this.#written);
    this.#written += this.#used;
    this.#used = 0;
  }

  #record(
    type: number,
    flags: number,
    range: Omit<WrittenRange, 'fua' | 'atomic'>,
    pieces: readonly Uint8Array[],
  ): void {
    const payloadBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    const timeUs = Math.round(performance.now() * 1000 - this.#startedUs);
    putHead(this.#head, { type, flags, payloadBytes, ...range, timeUs });
    let crc = crc32c(this.#headBytes.subarray(4));
    for (const piece of pieces) crc = crc32c(piece, crc);
    this.#head.setUint32(0, crc, true);
    this.#append(this.#headBytes);
    for (const piece of pieces) this.#append(piece);
  }

  #append(bytes: Uint8Array): void {
    if (this.#used + bytes.length > BUFFER_BYTES) this.drain();
    if (bytes.length > BUFFER_BYTES) {
      pwriteFrom(this.fd, bytes, this.#written);
      this.#written += bytes.length;
      return;
    }
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }
}

const NO_RANGE = { id: 0, offset: 0, length: 0, connection: 0 };

function flagsOf({ fua, atomic }: WrittenRange): number {
  return (fua ? RECORD_FLAG.FUA : 0) | (atomic ? RECORD_FLAG.ATOMIC : 0);
}

function headerBytes(header: RecordingHeader): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setUint32(8, VERSION, true);
  putU64(view, 16, header.sizeBytes);
  view.setUint32(24, header.unitBytes, true);
  view.setUint32(28, header.atomicBytes, true);
  putU64(view, 32, header.startedMs);
  view.setUint32(40, header.seed, true);
  view.setUint32(44, header.garbage ? HEADER_FLAG.GARBAGE : 0, true);
  view.setUint32(60, crc32c(bytes.subarray(0, 60)), true);
  return bytes;
}
