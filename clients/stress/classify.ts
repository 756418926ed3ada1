// From what a detector saw to the hazard of kernel.md that it is an instance of.

import type { Finding } from '../../engine/finding.js';
import { REGISTERED_PAGES } from './limits.js';
import type { FilePlan, Plan } from './plan.js';
import { EVENT, type Tables } from './tables.js';

/** The page of a run's file that a finding is about. */
export interface Place {
  readonly file: FilePlan;
  readonly page: number;
}

/**
 * The hazard of a finding.
 *
 * Torn: kernel.md 4.14 tells H1-b (the pin is older than the writeback) from H1-c (short, taken just
 * before). Long pins only ever go to the registered pages of the shared files and short ones never
 * do, so the page tells which it was. A page that was never pinned has no business being torn.
 */
export function hazardOf(tables: Tables, finding: Finding, place: Place | null): string | null {
  switch (finding.kind) {
    case 'torn-write':
      return place === null ? finding.hazard : hazardOfTear(tables, place);
    case 'warn':
    case 'bug':
      return finding.message.includes('without buffers') ? 'H0-a' : finding.hazard;
    case 'late-enospc':
      return 'H1-e';
    default:
      return finding.hazard;
  }
}

function hazardOfTear(tables: Tables, { file, page }: Place): string | null {
  const at = (file.firstPage + page) * EVENT.words;
  const registered = isRegistered(file, page);
  const pinned = tables.events[at + (registered ? EVENT.longPin : EVENT.shortPin)] !== 0;
  if (!pinned) return null;
  return registered ? 'H1-b' : 'H1-c';
}

/** Is the page one that long pins go to? */
export function isRegistered(file: FilePlan, page: number): boolean {
  return file.use === 'shared' && page < REGISTERED_PAGES;
}

/**
 * The hazard of a write that was promised or answered and is not there: a device's is the late
 * dirtying of H0-c (under P3 the skipped fsync's), a CPU's is never legal, but under P3.
 */
export function hazardOfLoss(plan: Plan, profile: string, writer: number): string | null {
  if (profile === 'linux-6.12+P3-skip') return 'P3';
  return writer >= plan.cpus ? 'H0-c' : null;
}

/** Did a read fail because a block is not what was checksummed? The file system reports that itself. */
export function isChecksumMessage(message: string): boolean {
  return message.startsWith('EIO') && message.includes('checksum 0x');
}
