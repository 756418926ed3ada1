// The entry of the thread of search-thread.ts: each task is one search.

import { handedOver } from '../engine/memory/layout.js';
import { type Exploration, explore } from './explore.js';
import { LAB_PAGE_BYTES } from './hazard.js';
import { hazardByName } from './hazards/index.js';
import type { SearchTask } from './search-thread.js';

/** Makes one search. */
export default function run(data: unknown): Exploration {
  const { hazard, profile, options, executions } = handedOver<SearchTask>(data);
  const program = hazardByName(hazard).program(profile, LAB_PAGE_BYTES);
  return explore(program, profile, {
    ...options,
    onProgress: (count) => {
      Atomics.store(executions, 0, count);
    },
  });
}
