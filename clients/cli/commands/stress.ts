// pinfold stress: CPUs and devices race on one volume, and an oracle says what went wrong.

import { type Command, Option } from 'commander';
import { z } from 'zod';
import { stressProfiles } from '../../stress/expectations.js';
import {
  formatReport,
  runStress,
  type StressOptions,
  type StressProgress,
  type StressReport,
} from '../../stress/index.js';
import { CPUS_MAX, DEVICES_MAX, SECONDS_MAX, SEED_MAX } from '../../stress/limits.js';
import { makeCommand, optionsOf } from '../frame/command.js';
import { EXIT } from '../frame/exit-codes.js';
import { interruptible } from '../frame/interrupt.js';
import { print, printJson } from '../frame/output.js';
import { startProgress } from '../frame/progress.js';
import { integer, seconds } from '../frame/values.js';

const SHAPE = {
  profile: z.string(),
  cpus: z.number(),
  devices: z.number(),
  seconds: z.number(),
  seed: z.number().optional(),
  backing: z.string().optional(),
  socket: z.string().optional(),
};

export function stressCommand(): Command {
  const command = makeCommand(
    'stress',
    'race CPUs and devices on a volume, and say what went wrong',
    [
      ['pinfold stress', 'ten seconds under best-known, which has to be clean'],
      ['pinfold stress --profile linux-6.12 --seconds 5', 'shows H1-c: torn writes'],
      ['pinfold stress --profile linux-5.2 --seed 7 --json', 'the report with stable fields'],
      [
        'pinfold stress --backing /mnt/disk.img --cpus 2 --devices 2',
        'on a file of your own: what it holds is lost',
      ],
    ],
  )
    .addOption(
      new Option('--profile <name>', 'rules in force')
        .choices(stressProfiles())
        .default('best-known'),
    )
    .option('--cpus <n>', `worker threads that are CPUs, 1 to ${CPUS_MAX}`, integer(1, CPUS_MAX), 2)
    .option(
      '--devices <n>',
      `worker threads that are DMA devices, 0 to ${DEVICES_MAX}`,
      integer(0, DEVICES_MAX),
      2,
    )
    .option('--seconds <s>', `how long, up to ${SECONDS_MAX}`, seconds(0.1, SECONDS_MAX), 10)
    .option('--seed <n>', 'of all random choices (default: a new one)', integer(0, SEED_MAX))
    .option(
      '--backing <file>',
      'file for the volume; what it holds is lost (default: a temporary one)',
    )
    .option('--socket <path>', 'on a volume of the daemon there, with fewer operations')
    .addHelpText(
      'after',
      '\nExit code 0: nothing but what the profile may show, 1: anything else.',
    );
  return command.action(async () => {
    const { json, profile, cpus, devices, seed, backing, socket, ...rest } = optionsOf(
      command,
      SHAPE,
    );
    await interruptible(async ({ signal }) => {
      const report = await watchStress('stress', json, {
        profile,
        cpus,
        devices,
        seconds: rest.seconds,
        seed: seed ?? newSeed(),
        signal,
        ...(backing === undefined ? {} : { backing }),
        ...(socket === undefined ? {} : { socket }),
      });
      if (json) printJson(report);
      else print(formatReport(report));
      signal.throwIfAborted();
      if (!report.ok) process.exitCode = EXIT.findings;
    });
  });
}

/** A seed for a run that was given none; the report tells it. */
export function newSeed(): number {
  return Math.floor(Math.random() * 2 ** 31);
}

/** Runs the stress with a bar on a terminal. */
export async function watchStress(
  label: string,
  json: boolean,
  options: StressOptions,
): Promise<StressReport> {
  const progress = startProgress(label, json);
  try {
    return await runStress(options, (now) => {
      progress.update(Math.min(now.elapsedSeconds, now.seconds), now.seconds, noteOf(now));
    });
  } finally {
    progress.stop();
  }
}

function noteOf({ phase, epoch, operations, findings }: StressProgress): string {
  const count = operations.toLocaleString('en-US');
  return `${phase}, epoch ${epoch}: ${count} operations, ${findings} findings`;
}
