// pinfold lab explore: searches the schedules of one hazard under one set of rules.

import { type Command, Option } from 'commander';
import { z } from 'zod';
import { type Exploration, STRATEGIES } from '../../../../lab/explore.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { usageError } from '../../frame/errors.js';
import { EXIT } from '../../frame/exit-codes.js';
import { interruptible } from '../../frame/interrupt.js';
import { formatTable, print, printJson } from '../../frame/output.js';
import { integer } from '../../frame/values.js';
import {
  chooseHazard,
  chooseProfile,
  hazardArgument,
  profileOption,
  readProfiles,
  withProfileFiles,
} from './choose.js';
import { requireApplicable, triedText, watchSearch } from './search.js';

const BUDGET_MAX = 1_000_000_000;
const BOUND_MAX = 200;
const SEED_MAX = 2 ** 31 - 1;

const SHAPE = {
  profile: z.string(),
  profileFile: z.array(z.string()),
  strategy: z.enum(STRATEGIES),
  bound: z.number().optional(),
  budget: z.number().optional(),
  seed: z.number().optional(),
  depth: z.number().optional(),
  first: z.boolean().default(false),
};

type Options = z.infer<z.ZodObject<typeof SHAPE>>;

export function exploreCommand(): Command {
  const command = makeCommand('explore', 'search the schedules of a hazard under a profile', [
    ['pinfold lab explore H1-c --profile linux-6.12', 'all schedules: which of them break it?'],
    ['pinfold lab explore H1-c --profile best-known --bound 2', 'those of up to 2 preemptions'],
    [
      'pinfold lab explore H1-c --profile linux-6.12 --strategy pct --seed 7 --budget 5000',
      'draw 5,000 schedules; the same seed draws the same',
    ],
    [
      'pinfold lab explore H1-c --profile linux-6.12 --json',
      'verdict, exhaustive, preemptionBound, executions, failures[]',
    ],
  ])
    .addArgument(hazardArgument())
    .addOption(profileOption().makeOptionMandatory())
    .addOption(
      new Option('--strategy <name>', 'how schedules are picked')
        .choices(STRATEGIES)
        .default('dfs'),
    )
    .option(
      '--bound <n>',
      'dfs: only schedules of up to so many preemptions',
      integer(0, BOUND_MAX),
    )
    .option('--budget <n>', 'executions after which the search stops', integer(1, BUDGET_MAX))
    .option('--seed <n>', 'random, pct: what the draws begin with', integer(0, SEED_MAX))
    .option('--depth <n>', 'pct: orderings of steps that a failure may take', integer(1, 20))
    .option('--first', 'stop at the first failure')
    .addHelpText('after', '\nExit code 0: nothing broke (see verdict), 1: something did.');
  return withProfileFiles(command).action(async (name: string) => {
    const { json, ...options } = optionsOf(command, SHAPE);
    const hazard = chooseHazard(name);
    const profile = chooseProfile(options.profile, readProfiles(options.profileFile));
    requireApplicable(hazard, profile);
    requireFitting(options);
    await interruptible(async ({ signal }) => {
      const result = await watchSearch(hazard, profile, searchOptions(options), json, signal);
      if (json) printJson({ hazard: hazard.id, strategy: options.strategy, ...result });
      else print(formatExploration(result));
      if (result.verdict === 'unsafe') process.exitCode = EXIT.findings;
    });
  });
}

/** Options that the strategy does not look at are mistakes. */
function requireFitting({ strategy, bound, seed, depth }: Options): void {
  const isDrawn = strategy === 'random' || strategy === 'pct';
  const misfit =
    bound !== undefined && strategy !== 'dfs'
      ? '--bound'
      : seed !== undefined && !isDrawn
        ? '--seed'
        : depth !== undefined && strategy !== 'pct'
          ? '--depth'
          : null;
  if (misfit === null) return;
  throw usageError(
    `${misfit} means nothing to --strategy ${strategy}; see 'pinfold lab explore --help'`,
  );
}

function searchOptions({ strategy, bound, budget, seed, depth, first }: Options) {
  return {
    strategy,
    stopAtFirst: first,
    ...(bound === undefined ? {} : { bounds: Array.from({ length: bound + 1 }, (_, i) => i) }),
    ...(budget === undefined ? {} : { budget }),
    ...(seed === undefined ? {} : { seed }),
    ...(depth === undefined ? {} : { depth }),
  };
}

function formatExploration(result: Exploration): string {
  const { program, profile, verdict, failures } = result;
  const head = `${program} under ${profile}: ${verdict}`;
  const tried = triedText(result);
  if (failures.length === 0) return `${head}\n${tried}.`;
  const rows = failures.map(({ finding, preemptions, schedule }) => [
    finding.kind,
    String(preemptions),
    schedule,
    finding.message,
  ]);
  return [
    head,
    `${tried}; what broke, fewest preemptions first:`,
    '',
    formatTable(['KIND', 'PREEMPTIONS', 'SCHEDULE', 'WHAT'], rows),
    '',
    `See it: pinfold lab run ${program} --schedule ${failures[0].schedule}`,
  ].join('\n');
}
