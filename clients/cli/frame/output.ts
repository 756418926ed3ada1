// Where results go: standard output, as text or as one JSON object. Messages go to standard error.

import { writeSync } from 'node:fs';

/** Prints one JSON object on one line. */
export function printJson(value: object): void {
  print(JSON.stringify(value));
}

/** Prints lines of the result. */
export function print(text: string): void {
  writeAll(1, Buffer.from(`${text}\n`));
}

/** Prints bytes of the result as they are. */
export function printBytes(bytes: Uint8Array): void {
  writeAll(1, bytes);
}

/** Prints a message that is no part of the result. */
export function tell(text: string): void {
  writeAll(2, Buffer.from(`${text}\n`));
}

/** Columns of equal width; the first line is the head. Numbers stand on the right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => (line.at(i) ?? '').length)));
  const right = head.map(
    (_, i) =>
      rows.length > 0 && rows.every((row) => /^[\d.,]+( [A-Za-z%/]+)?$/.test(row.at(i) ?? '')),
  );
  return lines
    .map((line) =>
      line
        .map((cell, i) => (right[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Synchronous, so that nothing is lost when the process ends right afterwards. */
function writeAll(fd: number, bytes: Uint8Array): void {
  let at = 0;
  while (at < bytes.length) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : null;
      // The reader (head, less) has seen enough.
      if (code === 'EPIPE') process.exit(0);
      // A pipe that is set to not block, and is full: wait a moment for its reader.
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
