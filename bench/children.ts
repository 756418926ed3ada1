// Processes that a bench measures: started, waited for, and ended.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** How long a process may take to listen. */
export const START_MS = 10_000;

/** Runs a module of ours as a process. */
export function child(module: string, args: readonly string[]): ChildProcess {
  const path = fileURLToPath(new URL(module, import.meta.url));
  return fork(path, args, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
}

/** Waits until something listens on a Unix socket. */
export async function socketThere(path: string, children: readonly ChildProcess[]): Promise<void> {
  const deadline = performance.now() + START_MS;
  while (!existsSync(path)) {
    if (performance.now() > deadline || children.some((one) => one.exitCode !== null)) {
      throw new Error(`nothing listens on ${path}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Ends a process as a user would, and waits for it. */
export async function end(one: ChildProcess): Promise<void> {
  if (one.exitCode !== null) return;
  const exited = once(one, 'exit');
  one.kill('SIGTERM');
  await exited;
}
