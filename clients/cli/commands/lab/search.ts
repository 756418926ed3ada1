// Searching in a thread with progress on a terminal, for the commands that search one hazard.

import type { Profile } from '../../../../engine/profile/profile.js';
import type { Exploration } from '../../../../lab/explore.js';
import type { Hazard } from '../../../../lab/hazard.js';
import { exploreInThread } from '../../../../lab/search-thread.js';
import type { SearchTask } from '../../../../lab/search-worker.js';
import { CliError } from '../../frame/errors.js';
import { startSpinner } from '../../frame/progress.js';

/** Refuses a hazard that the rules don't know. @throws CliError EINVAL that says why */
export function requireApplicable(hazard: Hazard, profile: Profile): void {
  const why = hazard.notApplicable?.(profile) ?? null;
  if (why === null) return;
  throw new CliError('EINVAL', `${hazard.id} can't be posed under ${profile.name}: ${why}`);
}

/** Searches; Ctrl-C ends it. */
export async function watchSearch(
  hazard: Hazard,
  profile: Profile,
  options: SearchTask['options'],
  json: boolean,
  signal: AbortSignal,
): Promise<Exploration> {
  const spinner = startSpinner(json);
  try {
    return await exploreInThread({
      hazard: hazard.id,
      profile,
      options,
      signal,
      onProgress: (executions) => {
        spinner.say(
          `${hazard.id} under ${profile.name}: ${executions.toLocaleString('en-US')} executions`,
        );
      },
    });
  } finally {
    spinner.stop();
  }
}

/** What a verdict rests on. */
export function triedText(exploration: Exploration): string {
  const { exhaustive, preemptionBound, executions, states, reduction } = exploration;
  const runs = `${executions.toLocaleString('en-US')} executions`;
  if (exhaustive) {
    const what =
      reduction === null
        ? `${states.toLocaleString('en-US')} states`
        : `${reduction.traces.toLocaleString('en-US')} traces`;
    return `all schedules there are were tried (${runs}, ${what})`;
  }
  if (preemptionBound === null) return `${runs} were tried, which proves nothing by itself`;
  return `all schedules of up to ${preemptionBound} preemptions were tried (${runs})`;
}
