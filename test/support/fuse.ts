// NBD exports as files (nbdfuse) and file systems in them (fuse2fs), where the host has FUSE.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { requires } from './requires.js';
import { until } from './test-daemon.js';

/** The part of ava's `t` that is used here. */
interface Test {
  log(...values: unknown[]): void;
  pass(): unknown;
  teardown(end: () => Promise<void> | void): void;
}

/** A mounted export: a file, until the test ends or unmount() is called. */
export interface FuseDisk {
  readonly file: string;
  /** Waits for who still uses it; then everything has been written. */
  unmount(): Promise<void>;
}

/**
 * True if FUSE can be used. Otherwise the test is to return at once: it passes with a note, also in CI, since a machine
 * may forbid it, and no package helps.
 */
export function hasFuse(t: Test): boolean {
  if (!requires(t, 'nbdfuse', 'libnbd-bin') || !requires(t, 'fusermount3', 'fuse3')) return false;
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    t.log('# skip: /dev/fuse is missing, or may not be opened here');
    t.pass();
    return false;
  }
}

/** Mounts an export in a new folder below `folder`. @returns null, with a note, where the host lets nobody mount */
export async function mountExport(t: Test, folder: string, uri: string): Promise<FuseDisk | null> {
  if (!hasFuse(t)) return null;
  const place = mkdtempSync(join(folder, 'fuse-'));
  const mountPoint = join(place, 'mount');
  const mounted = join(place, 'pid');
  mkdirSync(mountPoint);
  const nbdfuse = spawn('nbdfuse', ['-P', mounted, mountPoint, uri]);
  let said = '';
  nbdfuse.stderr.on('data', (data: Buffer) => {
    said += data.toString();
  });
  t.teardown(() => {
    // Lazily: what still uses it gets errors.
    if (nbdfuse.exitCode === null) spawn('fusermount3', ['-uz', mountPoint]);
  });
  await until('nbdfuse has mounted', () => existsSync(mounted) || nbdfuse.exitCode !== null);
  if (existsSync(mounted)) {
    const unmount = async (): Promise<void> => await unmountFolder(mountPoint, nbdfuse);
    return { file: join(mountPoint, 'nbd'), unmount };
  }
  if (!/permi|denied|fusermount/i.test(said)) throw new Error(`nbdfuse ended: ${said}`);
  t.log(`# skip: nothing can be mounted: ${said.trim()}`);
  t.pass();
  return null;
}

/** Mounts an ext4 file system in a file by fuse2fs. */
export function mountExt4(t: Test, file: string, folder: string): () => Promise<void> {
  const mountPoint = join(folder, 'ext4');
  mkdirSync(mountPoint);
  execFileSync('fuse2fs', [file, mountPoint, '-o', 'fakeroot'], { stdio: 'ignore' });
  const unmount = async (): Promise<void> => await unmountFolder(mountPoint, null);
  t.teardown(unmount);
  return unmount;
}

async function unmountFolder(mountPoint: string, child: ChildProcess | null): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      execFileSync('fusermount3', ['-u', mountPoint], { stdio: 'pipe' });
    } catch (error) {
      // "Device or resource busy" goes by; what is not mounted any more is done.
      if (!/busy/i.test(String(error))) break;
      await sleep(50);
    }
  }
  if (child !== null && child.exitCode === null)
    await new Promise((resolve) => child.once('exit', resolve));
}
