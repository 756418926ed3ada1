// A file that a command makes, and takes back if it fails.

import { rmSync } from 'node:fs';
import { closeDescriptor, openFile } from '../../../../native/index.js';

/** @throws NativeError EEXIST, EACCES, ... */
export function intoNewFile<T>(path: string, write: (fd: number) => T): T {
  const fd = openFile(path, { create: true, exclusive: true });
  try {
    return write(fd);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeDescriptor(fd);
  }
}
