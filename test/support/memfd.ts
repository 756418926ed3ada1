// What the host says of this process's memfds, by a part of their names.

import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

/** Bytes of memory that they have. */
export function memfdBytes(name: string): number {
  let bytes = 0;
  for (const fd of readdirSync('/proc/self/fd')) {
    const path = `/proc/self/fd/${fd}`;
    // The one that has listed them is gone.
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) continue;
    if (readlinkSync(path).includes(name)) bytes += statSync(path).blocks * 512;
  }
  return bytes;
}

/** Bytes of them that the process maps by huge pages. */
export function hugeBytes(name: string): number {
  const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  return mappings
    .filter((mapping) => mapping.includes(`memfd:${name}`))
    .map((mapping) => 1024 * Number(/^ShmemPmdMapped:\s+(\d+) kB$/m.exec(mapping)?.at(1)))
    .reduce((sum, bytes) => sum + bytes, 0);
}
