// Checking a volume offline.
import type { Disk } from '../block/disk.js';
export interface Damage {
  readonly code: string;
  readonly message: string;
}
export interface FsckReport {
  readonly damages: readonly Damage[];
}
export function fsck(_disk: Disk, _options: { readonly repair: boolean }): FsckReport {
  return { damages: [] };
}
