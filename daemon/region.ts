// A region: memory that clients map themselves, byte for byte the same as the daemon's.

import { createMemory, type Memory } from '../native/index.js';

export class Region {
  readonly memory: Memory;

  constructor(
    readonly name: string,
    readonly sizeBytes: number,
  ) {
    this.memory = createMemory(sizeBytes, { name: `pinfold-region-${name}` });
  }

  /** Clients that have mapped it keep their mapping. */
  close(): void {
    this.memory.close();
  }
}
