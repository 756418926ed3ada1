// Runs the built command as a child process, as a user does.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';

const ENTRY = new URL('../../clients/cli/pinfold.js', import.meta.url).pathname;

export interface RunResult {
  /** Null if a signal ended it. */
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<RunResult>;
  /**
   * Resolves when standard output or error contains the text, with all of standard output so far;
   * rejects if the process ends before.
   */
  shows(text: string): Promise<string>;
}

/** @param env beside the environment of the tests */
export function start(env: Readonly<Record<string, string>>, ...args: string[]): Running {
  const child = spawn(process.execPath, [ENTRY, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  child.stdin.end();
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  let over = false;
  const ended = new Promise<RunResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exit) => {
      over = true;
      resolve({ exit, stdout, stderr });
    });
  });
  const shows = async (text: string): Promise<string> => {
    while (!stdout.includes(text) && !stderr.includes(text)) {
      if (over) throw new Error(`ended without showing "${text}":\n${stdout}${stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return stdout;
  };
  return { child, ended, shows };
}

export function pinfold(...args: string[]): Promise<RunResult> {
  return start({}, ...args).ended;
}

/** Runs and expects exit 0; returns what it printed. */
export async function succeeds(t: ExecutionContext, ...args: string[]): Promise<string> {
  const { exit, stdout, stderr } = await pinfold(...args);
  t.is(exit, 0, `pinfold ${args.join(' ')}: ${stderr}`);
  return stdout;
}

/** A folder of its own, removed after the test. */
export function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-cli-'));
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** One line `pinfold: CODE: ...` on standard error, and that exit code. */
export function failsWith(
  t: ExecutionContext,
  result: RunResult,
  exit: number,
  code: string,
  says: RegExp,
): void {
  const lines = result.stderr.trimEnd().split('\n');
  t.is(lines.length, 1, result.stderr);
  t.regex(result.stderr, new RegExp(`^pinfold: ${code}: `));
  t.regex(result.stderr, says);
  t.is(result.exit, exit);
}
