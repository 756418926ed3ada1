// Makes a recording of a log of dm-log-writes.

import { PAYLOAD_BYTES_MAX } from '../../../engine/block/recording/format.js';
import {
  ENTRY_BYTES,
  getEntry,
  getSuper,
  LOG_FLAG,
  type LogEntry,
  SUPER_BYTES,
} from '../../../engine/block/recording/log-writes.js';
import { RecordingWriter } from '../../../engine/block/recording/writer.js';
import { fileStatus, preadInto } from '../../../native/index.js';
import { CliError } from '../frame/errors.js';

const ENTRIES_MAX = 4_000_000;
const SIZE_STEP = 1024 * 1024;
const SIZE_MAX = 2 ** 50;

export interface ImportOptions {
  /** Of the disk; null: as far as the log's writes go. */
  readonly sizeBytes: number | null;
  readonly unitBytes: number;
}

export interface ImportSummary {
  readonly entries: number;
  readonly sizeBytes: number;
  readonly lengthBytes: number;
}

/**
 * @param log the log's descriptor, for reading
 * @param output the descriptor of an empty file
 * @throws CliError EINVAL for what is no log, or is damaged; NativeError ENOSPC, ...
 */
export function importLog(
  path: string,
  log: number,
  output: number,
  options: ImportOptions,
): ImportSummary {
  const entries = readEntries(path, log);
  const ends = entries.map(
    ({ entry, sectorBytes }) => (entry.sector + entry.sectors) * sectorBytes,
  );
  const last = ends.reduce((most, end) => Math.max(most, end), 0);
  const sizeBytes = options.sizeBytes ?? Math.max(1, Math.ceil(last / SIZE_STEP)) * SIZE_STEP;
  if (last > sizeBytes)
    throw new CliError('EINVAL', `${path} writes up to ${last}, beyond the size of ${sizeBytes}`);
  const writer = new RecordingWriter(output, {
    sizeBytes,
    unitBytes: options.unitBytes,
    atomicBytes: 0,
    startedMs: Date.now(),
    seed: 1,
    garbage: false,
  });
  writer.begin();
  let id = 0;
  for (const { entry, sectorBytes, dataAt } of entries) {
    const { flags } = entry;
    if ((flags & LOG_FLAG.MARK) !== 0) {
      const text = new Uint8Array(entry.inlineBytes);
      preadInto(log, text, dataAt - sectorBytes + ENTRY_BYTES);
      writer.mark(new TextDecoder().decode(text).replace(/\0.*$/s, ''));
      continue;
    }
    // A flush comes before the data that it is told with.
    if ((flags & LOG_FLAG.FLUSH) !== 0) {
      writer.flush(++id, 1);
      writer.flushed(id, true);
    }
    if (entry.sectors === 0) continue;
    const range = {
      id: ++id,
      offset: entry.sector * sectorBytes,
      length: entry.sectors * sectorBytes,
      connection: 1,
      fua: (flags & LOG_FLAG.FUA) !== 0,
      atomic: false,
    };
    if ((flags & LOG_FLAG.DISCARD) !== 0) {
      writer.zeroes(range, false);
    } else {
      const payload = new Uint8Array(range.length);
      preadInto(log, payload, dataAt);
      writer.write(range, [payload]);
    }
    writer.replied(id);
  }
  writer.end();
  return { entries: entries.length, sizeBytes, lengthBytes: writer.lengthBytes };
}

interface FoundEntry {
  readonly entry: LogEntry;
  readonly sectorBytes: number;
  /** Where in the file its data is. */
  readonly dataAt: number;
}

function readEntries(path: string, log: number): FoundEntry[] {
  const { sizeBytes: fileBytes } = fileStatus(log);
  const view = new DataView(new ArrayBuffer(ENTRY_BYTES));
  const bytes = new Uint8Array(view.buffer);
  const head =
    preadInto(log, bytes.subarray(0, SUPER_BYTES), 0) < SUPER_BYTES ? null : getSuper(view);
  if (head === null) throw new CliError('EINVAL', `${path} is no log of dm-log-writes, version 1`);
  const { sectorBytes } = head;
  if (head.entries > ENTRIES_MAX)
    throw new CliError('EINVAL', `${path} has ${head.entries} entries, more than ${ENTRIES_MAX}`);
  const found: FoundEntry[] = [];
  for (let at = sectorBytes; found.length < head.entries; ) {
    if (preadInto(log, bytes, at) < ENTRY_BYTES) throw damaged(path, found.length, 'is missing');
    const entry = getEntry(view);
    const { sector, sectors, flags, inlineBytes } = entry;
    const hasData = (flags & (LOG_FLAG.DISCARD | LOG_FLAG.MARK)) === 0;
    const dataAt = at + sectorBytes;
    const next = dataAt + (hasData ? sectors * sectorBytes : 0);
    if ((sector + sectors) * sectorBytes > SIZE_MAX || inlineBytes > sectorBytes - ENTRY_BYTES)
      throw damaged(path, found.length, 'makes no sense');
    if (hasData && sectors * sectorBytes > PAYLOAD_BYTES_MAX)
      throw damaged(path, found.length, `has more than ${PAYLOAD_BYTES_MAX} bytes`);
    if (next > fileBytes) throw damaged(path, found.length, 'is cut off');
    found.push({ entry, sectorBytes, dataAt });
    at = next;
  }
  return found;
}

function damaged(path: string, number: number, why: string): CliError {
  return new CliError('EINVAL', `entry ${number} of ${path} ${why}`);
}
