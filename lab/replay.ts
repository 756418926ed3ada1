// Running the one schedule that a string names.

import type { Profile } from '../engine/profile/profile.js';
import { Errno } from '../engine/sched/errors.js';
import type { Program } from './program.js';
import { Rig, type RunResult } from './rig.js';
import { parseSchedule } from './search/schedule.js';
import { Script } from './search/script.js';

/**
 * Runs the one schedule that `text` names.
 * @throws Errno EINVAL if it belongs to another program or does not fit this one
 */
export function replay(program: Program, profile: Profile, text: string): RunResult {
  return replayRig(program, profile, text).run();
}

/** A rig that runs the one schedule that `text` names. @throws as replay() */
export function replayRig(program: Program, profile: Profile, text: string): Rig {
  const schedule = parseSchedule(text);
  if (schedule.program !== program.name || schedule.profile !== profile.name) {
    throw new Errno(
      'EINVAL',
      `schedule of ${schedule.program} under ${schedule.profile}, not of ${program.name} ` +
        `under ${profile.name}: replay it with what it names`,
    );
  }
  const script = new Script(schedule.choices);
  const rig = new Rig(program, profile, script, null);
  rig.afterRun = () => {
    if (script.misfit < 0) return;
    throw new Errno(
      'EINVAL',
      `schedule does not fit ${program.name}: decision ${String(script.misfit)} names an actor that can't run there`,
    );
  };
  return rig;
}
