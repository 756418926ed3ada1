// What an exploration has done, in a file beside the recording, so that it can go on after it was stopped.
//
// One JSON object a line: first what is explored, then points, images and failures as they are done.

import { appendFileSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { CliError, reasonOf } from '../frame/errors.js';

const VERSION = 1;

const failureSchema = z.object({
  /** Failures of one key are one failure. */
  key: z.string(),
  how: z.string(),
  output: z.string(),
  position: z.int(),
  state: z.string(),
  lostUnits: z.int(),
});
/** An image on which the checker failed. */
export type FailedImage = z.infer<typeof failureSchema>;

const pointSchema = z.object({
  position: z.int(),
  count: z.string().nullable(),
  exhaustive: z.boolean(),
  listed: z.int(),
});
/** A crash point whose images are all checked. */
export type DonePoint = z.infer<typeof pointSchema>;

const lineSchema = z.union([
  z.object({ subject: z.string() }),
  z.object({ point: pointSchema, checked: z.array(z.string()) }),
  z.object({ checked: z.array(z.string()) }),
  z.object({ failure: failureSchema }),
]);

export interface Progress {
  readonly points: DonePoint[];
  readonly checked: string[];
  readonly failures: FailedImage[];
}

export class StateFile {
  private constructor(private readonly path: string) {}

  /**
   * @param subject what is explored, and how: other subjects have nothing to go on from
   * @returns the file, and what it says was done
   * @throws CliError EACCES, ENOSPC, ... if it can't be written
   */
  static open(
    path: string,
    subject: object,
  ): { readonly file: StateFile; readonly done: Progress } {
    const key = JSON.stringify({ version: VERSION, ...subject });
    const done = read(path, key);
    const file = new StateFile(path);
    if (done.points.length + done.checked.length === 0) {
      attempt(path, () => writeFileSync(path, `${JSON.stringify({ subject: key })}\n`));
    }
    return { file, done };
  }

  point(point: DonePoint, checked: readonly string[]): void {
    this.#append({ point, checked });
  }

  /** Images of points that are not done. */
  checked(checked: readonly string[]): void {
    if (checked.length > 0) this.#append({ checked });
  }

  failure(failure: FailedImage): void {
    this.#append({ failure });
  }

  /** Everything is done. */
  remove(): void {
    attempt(this.path, () => unlinkSync(this.path));
  }

  #append(line: object): void {
    attempt(this.path, () => appendFileSync(this.path, `${JSON.stringify(line)}\n`));
  }
}

function attempt(path: string, action: () => void): void {
  try {
    action();
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'EIO';
    throw new CliError(
      code,
      `${path}, which keeps what was done, cannot be written: ${reasonOf(cause)}`,
      undefined,
      { cause },
    );
  }
}

function read(path: string, subject: string): Progress {
  const done: Progress = { points: [], checked: [], failures: [] };
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return done;
  }
  const [first, ...lines] = text.split('\n').map(parse);
  if (first === null || !('subject' in first) || first.subject !== subject) return done;
  for (const line of lines) {
    // The last line may have been cut off.
    if (line === null) break;
    if ('failure' in line) done.failures.push(line.failure);
    if ('checked' in line) done.checked.push(...line.checked);
    if ('point' in line) done.points.push(line.point);
  }
  return done;
}

function parse(line: string): z.infer<typeof lineSchema> | null {
  try {
    return lineSchema.safeParse(JSON.parse(line)).data ?? null;
  } catch {
    return null;
  }
}
