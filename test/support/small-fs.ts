// A file system of 64 KiB, for tests that fill one.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The part of ava's `t` that is used here. */
interface Test {
  log(...values: unknown[]): void;
  pass(): unknown;
  teardown(end: () => void): void;
}

/** Where it is mounted until the test ends; null, with a note, if none can be. */
export function smallFs(t: Test): string | null {
  const place = mkdtempSync(join(tmpdir(), 'pinfold-small-'));
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place]);
  t.teardown(() => {
    if (mount.status === 0) spawnSync('umount', [place]);
    rmSync(place, { recursive: true, force: true });
  });
  if (mount.status === 0) return place;
  t.log('# skip: a small file system can only be mounted by root');
  t.pass();
  return null;
}
