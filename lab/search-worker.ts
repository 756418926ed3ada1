// The entry of the thread of search-thread.ts: each task is one search.

import { handedOver } from '../engine/memory/layout.js';
import type { Profile } from '../engine/profile/profile.js';
import { type Exploration, type ExploreOptions, explore } from './explore.js';
import { LAB_PAGE_BYTES } from './hazard.js';
import { hazardByName } from './hazards/index.js';

/** What a search in a thread is told; it knows hazards by name. */
export interface SearchTask {
  readonly hazard: string;
  readonly profile: Profile;
  readonly options: Omit<ExploreOptions, 'onProgress'>;
  /** One word: the executions so far. */
  readonly executions: Int32Array;
}

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
