// Runs the user's checker on an image: exit code 0 is a pass. Its output is kept up to a bound, its time is limited.

import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CliError, usageError } from '../frame/errors.js';

/** What may stand in a command, and is replaced by a path or URI for each check. */
export const PLACES = ['image', 'nbd', 'replies'] as const;
export type Place = (typeof PLACES)[number];
export type Places = Readonly<Record<Place, string>>;

export interface Verdict {
  readonly ok: boolean;
  /** `exit code 1`, `killed by SIGSEGV`, `timed out after 60 s`. */
  readonly how: string;
  /** The beginning of what it said, on standard output and then on standard error. */
  readonly output: string;
}

/** Of each output. */
const OUTPUT_BYTES_MAX = 16 * 1024;
/** A command of such words needs no shell. */
const PLAIN_COMMAND = /^[\w\s{}./:=,+@%-]+$/;
/** What a shell says when there is no such program, or none that can be run. */
const NOT_RUN = [126, 127];

export class Checker {
  readonly uses: ReadonlySet<Place>;
  readonly #words: readonly string[] | null;

  /** @throws CliError EUSAGE if the command names neither {image} nor {nbd} */
  constructor(
    readonly command: string,
    private readonly timeoutMs: number,
  ) {
    this.uses = new Set(PLACES.filter((place) => command.includes(`{${place}}`)));
    if (!this.uses.has('image') && !this.uses.has('nbd')) {
      throw usageError(
        `the check '${command}' looks at no image: write {image} where its file name belongs, or {nbd} for an NBD URI`,
      );
    }
    const words = command.trim().split(/\s+/);
    this.#words = PLAIN_COMMAND.test(command) && isProgram(words[0]) ? words : null;
  }

  /**
   * @param signal kills it
   * @throws CliError ENOENT if it can't be run at all; the signal's reason
   */
  async run(places: Places, signal: AbortSignal): Promise<Verdict> {
    signal.throwIfAborted();
    const fill = (text: string): string =>
      text.replaceAll(/\{(image|nbd|replies)\}/g, (all, name: string) => {
        const place = PLACES.find((each) => each === name);
        return place === undefined ? all : places[place];
      });
    const [program, ...args] = this.#words?.map(fill) ?? ['/bin/sh', '-c', fill(this.command)];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const expiry = AbortSignal.timeout(this.timeoutMs);
    const onAbort = (): void => {
      killGroup(child);
    };
    expiry.addEventListener('abort', onAbort);
    signal.addEventListener('abort', onAbort);
    try {
      const output = collect(child);
      const [code, by] = await ended(child);
      signal.throwIfAborted();
      const text = output();
      if (this.#words === null && code !== null && NOT_RUN.includes(code))
        throw cannotRun(this.command, text);
      if (expiry.aborted)
        return { ok: false, how: `timed out after ${this.timeoutMs / 1000} s`, output: text };
      const how = by === null ? `exit code ${code ?? 0}` : `killed by ${by}`;
      return { ok: code === 0, how, output: text };
    } finally {
      expiry.removeEventListener('abort', onAbort);
      signal.removeEventListener('abort', onAbort);
      // What it may have left running holds the image.
      killGroup(child);
    }
  }
}

function isProgram(word: string): boolean {
  const paths = word.includes('/')
    ? [word]
    : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, word));
  return paths.some((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** The checker and all that it has started are a process group of their own. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}

/** Standard output, then standard error: which of them came first differs from run to run. */
function collect({ stdout, stderr }: ChildProcess): () => string {
  const texts = [stdout, stderr].map((stream) => {
    const pieces: Buffer[] = [];
    let kept = 0;
    let left = 0;
    stream?.on('data', (piece: Buffer) => {
      const part = piece.subarray(0, OUTPUT_BYTES_MAX - kept);
      if (part.length > 0) pieces.push(part);
      kept += part.length;
      left += piece.length - part.length;
    });
    return (): string => {
      const text = Buffer.concat(pieces).toString();
      return left === 0 ? text : `${text}\n... and ${left} bytes more\n`;
    };
  });
  return () => texts.map((text) => text()).join('');
}

async function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return await new Promise((resolve, reject) => {
    child.on('error', (error) => reject(cannotRun(child.spawnfile, error.message)));
    // A daemon that it left behind may keep its outputs open: do not wait for their end for ever.
    child.on('exit', (code, by) => {
      killGroup(child);
      child.once('close', () => resolve([code, by]));
    });
  });
}

function cannotRun(command: string, why: string): CliError {
  const [first = ''] = why.trim().split('\n');
  return new CliError('ENOENT', `the check '${command}' cannot be run: ${first}`);
}
