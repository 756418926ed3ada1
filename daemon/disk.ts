// A disk that the daemon serves, and the checks that all kinds of disk share.

import { PinfoldError } from './protocol/errors.js';
import { SECTOR_BYTES } from './protocol/limits.js';
import type { Target } from './target.js';

/** Where a disk's bytes lie, for a thread that serves them by itself. The disk keeps owning it. */
export type DiskStorage =
  | {
      readonly kind: 'memory';
      readonly fd: number;
      readonly segments: SharedArrayBuffer[];
      /** WrittenPages.shared: who writes or discards has to tell. */
      readonly written: SharedArrayBuffer;
    }
  | { readonly kind: 'file'; readonly fd: number };

/** A volatile write cache in front of a disk; see docs/power-cuts.md. */
export interface DiskCache {
  /** What changes as a whole in a power cut: 512 or 4096. */
  readonly unitBytes: number;
  /** Writes up to this are all or nothing; 0: none. */
  readonly atomicBytes: number;
  /** Versions of pages that it holds at most, in bytes. */
  readonly versionBytes: number;
}

export interface Disk extends Target {
  readonly name: string;
  readonly sizeBytes: number;
  /** 'memory', or the path of the file. */
  readonly backing: string;
  readonly readOnly: boolean;
  readonly storage: DiskStorage;
  /** Kept by the thread that serves it; null: what is written is durable as soon as the backing says so. */
  readonly cache: DiskCache | null;
  /** Writes back what is pending and gives the backing up. */
  close(): Promise<void>;
}

/** @throws PinfoldError EROFS */
export function checkDiskWritable(
  disk: { readonly label: string; readonly readOnly: boolean },
  what: string,
): void {
  if (disk.readOnly)
    throw new PinfoldError('EROFS', `${what} of ${disk.label}, which is read-only`);
}

/** @throws PinfoldError EINVAL for an offset or length that is not whole sectors, `code` for a range outside the disk */
export function checkDiskRange(
  disk: { readonly label: string; readonly sizeBytes: number },
  what: string,
  offset: number,
  lengthBytes: number,
  code: 'EINVAL' | 'ENOSPC',
): void {
  if (offset + lengthBytes > disk.sizeBytes) {
    throw new PinfoldError(
      code,
      `${what} of ${lengthBytes} bytes at offset ${offset} reaches past the end of ${disk.label}, ` +
        `which has ${disk.sizeBytes} bytes`,
    );
  }
  if (offset % SECTOR_BYTES !== 0 || lengthBytes % SECTOR_BYTES !== 0) {
    throw new PinfoldError(
      'EINVAL',
      `${what} of ${lengthBytes} bytes at offset ${offset} of ${disk.label}: both must be multiples of ${SECTOR_BYTES}`,
    );
  }
}
