// What a handle of a client stands for, as the data plane sees it: something that can be read, written, flushed and
// discarded. Disks, files, mappings and pins are such targets.

import { PinfoldError } from './protocol/errors.js';

/** Bytes that lie in memory, so that they are copied at once on the event loop. The range was checked before. */
export interface InlineBytes {
  copyOut(offset: number, target: Uint8Array): void;
  copyIn(offset: number, data: Uint8Array): void;
}

export interface Target {
  /** As messages name it: `disk scratch`, `file /a/b`. */
  readonly label: string;
  /** Not null: read and write are served by these instead. */
  readonly inline: InlineBytes | null;

  /** @throws for a range that can't be read: EINVAL */
  checkRead(offset: number, lengthBytes: number): void;
  /** @throws for a range that can't be written: ENOSPC past the end, EROFS, EINVAL */
  checkWrite(offset: number, lengthBytes: number): void;
  /** @returns bytes read, fewer than `target` holds only at the end of a file */
  read(offset: number, target: Uint8Array, signal: AbortSignal): Promise<number>;
  /** @returns bytes written */
  write(offset: number, data: Uint8Array, fua: boolean, signal: AbortSignal): Promise<number>;
  /** Makes what was written durable. */
  flush(signal: AbortSignal): Promise<void>;
  /** The range reads as zeroes afterwards. */
  discard(offset: number, lengthBytes: number, signal: AbortSignal): Promise<void>;
}

/** The error for a call that this kind of handle has no meaning for. */
export function unsupported(label: string, what: string): PinfoldError {
  return new PinfoldError('EOPNOTSUPP', `${label} can not be ${what}`);
}
