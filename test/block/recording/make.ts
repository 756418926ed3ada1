// Makes recordings for tests in a folder that goes away with the test.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { RecordingHeader } from '../../../engine/block/recording/format.js';
import { openRecording, type Recording } from '../../../engine/block/recording/reader.js';
import { RecordingWriter } from '../../../engine/block/recording/writer.js';
import { closeDescriptor, openFile } from '../../../native/index.js';

export const UNIT = 512;

/** A folder that is removed after the test. */
export function testFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-crash-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Writes to a recording in words that are short enough for tests; units are filled with one byte each. */
export class Script {
  #ids = 0;

  constructor(readonly writer: RecordingWriter) {}

  /** @returns the write's id */
  write(firstUnit: number, text: string, { fua = false, atomic = false } = {}): number {
    const id = ++this.#ids;
    const bytes = Buffer.concat(Array.from(text).map((letter) => Buffer.alloc(UNIT, letter)));
    const range = { id, offset: firstUnit * UNIT, length: bytes.length, connection: 1 };
    this.writer.write({ ...range, fua, atomic }, [bytes]);
    return id;
  }

  bytes(offset: number, text: string): number {
    const id = ++this.#ids;
    const bytes = Buffer.from(text, 'latin1');
    const range = { id, offset, length: bytes.length, connection: 1 };
    this.writer.write({ ...range, fua: false, atomic: false }, [bytes]);
    return id;
  }

  zeroes(firstUnit: number, units: number, durable = true): number {
    const id = ++this.#ids;
    const range = { id, offset: firstUnit * UNIT, length: units * UNIT, connection: 1 };
    this.writer.zeroes({ ...range, fua: false, atomic: false }, durable);
    return id;
  }

  replied(...ids: readonly number[]): void {
    for (const id of ids) this.writer.replied(id);
  }

  /** Begins a flush. */
  flush(): number {
    const id = ++this.#ids;
    this.writer.flush(id, 1);
    return id;
  }

  flushed(id: number, ok = true): void {
    this.writer.flushed(id, ok);
  }

  /** A write that is replied to. */
  done(firstUnit: number, text: string): void {
    this.replied(this.write(firstUnit, text));
  }

  /** A flush from begin to end. */
  sync(): void {
    this.flushed(this.flush());
  }
}

export interface RecordingOptions extends Partial<RecordingHeader> {
  /** What the disk held at first: letters for units from unit 0 on, a space for a unit of zeroes. */
  readonly initial?: string;
  /** Leave the END out. */
  readonly cutShort?: boolean;
}

/** @returns the path of the recording */
export function recordIn(
  folder: string,
  write: (script: Script) => void,
  options: RecordingOptions = {},
): string {
  const { initial = '', cutShort = false, ...header } = options;
  const path = join(folder, 'test.rec');
  const fd = openFile(path, { create: true });
  try {
    const writer = new RecordingWriter(fd, {
      sizeBytes: 64 * UNIT,
      unitBytes: UNIT,
      atomicBytes: 0,
      startedMs: 0,
      seed: 1,
      garbage: false,
      ...header,
    });
    for (const [unit, letter] of Array.from(initial).entries())
      if (letter !== ' ') writer.extent(unit * UNIT, Buffer.alloc(UNIT, letter));
    writer.begin();
    write(new Script(writer));
    if (cutShort) writer.drain();
    else writer.end();
  } finally {
    closeDescriptor(fd);
  }
  return path;
}

/** Makes a recording and opens it. */
export function record(
  t: ExecutionContext,
  write: (script: Script) => void,
  options: RecordingOptions = {},
): Recording {
  const recording = openRecording(recordIn(testFolder(t), write, options));
  t.teardown(() => {
    recording.close();
  });
  return recording;
}
