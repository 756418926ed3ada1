// Disks of a daemon as files, by nbdfuse, for tests with programs that know nothing of NBD.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { requires } from './requires.js';

/**
 * True if FUSE can be used. Otherwise the test is to return at once: it passes with a note, also in CI, since a machine
 * may forbid it, and no package helps.
 */
export function hasFuse(t: ExecutionContext): boolean {
  if (!requires(t, 'nbdfuse', 'libnbd-bin') || !requires(t, 'fusermount3', 'fuse3')) return false;
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
    return true;
  } catch {
    t.log('# skip: /dev/fuse is missing, or may not be opened here');
    t.pass();
    return false;
  }
}

/** A mounted disk: a file, until the test ends or unmount() is called. */
export interface FuseDisk {
  readonly file: string;
  unmount(): Promise<void>;
}

/** @param nbdSocket of a daemon; its first disk is mounted */
export async function mountDisk(
  t: ExecutionContext,
  folder: string,
  nbdSocket: string,
): Promise<FuseDisk> {
  const mountpoint = join(folder, 'disk');
  mkdirSync(mountpoint);
  const child = spawn('nbdfuse', [mountpoint, '--unix', nbdSocket], { stdio: 'ignore' });
  const file = join(mountpoint, 'nbd');
  const unmount = async (): Promise<void> => await unmountFolder(mountpoint, child);
  t.teardown(unmount);
  while (!existsSync(file)) {
    if (child.exitCode !== null) throw new Error(`nbdfuse ended with ${child.exitCode}`);
    await sleep(10);
  }
  return { file, unmount };
}

/** Mounts an ext4 file system in a file by fuse2fs. */
export function mountExt4(t: ExecutionContext, file: string, folder: string): () => Promise<void> {
  const mountpoint = join(folder, 'ext4');
  mkdirSync(mountpoint);
  execFileSync('fuse2fs', [file, mountpoint, '-o', 'fakeroot'], { stdio: 'ignore' });
  const unmount = async (): Promise<void> => await unmountFolder(mountpoint, null);
  t.teardown(unmount);
  return unmount;
}

async function unmountFolder(mountpoint: string, child: ChildProcess | null): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      execFileSync('fusermount3', ['-u', mountpoint], { stdio: 'pipe' });
    } catch (error) {
      // "Device or resource busy" goes by; what is not mounted any more is done.
      if (!/busy/i.test(String(error))) break;
      await sleep(50);
    }
  }
  if (child !== null && child.exitCode === null)
    await new Promise((resolve) => child.once('exit', resolve));
}
