// Where bytes of a device go to, and where they come from: files, pipes, the terminal.

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { CliError, codeOf } from './errors.js';
import { hexDump } from './hex-dump.js';
import { print, printBytes } from './output.js';

/** Bytes that a command moves at once. */
export const PIECE_BYTES = 1024 * 1024;

/** A file, or standard output: as it is in a pipe, as a hex dump on a terminal or if asked. */
export class ByteSink {
  private readonly fd: number | null;

  constructor(
    private readonly path: string | null,
    private readonly hex: boolean,
  ) {
    this.fd = path === null ? null : named(path, () => openSync(path, 'w'));
  }

  put(bytes: Uint8Array, offset: number): void {
    const { fd, path } = this;
    if (fd === null || path === null) {
      if (this.hex || process.stdout.isTTY) print(hexDump(bytes, offset));
      else printBytes(bytes);
      return;
    }
    for (let at = 0; at < bytes.length; ) at += named(path, () => writeSync(fd, bytes, at));
  }

  close(): void {
    if (this.fd !== null) closeSync(this.fd);
  }
}

/** Pieces of a file, or of standard input, each full but the last. */
export function* byteSource(path: string | null): Generator<Buffer, void, void> {
  const name = path ?? 'standard input';
  const fd = path === null ? 0 : named(path, () => openSync(path, 'r'));
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(PIECE_BYTES);
      let length = 0;
      while (length < PIECE_BYTES) {
        const got = named(name, () => readSync(fd, piece, length, PIECE_BYTES - length, null));
        if (got === 0) break;
        length += got;
      }
      if (length > 0) yield piece.subarray(0, length);
      if (length < PIECE_BYTES) return;
    }
  } finally {
    if (path !== null) closeSync(fd);
  }
}

function named<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    const code = codeOf(cause);
    if (code === null || !(cause instanceof Error)) throw cause;
    throw new CliError(code, `${path}: ${cause.message.replace(`${code}: `, '')}`, undefined, {
      cause,
    });
  }
}
