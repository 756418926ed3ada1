// Filling a matrix of shipped hazards with all cores.

import type { Profile } from '../../engine/profile/profile.js';
import { CELL_BUDGET } from './cell.js';
import { matrixDigest } from './digest.js';
import { SearchPool } from './pool.js';
import { fillMatrix } from './run.js';
import { type Matrix, SearchLog } from './stored.js';

export interface MatrixRequest {
  /** Names of shipped hazards. */
  readonly hazards: readonly string[];
  readonly profiles: readonly Profile[];
  /** Searches at one time, each in a thread of its own. */
  readonly jobs: number;
  /** Executions after which a search stops; CELL_BUDGET by default. */
  readonly budget?: number;
  /** A file that keeps what is done, so that a run that was stopped goes on. */
  readonly log?: string;
  readonly onProgress?: (done: number, total: number, note: string) => void;
  /** Stops it. */
  readonly signal?: AbortSignal;
}

/** @throws the signal's reason, or Errno EIO that lists the searches that broke */
export async function computeMatrix(request: MatrixRequest): Promise<Matrix> {
  const { hazards, profiles, jobs, budget = CELL_BUDGET, onProgress, signal } = request;
  const digest = matrixDigest();
  const log = request.log === undefined ? null : new SearchLog(request.log, digest, budget);
  const pool = new SearchPool(jobs, budget, signal);
  try {
    const cells = await fillMatrix({
      hazards,
      profiles,
      jobs,
      search: pool.search,
      known: log?.known ?? [],
      onSearched: (searched) => log?.add(searched),
      ...(onProgress === undefined ? {} : { onProgress }),
      ...(signal === undefined ? {} : { signal }),
    });
    return { digest, budget, hazards, profiles: profiles.map(({ name }) => name), cells };
  } finally {
    await pool.close();
  }
}
