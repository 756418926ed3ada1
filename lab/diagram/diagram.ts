// A race diagram as data: the lines of one run, what broke and why. text.ts, svg.ts and html.ts draw
// it; `--json` prints it as it is.

import type { Finding } from '../../engine/finding.js';
import type { Profile } from '../../engine/profile/profile.js';
import type { Ending } from '../../engine/sched/lab-driver.js';
import type { Hazard } from '../hazard.js';
import type { Program } from '../program.js';
import { foldLines, type Line } from './lines.js';
import { record } from './record.js';
import { type Reason, reasonsFor } from './why.js';
import { World } from './world.js';

/** What broke, where in the diagram, and why. */
export interface Broken {
  readonly finding: Finding;
  /** The line that shows it; null if only the end state does. */
  readonly line: number | null;
  readonly why: readonly Reason[];
}

export interface Diagram {
  /** The program: a hazard's id. */
  readonly program: string;
  readonly title: string;
  readonly profile: string;
  /** Replays the run exactly. */
  readonly schedule: string;
  readonly ending: Ending;
  /** Steps of the run, of which the lines show those that matter. */
  readonly steps: number;
  readonly preemptions: number;
  readonly actors: readonly string[];
  readonly lines: readonly Line[];
  readonly broken: readonly Broken[];
}

/**
 * Runs a program once, and draws it.
 * @param schedule a run to replay; without it every actor goes on as long as it can
 * @throws Errno EINVAL if the schedule belongs to another program or does not fit
 */
export function diagram(
  program: Program,
  profile: Profile,
  schedule?: string,
  title = program.name,
): Diagram {
  const recording = record(program, profile, schedule);
  const world = new World(program, recording);
  const { lines, told } = foldLines(world, recording);
  return {
    program: program.name,
    title,
    profile: profile.name,
    schedule: recording.schedule,
    ending: recording.ending,
    steps: recording.steps,
    preemptions: recording.preemptions,
    actors: program.actors.map((actor) => actor.name),
    lines,
    broken: recording.findings.map((finding) => ({
      finding,
      line: lines.find((line) => line.finding === finding)?.number ?? null,
      why: reasonsFor({ world, recording, lines, told }, finding),
    })),
  };
}

/** The diagram of a hazard's run. @throws as diagram() */
export function diagramOf(
  hazard: Hazard,
  profile: Profile,
  pageBytes: number,
  schedule?: string,
): Diagram {
  return diagram(hazard.program(profile, pageBytes), profile, schedule, hazard.title);
}
