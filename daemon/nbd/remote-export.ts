// An export that another thread serves, as the disks' thread offers it to clients.

import type { OpenableExport } from './connection-host.js';
import type { RemoteData } from './remote-messages.js';

export class RemoteExport implements OpenableExport {
  readonly name: string;
  readonly description: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly epoch = 0;

  constructor({ name, description, sizeBytes, readOnly }: RemoteData) {
    this.name = name;
    this.description = description;
    this.sizeBytes = sizeBytes;
    this.readOnly = readOnly;
  }

  open(): null {
    return null;
  }
}
