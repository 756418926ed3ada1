// pinfold lab run: one run of a hazard as a race diagram.

import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { z } from 'zod';
import type { Profile } from '../../../../engine/profile/profile.js';
import { type Diagram, diagramOf } from '../../../../lab/diagram/diagram.js';
import { formatHtml } from '../../../../lab/diagram/html.js';
import { formatSvg } from '../../../../lab/diagram/svg.js';
import { formatText } from '../../../../lab/diagram/text.js';
import { type Hazard, LAB_PAGE_BYTES } from '../../../../lab/hazard.js';
import { parseSchedule } from '../../../../lab/search/schedule.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { usageError } from '../../frame/errors.js';
import { EXIT } from '../../frame/exit-codes.js';
import { interruptible } from '../../frame/interrupt.js';
import { print, printJson, tell } from '../../frame/output.js';
import { integer } from '../../frame/values.js';
import {
  chooseHazard,
  chooseProfile,
  hazardArgument,
  outputWidth,
  profileOption,
  readProfiles,
  withProfileFiles,
} from './choose.js';
import { requireApplicable, triedText, watchSearch } from './search.js';

/** Executions in which `run` looks for a schedule that breaks something. */
const LOOK_BUDGET = 100_000;
const WIDTHS = [80, 120] as const;

const SHAPE = {
  profile: z.string().optional(),
  profileFile: z.array(z.string()),
  schedule: z.string().optional(),
  svg: z.string().optional(),
  html: z.string().optional(),
  width: z.number().optional(),
};

/** A schedule and where it is from. */
interface Picked {
  readonly schedule: string | undefined;
  readonly from: 'given' | 'found' | 'plain';
  /** What to say about it; empty if it was given. */
  readonly note: string;
}

export function runCommand(): Command {
  const command = makeCommand('run', 'show one run of a hazard as a race diagram', [
    ['pinfold lab run H1-c --profile linux-6.12', 'the first run that breaks something'],
    ['pinfold lab run H1-c --schedule pf1/H1-c/linux-6.12/b8a25c5a5', 'replay this run exactly'],
    ['pinfold lab run H1-c --profile linux-6.12 --html race.html', 'also as a page of its own'],
    [
      'pinfold lab run H1-c --profile linux-6.12 --json',
      'lines[] with actor, text, pages[]; broken[] with finding, line, why[]',
    ],
  ])
    .addArgument(hazardArgument())
    .addOption(profileOption())
    .option('--schedule <text>', 'the run to replay, as explore prints it (default: look for one)')
    .option('--svg <file>', 'write the diagram there, as a picture')
    .option('--html <file>', 'write it as a page')
    .option(
      '--width <columns>',
      `of the text, ${WIDTHS[0]} to ${WIDTHS[1]} (default: the terminal's)`,
      integer(...WIDTHS),
    )
    .addHelpText('after', '\nExit code 0: nothing broke in this run, 1: something did.');
  return withProfileFiles(command).action(async (name: string) => {
    const { json, ...options } = optionsOf(command, SHAPE);
    const hazard = chooseHazard(name);
    const own = readProfiles(options.profileFile);
    const profile = chooseProfile(profileName(options.profile, options.schedule), own);
    requireApplicable(hazard, profile);
    await interruptible(async ({ signal }) => {
      const picked = await pick(hazard, profile, options.schedule, json, signal);
      const diagram = diagramOf(hazard, profile, LAB_PAGE_BYTES, picked.schedule);
      if (options.svg !== undefined) writeFileSync(options.svg, formatSvg(diagram));
      if (options.html !== undefined) writeFileSync(options.html, formatHtml(diagram, hazard));
      if (json) printJson({ from: picked.from, ...diagram });
      else show(diagram, picked, options.width ?? outputWidth());
      if (diagram.broken.length > 0) process.exitCode = EXIT.findings;
    });
  });
}

function show(diagram: Diagram, { note }: Picked, width: number): void {
  print(formatText(diagram, width));
  if (note !== '') tell(`\n${note}`);
}

/** A schedule names its profile. @throws CliError EUSAGE, Errno EINVAL */
function profileName(given: string | undefined, schedule: string | undefined): string {
  if (given !== undefined) return given;
  if (schedule !== undefined) return parseSchedule(schedule).profile;
  throw usageError("give --profile or --schedule; see 'pinfold lab run --help'");
}

/** The schedule that was given, else the first one that is found to break something. */
async function pick(
  hazard: Hazard,
  profile: Profile,
  given: string | undefined,
  json: boolean,
  signal: AbortSignal,
): Promise<Picked> {
  if (given !== undefined) return { schedule: given, from: 'given', note: '' };
  const options = { stopAtFirst: true, budget: LOOK_BUDGET };
  const result = await watchSearch(hazard, profile, options, json, signal);
  const found = result.failures.at(0);
  if (found !== undefined) {
    return {
      schedule: found.schedule,
      from: 'found',
      note: `This is the first run that broke something, of ${result.executions.toLocaleString('en-US')} that were tried.`,
    };
  }
  return {
    schedule: undefined,
    from: 'plain',
    note: `No run was found that breaks anything: ${triedText(result)}. This one goes on with each actor as long as it can.`,
  };
}
