// The log format of Linux's dm-log-writes (drivers/md/dm-log-writes.c), which xfstests and others replay.
//
// All numbers are little-endian u64 but for the sector size. The log is a run of sectors:
//
//      sector 0      | magic 8 | version 8 | entries 8 | sector size (u32) | zeroes ...                 |
//      each entry    | sector 8 | sectors 8 | flags 8 | bytes of data inline 8 | a mark's text | zeroes ... |
//      its data      `sectors` sectors, behind the entry; none for DISCARD
//
// An entry that was flushed stands before the FLUSH entry; one with FUA stands where it was replied to.

import { getU64, putU64 } from './format.js';

/** 0x006a736677736872, as its two words. */
const MAGIC_LOW = 0x77736872;
const MAGIC_HIGH = 0x006a7366;
const VERSION = 1;

export const LOG_FLAG = { FLUSH: 1, FUA: 2, DISCARD: 4, MARK: 8, METADATA: 16 } as const;
export const SUPER_BYTES = 28;
export const ENTRY_BYTES = 32;

export interface LogSuper {
  readonly entries: number;
  readonly sectorBytes: number;
}

export interface LogEntry {
  /** In sectors of the log's own size. */
  readonly sector: number;
  readonly sectors: number;
  readonly flags: number;
  /** Of the text of a mark. */
  readonly inlineBytes: number;
}

export function putSuper(view: DataView, { entries, sectorBytes }: LogSuper): void {
  view.setUint32(0, MAGIC_LOW, true);
  view.setUint32(4, MAGIC_HIGH, true);
  putU64(view, 8, VERSION);
  putU64(view, 16, entries);
  view.setUint32(24, sectorBytes, true);
}

/** @returns null if it is none, of another version, or of sectors that no disk has */
export function getSuper(view: DataView): LogSuper | null {
  const sectorBytes = view.getUint32(24, true);
  const known =
    view.getUint32(0, true) === MAGIC_LOW &&
    view.getUint32(4, true) === MAGIC_HIGH &&
    getU64(view, 8) === VERSION &&
    sectorBytes >= 512 &&
    sectorBytes <= 65_536 &&
    sectorBytes % 512 === 0;
  return known ? { entries: getU64(view, 16), sectorBytes } : null;
}

export function putEntry(view: DataView, entry: LogEntry): void {
  putU64(view, 0, entry.sector);
  putU64(view, 8, entry.sectors);
  putU64(view, 16, entry.flags);
  putU64(view, 24, entry.inlineBytes);
}

export function getEntry(view: DataView): LogEntry {
  return {
    sector: getU64(view, 0),
    sectors: getU64(view, 8),
    flags: view.getUint32(16, true),
    inlineBytes: getU64(view, 24),
  };
}
