// The entry of the piscina threads that fill the matrix: each task is the search of one cell.

import { handedOver } from '../../engine/memory/layout.js';
import type { Profile } from '../../engine/profile/profile.js';
import { hazardByName } from '../hazards/index.js';
import { type Searched, searchCell } from './cell.js';

/** What a task is. */
export interface CellTask {
  readonly hazard: string;
  readonly profile: Profile;
  readonly budget: number;
}

/** Searches one cell. */
export default function run(data: unknown): Searched {
  const { hazard, profile, budget } = handedOver<CellTask>(data);
  return searchCell(hazardByName(hazard), profile, budget);
}
