// Reads a recording: an index of its events in memory; payload stays in the file.

import { closeDescriptor, crc32c, fileStatus, openFile, preadInto } from '../../../native/index.js';
import { Errno } from '../../sched/errors.js';
import {
  getHead,
  getU64,
  HEAD_BYTES,
  HEADER_BYTES,
  HEADER_FLAG,
  MAGIC,
  MARK_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  RECORD,
  RECORD_FLAG,
  type RecordHead,
  type RecordingHeader,
  VERSION,
} from './format.js';

/** So many events of one recording are read at most: about 500 MiB of memory. */
export const EVENTS_MAX = 4_000_000;
const SIZE_MAX = 2 ** 50;
const WINDOW_BYTES = 1024 * 1024;

/** A write, zeroing or trim that became visible. */
export interface WriteEvent {
  readonly kind: 'write';
  readonly change: 'data' | 'zeroes' | 'trim';
  readonly id: number;
  readonly connection: number;
  readonly offset: number;
  readonly length: number;
  readonly fua: boolean;
  readonly atomic: boolean;
  /** Where in the file its bytes are; only data has some. */
  readonly payloadAt: number;
  readonly timeUs: number;
}

export type DiskEvent =
  | WriteEvent
  | {
      readonly kind: 'replied';
      readonly id: number;
      /** The write was one with FUA, also if it did not say so. */
      readonly fua: boolean;
      readonly timeUs: number;
    }
  | {
      readonly kind: 'flush';
      readonly id: number;
      readonly connection: number;
      readonly timeUs: number;
    }
  | {
      readonly kind: 'flushed';
      readonly id: number;
      readonly ok: boolean;
      readonly timeUs: number;
    }
  | { readonly kind: 'mark'; readonly text: string; readonly timeUs: number };

/** Bytes that the disk held at first. */
export interface Extent {
  readonly offset: number;
  readonly length: number;
  readonly payloadAt: number;
}

export interface Recording {
  readonly path: string;
  readonly header: RecordingHeader;
  /** In the order of their offsets. */
  readonly extents: readonly Extent[];
  readonly events: readonly DiskEvent[];
  /** Why the recording ends before its END, in words; null if it does not. */
  readonly cutShort: string | null;
  /** Bytes of the file that count. */
  readonly lengthBytes: number;
  /** Fills the view from a place in the file. @throws Errno EIO if the file has changed */
  read(at: number, view: Uint8Array): void;
  close(): void;
}

/** @throws Errno ENOENT, EACCES; EINVAL if it is no recording, or its first content was not told to the end */
export function openRecording(path: string): Recording {
  const fd = open(path);
  try {
    const header = readHeader(path, fd);
    return new Scan(path, fd, header).run();
  } catch (error) {
    closeDescriptor(fd);
    throw error;
  }
}

function open(path: string): number {
  try {
    return openFile(path, { readOnly: true });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null;
    if (code !== 'ENOENT' && code !== 'EACCES') throw cause;
    throw new Errno(code, `${path} cannot be read: give a file that pinfold disk record wrote`, {
      cause,
    });
  }
}

function readHeader(path: string, fd: number): RecordingHeader {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  const got = preadInto(fd, bytes, 0);
  if (got < HEADER_BYTES || new TextDecoder('latin1').decode(bytes.subarray(0, 8)) !== MAGIC)
    throw new Errno('EINVAL', `${path} is no recording of a disk`);
  const version = view.getUint32(8, true);
  if (version !== VERSION)
    throw new Errno('EINVAL', `${path} has version ${version} of the format, known is ${VERSION}`);
  const header = {
    sizeBytes: getU64(view, 16),
    unitBytes: view.getUint32(24, true),
    atomicBytes: view.getUint32(28, true),
    startedMs: getU64(view, 32),
    seed: view.getUint32(40, true),
    garbage: (view.getUint32(44, true) & HEADER_FLAG.GARBAGE) !== 0,
  };
  const { sizeBytes, unitBytes } = header;
  const possible =
    sizeBytes <= SIZE_MAX &&
    (unitBytes === 512 || unitBytes === 4096) &&
    sizeBytes % unitBytes === 0;
  if (view.getUint32(60, true) !== crc32c(bytes.subarray(0, 60)) || !possible)
    throw new Errno('EINVAL', `the header of ${path} is damaged`);
  return header;
}

class Scan {
  readonly #window = new Uint8Array(WINDOW_BYTES);
  readonly #view = new DataView(this.#window.buffer);
  readonly #extents: Extent[] = [];
  readonly #events: DiskEvent[] = [];
  readonly #fileBytes: number;
  /** What part of the file the window holds. */
  #from = 0;
  #until = 0;
  #begun = false;
  #ended = false;

  constructor(
    private readonly path: string,
    private readonly fd: number,
    private readonly header: RecordingHeader,
  ) {
    this.#fileBytes = fileStatus(fd).sizeBytes;
  }

  run(): Recording {
    const { path, fd, header } = this;
    let at = HEADER_BYTES;
    let wrong: string | null = null;
    while (at < this.#fileBytes && !this.#ended) {
      const head = this.#headAt(at);
      wrong = head === null ? 'the last record is cut off' : this.#check(at, head);
      if (head === null || wrong !== null) break;
      this.#take(head, at + HEAD_BYTES);
      at += HEAD_BYTES + head.payloadBytes;
    }
    if (!this.#begun)
      throw new Errno(
        'EINVAL',
        `${path} ends before the disk's first content was told: ${wrong ?? 'nothing follows'}`,
      );
    const ended = this.#ended;
    return {
      path,
      header,
      extents: this.#extents.sort((a, b) => a.offset - b.offset),
      events: this.#events,
      cutShort: ended ? null : (wrong ?? 'it was not stopped in good order'),
      lengthBytes: at,
      read: (from, view) => {
        if (preadInto(fd, view, from) < view.length)
          throw new Errno('EIO', `${path} has become shorter while it was read`);
      },
      close: () => {
        closeDescriptor(fd);
      },
    };
  }

  /** Loads the window so that it holds a place of the file. @returns where in the window */
  #load(at: number, bytes: number): number {
    if (at < this.#from || at + bytes > this.#until) {
      this.#from = at;
      this.#until = at + preadInto(this.fd, this.#window, at);
    }
    return at - this.#from;
  }

  #headAt(at: number): RecordHead | null {
    if (at + HEAD_BYTES > this.#fileBytes) return null;
    const head = getHead(this.#view, this.#load(at, HEAD_BYTES));
    return at + HEAD_BYTES + head.payloadBytes > this.#fileBytes ? null : head;
  }

  /** What is wrong with a record; null: nothing. */
  #check(at: number, head: RecordHead): string | null {
    const { type, payloadBytes, offset, length } = head;
    if (payloadBytes > PAYLOAD_BYTES_MAX) return `the record at ${at} is damaged`;
    let within = this.#load(at, HEAD_BYTES);
    const expected = this.#view.getUint32(within, true);
    let crc = crc32c(this.#window.subarray(within + 4, within + HEAD_BYTES));
    for (let done = 0; done < payloadBytes; ) {
      within = this.#load(at + HEAD_BYTES + done, 1);
      const piece = Math.min(payloadBytes - done, this.#until - this.#from - within);
      if (piece <= 0) return `the record at ${at} is cut off`;
      crc = crc32c(this.#window.subarray(within, within + piece), crc);
      done += piece;
    }
    if (crc !== expected) return `the record at ${at} is damaged`;
    const hasBytes = type === RECORD.EXTENT || type === RECORD.WRITE;
    const odd =
      offset + length > this.header.sizeBytes ||
      (hasBytes && length !== payloadBytes) ||
      (type === RECORD.MARK && payloadBytes > MARK_BYTES_MAX) ||
      (type === RECORD.EXTENT) === this.#begun;
    if (odd && type !== RECORD.BEGIN) return `the record at ${at} makes no sense`;
    if (this.#events.length >= EVENTS_MAX)
      throw new Errno('EINVAL', `${this.path} has more than ${EVENTS_MAX} events: record less`);
    return null;
  }

  #take(head: RecordHead, payloadAt: number): void {
    const { type, flags, connection, id, offset, length, timeUs } = head;
    const events = this.#events;
    switch (type) {
      case RECORD.EXTENT:
        this.#extents.push({ offset, length, payloadAt });
        return;
      case RECORD.BEGIN:
        this.#begun = true;
        return;
      case RECORD.WRITE:
      case RECORD.ZEROES:
      case RECORD.TRIM: {
        const fua = (flags & RECORD_FLAG.FUA) !== 0;
        const atomic = (flags & RECORD_FLAG.ATOMIC) !== 0;
        const change = type === RECORD.WRITE ? 'data' : type === RECORD.ZEROES ? 'zeroes' : 'trim';
        const range = { id, connection, offset, length, payloadAt, timeUs };
        events.push({ kind: 'write', change, fua, atomic, ...range });
        return;
      }
      case RECORD.REPLIED:
        events.push({ kind: 'replied', id, fua: (flags & RECORD_FLAG.FUA) !== 0, timeUs });
        return;
      case RECORD.FLUSH:
        events.push({ kind: 'flush', id, connection, timeUs });
        return;
      case RECORD.FLUSHED:
        events.push({ kind: 'flushed', id, ok: (flags & RECORD_FLAG.FAILED) === 0, timeUs });
        return;
      case RECORD.MARK:
        events.push({ kind: 'mark', text: this.#textAt(payloadAt, head.payloadBytes), timeUs });
        return;
      case RECORD.END:
        this.#ended = true;
        return;
      default:
        // A kind of a later version that can be passed over.
        return;
    }
  }

  #textAt(at: number, bytes: number): string {
    const text = new Uint8Array(bytes);
    preadInto(this.fd, text, at);
    return new TextDecoder().decode(text);
  }
}
