// Hazards of a counter, small enough to be searched in a moment: for tests of the matrix.

import type { Machine } from '../../engine/machine.js';
import { add, load, store } from '../../engine/memory/word.js';
import type { Profile } from '../../engine/profile/profile.js';
import type { Op, Task } from '../../engine/sched/op.js';
import { lab, STEP } from '../../engine/sched/step.js';
import type { Hazard } from '../../lab/hazard.js';
import { h1c } from '../../lab/hazards/h1-c.js';

/** What decides whether the counter loses: asked by an actor, by program(), by notApplicable(). */
export type Decides = 'an-actor' | 'its-program' | 'whether-posed';

/** Two actors add 1 to a counter; it loses one unless the rules have them do it in one access. */
export function counterHazard(id: string, decides: Decides): Hazard {
  return {
    id,
    title: 'two add to a counter',
    source: 'a test',
    story: 'Two actors add 1 to a counter, each with a load and a store.',
    mayGoWrong: ['lost-write'],
    notApplicable: (profile) =>
      decides === 'whether-posed' && !profile.hasDax ? 'there is no DAX' : null,
    program: (profile) => {
      const isSafe = decides === 'its-program' && profile.daxTruncate === 'wait';
      const run = (_task: Task, m: Machine): Op<void> =>
        isSafe || (decides === 'an-actor' && isAtomic(m.profile)) ? addOnce(m) : addInTwo(m);
      return {
        ...h1c(),
        name: id,
        setUp: function* () {
          // Memory starts as zeroes.
        },
        actors: ['a', 'b'].map((name) => ({ name, run })),
        verify: (m) => {
          const message = `${m.state.extra[0]} of 2`;
          return m.state.extra[0] === 2
            ? []
            : [{ kind: 'lost-write', hazard: id, task: 'all', message }];
        },
      };
    },
  };
}

/** Asks a second rule only after the first. */
function isAtomic(profile: Profile): boolean {
  return profile.pinnedSyncAll === 'proceed' ? profile.longtermFilePin === 'refuse' : true;
}

function* addOnce(m: Machine): Op<void> {
  if (lab?.point()) yield STEP;
  add(m.state.extra, 0, 1);
}

function* addInTwo(m: Machine): Op<void> {
  if (lab?.point()) yield STEP;
  const value = load(m.state.extra, 0);
  if (lab?.point()) yield STEP;
  store(m.state.extra, 0, value + 1);
}
