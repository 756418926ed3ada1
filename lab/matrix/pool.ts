// Searches in threads: as many at a time as there are cores to use.

import { Piscina } from 'piscina';
import { handedOver } from '../../engine/memory/layout.js';
import type { Searched } from './cell.js';
import type { Search } from './run.js';
import type { CellTask } from './worker.js';

/** Threads that search cells of the shipped hazards. */
export class SearchPool {
  private readonly pool: Piscina;

  constructor(
    jobs: number,
    private readonly budget: number,
    private readonly signal?: AbortSignal,
  ) {
    this.pool = new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      minThreads: 1,
      maxThreads: jobs,
    });
  }

  readonly search: Search = async (hazard, profile) => {
    const task: CellTask = { hazard, profile: { ...profile }, budget: this.budget };
    const { signal } = this;
    return handedOver<Searched>(await this.pool.run(task, signal === undefined ? {} : { signal }));
  };

  /** Ends the threads, whatever they do. */
  async close(): Promise<void> {
    await this.pool.destroy();
  }
}
