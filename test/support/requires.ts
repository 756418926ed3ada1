// Lets a test ask for a program that not every machine has.

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The part of ava's `t` that is used here. */
interface Test {
  log(...values: unknown[]): void;
  pass(): unknown;
}

/**
 * True if the command is installed. Otherwise the test is to return at once: it passes with a note
 * saying what to install, but in CI (CI=true), where nothing may go untested, it fails.
 *
 *     if (!requires(t, 'nbdinfo', 'libnbd-bin')) return;
 */
export function requires(
  t: Test,
  command: string,
  debianPackage: string,
  environment: NodeJS.ProcessEnv = process.env,
): boolean {
  if (isInstalled(command, environment['PATH'] ?? '')) return true;
  const reason = `${command} is not installed (apt-get install ${debianPackage})`;
  if (environment['CI'] === 'true') throw new Error(`${reason}, and CI skips no test`);
  t.log(`# skip: ${reason}`);
  t.pass();
  return false;
}

function isInstalled(command: string, searchPath: string): boolean {
  return searchPath.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
