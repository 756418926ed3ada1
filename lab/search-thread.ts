// A search in a thread of its own, so that the thread that asks for it goes on: it draws progress,
// and a signal ends the search at once.

import { Piscina } from 'piscina';
import { handedOver } from '../engine/memory/layout.js';
import type { Exploration } from './explore.js';
import type { SearchTask } from './search-worker.js';

export interface SearchRequest extends Omit<SearchTask, 'executions'> {
  readonly signal?: AbortSignal;
  readonly onProgress?: (executions: number) => void;
}

const LOOK_MS = 100;

/**
 * Searches the schedules of a hazard.
 * @throws the signal's reason, if it is aborted
 */
export async function exploreInThread(request: SearchRequest): Promise<Exploration> {
  const { hazard, profile, options, signal, onProgress } = request;
  const executions = new Int32Array(new SharedArrayBuffer(4));
  const task: SearchTask = { hazard, profile: { ...profile }, options, executions };
  const pool = new Piscina({
    filename: new URL('./search-worker.js', import.meta.url).href,
    maxThreads: 1,
  });
  const look = setInterval(() => onProgress?.(Atomics.load(executions, 0)), LOOK_MS);
  try {
    return handedOver<Exploration>(await pool.run(task, signal === undefined ? {} : { signal }));
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    clearInterval(look);
    await pool.destroy();
  }
}
