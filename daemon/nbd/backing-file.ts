// The backing file of a disk, as the disks' thread has it open.

import { closeDescriptor, openFile } from '../../native/index.js';

/** A backing file as the thread has it open, for all connections. */
export class BackingFile {
  readonly fd: number;
  /** After a failed fdatasync what was written may be lost: no later one may say otherwise. */
  failed = false;

  /** Opens it again: errors of writeback are then reported here, whoever else has asked for them. */
  constructor(
    fd: number,
    readonly sizeBytes: number,
    readonly readOnly: boolean,
  ) {
    this.fd = openFile(`/proc/self/fd/${fd}`, { readOnly });
  }

  close(): void {
    closeDescriptor(this.fd);
  }
}
