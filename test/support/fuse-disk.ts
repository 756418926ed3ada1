// An NBD export as a file, by nbdfuse, where the host has FUSE.

import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { requires } from './requires.js';
import { until } from './test-daemon.js';

/** The part of ava's `t` that is used here. */
interface Test {
  log(...values: unknown[]): void;
  pass(): unknown;
  teardown(end: () => Promise<void> | void): void;
}

/**
 * Mounts an export in a new folder below `folder` until the test ends.
 * @returns the path of the file; null, with a note, where nothing can be mounted: that is the host's choice, also in CI
 */
export async function fuseDisk(t: Test, folder: string, uri: string): Promise<string | null> {
  const skip = (reason: string): null => {
    t.log(`# skip: ${reason}`);
    t.pass();
    return null;
  };
  if (!requires(t, 'nbdfuse', 'libnbd-bin') || !requires(t, 'fusermount3', 'fuse3')) return null;
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
  } catch {
    return skip('there is no /dev/fuse');
  }
  const place = mkdtempSync(join(folder, 'fuse-'));
  const mountPoint = join(place, 'mount');
  const mounted = join(place, 'pid');
  mkdirSync(mountPoint);
  const nbdfuse = spawn('nbdfuse', ['-P', mounted, mountPoint, uri]);
  let said = '';
  nbdfuse.stderr.on('data', (data: Buffer) => {
    said += data.toString();
  });
  const ended = new Promise((resolve) => nbdfuse.once('close', resolve));
  t.teardown(async () => {
    // Lazily: what still uses it gets errors.
    spawn('fusermount3', ['-uz', mountPoint]);
    await ended;
  });
  await until('nbdfuse has mounted', () => existsSync(mounted) || nbdfuse.exitCode !== null);
  if (existsSync(mounted)) return join(mountPoint, 'nbd');
  if (/permi|denied|fusermount/i.test(said)) return skip(`nothing can be mounted: ${said.trim()}`);
  throw new Error(`nbdfuse ended: ${said}`);
}
