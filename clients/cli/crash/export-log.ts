// Writes a recording as a log of dm-log-writes.

import {
  ENTRY_BYTES,
  LOG_FLAG,
  type LogEntry,
  putEntry,
  putSuper,
} from '../../../engine/block/recording/log-writes.js';
import { EventNames } from '../../../engine/block/recording/points.js';
import type { Recording, WriteEvent } from '../../../engine/block/recording/reader.js';
import { fdatasync, pwriteFrom, truncateFile } from '../../../native/index.js';
import { CliError } from '../frame/errors.js';

const SECTOR_BYTES = 512;
const PIECE_BYTES = 1024 * 1024;

export interface ExportSummary {
  readonly entries: number;
  readonly lengthBytes: number;
  /** Writes without a reply: the format knows of completed ones only. */
  readonly unrepliedWrites: number;
  /** Bytes that the disk held at first: the log has no place for them. */
  readonly initialBytes: number;
}

/** @throws CliError EINVAL for a write of less than a sector; NativeError ENOSPC, ... */
export function exportLog(recording: Recording, fd: number): ExportSummary {
  const log = new LogWriter(recording, fd);
  const names = new EventNames(recording.events);
  /** Replied to, and not in the log yet; and of each flush that is under way, how many of them it covers. */
  const completed = new Set<WriteEvent>();
  const flushes = new Map<number, WriteEvent[]>();
  const unreplied = new Set<number>();
  for (const event of recording.events) {
    if (event.kind === 'mark') log.mark(event.text);
    else if (event.kind === 'write') {
      checkSectors(event, names);
      unreplied.add(event.id);
    } else if (event.kind === 'flush') flushes.set(event.id, [...completed]);
    else if (event.kind === 'flushed') {
      const covered = event.ok ? (flushes.get(event.id) ?? []) : [];
      for (const write of covered) if (completed.delete(write)) log.write(write, 0);
      if (event.ok) log.entry({ sector: 0, sectors: 0, flags: LOG_FLAG.FLUSH, inlineBytes: 0 });
      flushes.delete(event.id);
    } else {
      const write = names.write(event.id)?.event;
      if (write === undefined || !unreplied.delete(event.id)) continue;
      if (event.fua || write.fua) log.write(write, LOG_FLAG.FUA);
      else completed.add(write);
    }
  }
  for (const write of completed) log.write(write, 0);
  log.finish();
  const initialBytes = recording.extents.reduce((sum, { length }) => sum + length, 0);
  const { entries, lengthBytes } = log;
  return { entries, lengthBytes, unrepliedWrites: unreplied.size, initialBytes };
}

function checkSectors({ id, offset, length }: WriteEvent, names: EventNames): void {
  if (offset % SECTOR_BYTES === 0 && length % SECTOR_BYTES === 0) return;
  const number = names.write(id)?.number ?? 0;
  throw new CliError(
    'EINVAL',
    `write #${number} of ${length} bytes at ${offset} is not in whole sectors of ${SECTOR_BYTES}: ` +
      'the format of dm-log-writes has no others',
  );
}

class LogWriter {
  entries = 0;
  lengthBytes = SECTOR_BYTES;
  readonly #sector = new Uint8Array(SECTOR_BYTES);
  readonly #view = new DataView(this.#sector.buffer);
  readonly #buffer = new Uint8Array(PIECE_BYTES);

  constructor(
    private readonly recording: Recording,
    private readonly fd: number,
  ) {}

  entry(entry: LogEntry, text: Uint8Array = new Uint8Array(0)): void {
    this.#sector.fill(0);
    putEntry(this.#view, entry);
    this.#sector.set(text, ENTRY_BYTES);
    pwriteFrom(this.fd, this.#sector, this.lengthBytes);
    this.lengthBytes += SECTOR_BYTES;
    this.entries++;
  }

  /** A NUL ends the text, as in the kernel, which cuts it off in the same place. */
  mark(text: string): void {
    const bytes = Buffer.from(text).subarray(0, SECTOR_BYTES - ENTRY_BYTES - 1);
    this.entry({ sector: 0, sectors: 0, flags: LOG_FLAG.MARK, inlineBytes: bytes.length }, bytes);
  }

  write(write: WriteEvent, flags: number): void {
    const { change, offset, length, payloadAt } = write;
    const discard = change === 'trim' ? LOG_FLAG.DISCARD : 0;
    this.entry({
      sector: offset / SECTOR_BYTES,
      sectors: length / SECTOR_BYTES,
      flags: flags | discard,
      inlineBytes: 0,
    });
    if (change === 'trim') return;
    if (change === 'data') {
      for (let done = 0; done < length; done += PIECE_BYTES) {
        const piece = this.#buffer.subarray(0, Math.min(PIECE_BYTES, length - done));
        this.recording.read(payloadAt + done, piece);
        pwriteFrom(this.fd, piece, this.lengthBytes + done);
      }
    }
    // Zeroes are a hole of the file.
    this.lengthBytes += length;
  }

  finish(): void {
    truncateFile(this.fd, this.lengthBytes);
    this.#sector.fill(0);
    putSuper(this.#view, { entries: this.entries, sectorBytes: SECTOR_BYTES });
    pwriteFrom(this.fd, this.#sector, 0);
    fdatasync(this.fd);
  }
}
