// Which hazards and profiles a command of the lab is about: by name, or from a file of the user's.

import { availableParallelism } from 'node:os';
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import type { Profile } from '../../../../engine/profile/profile.js';
import { profileByName, profileNames } from '../../../../engine/profile/profiles.js';
import type { Hazard } from '../../../../lab/hazard.js';
import { hazardByName, hazardNames } from '../../../../lab/hazards/index.js';
import { CELL_BUDGET } from '../../../../lab/matrix/cell.js';
import { nearest } from '../../../../lab/nearest.js';
import { readProfileFile } from '../../../../lab/profile-file.js';
import { usageError } from '../../frame/errors.js';
import { integer } from '../../frame/values.js';

const JOBS_MAX = 64;
const BUDGET_MAX = 1_000_000_000;

/** Adds `--profile-file`, which may be given again and again. */
export function withProfileFiles(command: Command): Command {
  return command.option(
    '--profile-file <file>',
    'rules of your own: YAML or JSON with name, base and rules',
    (file: string, files: readonly string[]) => [...files, file],
    [],
  );
}

/** Adds `--hazards`, `--budget` and `--jobs`. */
export function withSearchOptions(command: Command): Command {
  return command
    .option('--hazards <names>', 'which, with commas between them (default: all)', names)
    .option(
      '--budget <n>',
      'executions after which the search of a cell stops',
      integer(1, BUDGET_MAX),
      CELL_BUDGET,
    )
    .option(
      '--jobs <n>',
      `searches at one time, 1 to ${JOBS_MAX} (default: one per core)`,
      integer(1, JOBS_MAX),
      Math.min(availableParallelism(), JOBS_MAX),
    );
}

/** The shape of those. */
export const SEARCH_SHAPE = {
  hazards: z.array(z.string()).default([]),
  budget: z.number(),
  jobs: z.number(),
};

/** `<hazard>`, which completion knows; a wrong one is told by chooseHazard(). */
export function hazardArgument(): Argument {
  const argument = new Argument('<hazard>', 'a name from: pinfold lab list');
  argument.argChoices = hazardNames();
  return argument;
}

/** `--profile`, likewise: there are more than are listed. */
export function profileOption(): Option {
  const option = new Option('--profile <name>', 'rules in force, also with +PROPOSAL behind them');
  option.argChoices = profileNames();
  return option;
}

/** The profiles in files of the user. @throws Errno EINVAL */
export function readProfiles(files: readonly string[]): Profile[] {
  return files.map((file) => readProfileFile(file).profile);
}

/** Columns for texts that are wrapped: those of the terminal, or what mails have. */
export function outputWidth(): number {
  return process.stdout.isTTY ? process.stdout.columns : 100;
}

/** Names with commas between them. */
export function names(text: string): string[] {
  const all = text.split(',').map((name) => name.trim());
  if (all.includes('')) throw new InvalidArgumentError('Give names with commas between them.');
  return [...new Set(all)];
}

/** The hazard of that name. @throws CliError EUSAGE that names the one that was meant, and what there is */
export function chooseHazard(name: string): Hazard {
  return hazardByName(chooseHazards([name])[0]);
}

/** The hazards of these names; all if there are none. @throws CliError EUSAGE */
export function chooseHazards(wanted: readonly string[]): string[] {
  const all = hazardNames();
  for (const name of wanted) if (!all.includes(name)) throw unknown('hazard', name, all);
  return wanted.length === 0 ? all : wanted.map((name) => hazardByName(name).id);
}

/** Shipped profiles by name, and those in files; all shipped ones if neither is given. */
export function chooseProfiles(wanted: readonly string[], files: readonly string[]): Profile[] {
  const own = readProfiles(files);
  const named = wanted.map((name) => chooseProfile(name, own));
  if (wanted.length === 0 && own.length === 0) return profileNames().map(profileByName);
  return [...new Map([...named, ...own].map((profile) => [profile.name, profile])).values()];
}

/**
 * The profile of that name: one of the user's, a shipped one, or proposals on a kernel.
 * @throws CliError EUSAGE that names the one that was meant, and what there is
 */
export function chooseProfile(name: string, own: readonly Profile[]): Profile {
  const mine = own.find((profile) => profile.name === name);
  if (mine !== undefined) return mine;
  try {
    return profileByName(name);
  } catch {
    throw unknown('profile', name, [...own.map((profile) => profile.name), ...profileNames()]);
  }
}

function unknown(what: string, name: string, all: readonly string[]): Error {
  const meant = nearest(name, all);
  const hint = meant === null ? '' : `, did you mean ${meant}?`;
  return usageError(`no ${what} '${name}'${hint}; allowed are ${all.join(', ')}`);
}
