// What one daemon serves, by name.

import type { FileExport } from './file-export.js';
import type { MachineService } from './machine-service.js';
import { PinfoldError } from './protocol/errors.js';
import type { Region } from './region.js';
import type { ServedDisk } from './served-disk.js';

export interface Served {
  readonly disks: ReadonlyMap<string, ServedDisk>;
  readonly regions: ReadonlyMap<string, Region>;
  /** Counters of what serves them beside the daemon's own socket. */
  readonly statistics?: () => Record<string, number>;
  readonly volumes: ReadonlyMap<string, MachineService>;
  /** Files of volumes that NBD clients use as disks. */
  readonly exports: ReadonlyMap<string, FileExport>;
}

/** @throws PinfoldError ENODEV that names what there is */
export function findServed<T>(kind: string, served: ReadonlyMap<string, T>, name: string): T {
  const found = served.get(name);
  if (found !== undefined) return found;
  const names = [...served.keys()].join(', ');
  throw new PinfoldError(
    'ENODEV',
    `no ${kind} is named ${name}; this daemon has ${names === '' ? `no ${kind}s` : names}`,
  );
}
