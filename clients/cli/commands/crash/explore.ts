// pinfold crash explore: runs a checker on every image that a power cut may leave of a recorded disk.

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { POINT_KINDS } from '../../../../engine/block/recording/points.js';
import type { Recording } from '../../../../engine/block/recording/reader.js';
import { Checker } from '../../crash/checker.js';
import { Exploration, type ExploreProgress } from '../../crash/explore.js';
import { type ExploreReport, formatReport } from '../../crash/report.js';
import { StateFile } from '../../crash/state-file.js';
import { makeCommand, optionsOf } from '../../frame/command.js';
import { CliError } from '../../frame/errors.js';
import { EXIT } from '../../frame/exit-codes.js';
import { type Interrupt, interruptible } from '../../frame/interrupt.js';
import { print, printJson, tell } from '../../frame/output.js';
import { startProgress } from '../../frame/progress.js';
import { integer, seconds } from '../../frame/values.js';
import { withRecord, withRecording } from './record-option.js';

const LIMIT_MAX = 100_000_000;
const SAMPLE_MAX = 1_000_000;
const JOBS_MAX = 256;
const SEED_MAX = 2 ** 31 - 1;
const TIMEOUT_SECONDS = 60;

const SHAPE = {
  record: z.string(),
  check: z.string(),
  points: z.enum(POINT_KINDS),
  limit: z.number(),
  sample: z.number(),
  seed: z.number(),
  budget: z.number().optional(),
  jobs: z.number(),
  timeout: z.number(),
  first: z.boolean().default(false),
  fresh: z.boolean().default(false),
};
type Options = z.infer<z.ZodObject<typeof SHAPE>>;

export function exploreCommand(): Command {
  const command = describe();
  return command.action(async () => {
    const { json, ...options } = optionsOf(command, SHAPE);
    const checker = new Checker(options.check, options.timeout * 1000);
    await interruptible(async (interrupt) => {
      const report = await withRecording(options.record, (recording) =>
        explore(recording, checker, options, interrupt, json),
      );
      if (json) printJson(report);
      else print(formatReport(report));
      const reason: unknown = interrupt.signal.reason;
      // The report has said that it was stopped.
      if (reason instanceof CliError) process.exitCode = reason.exit;
      else if (report.failures.length > 0) process.exitCode = EXIT.findings;
    });
  });
}

function describe(): Command {
  return withRecord(
    makeCommand('explore', 'check every image that a power cut may leave of a recorded disk', [
      [
        "pinfold crash explore --record run.rec --check 'fsck.ext4 -fn {image}'",
        'a checker that takes a file; exit code 0 is a pass',
      ],
      [
        "pinfold crash explore --record run.rec --check './check.py {image} {replies}' --points reply",
        'also after each reply, with what the client had been told by then, as JSON',
      ],
      [
        "pinfold crash explore --record run.rec --check 'nbdcopy {nbd} - | ./parse' --jobs 4",
        'a checker that takes an NBD URI, four at a time',
      ],
      [
        "pinfold crash explore --record run.rec --check './check {image}' --json",
        'points, legalImages, distinct, checked, failures[], exhaustive, caps[], checksPerSecond',
      ],
    ]),
  )
    .requiredOption(
      '--check <command>',
      'run for each image; {image} becomes a file name, {nbd} an NBD URI, {replies} a JSON file',
    )
    .addOption(
      new Option('--points <kind>', 'around flushes, also after each reply and mark, or everywhere')
        .choices(POINT_KINDS)
        .default('flush'),
    )
    .option(
      '--limit <n>',
      'points with more legal images: so many, fewest units lost or kept first',
      integer(1, LIMIT_MAX),
      4096,
    )
    .option('--sample <n>', 'of these, how many are drawn', integer(0, SAMPLE_MAX), 256)
    .option('--seed <n>', 'what they are drawn from', integer(0, SEED_MAX), 1)
    .option('--budget <n>', 'checks after which the search stops', integer(1, LIMIT_MAX))
    .option('--jobs <n>', 'checks at a time', integer(1, JOBS_MAX), availableParallelism())
    .option('--timeout <s>', 'for one check', seconds(0.1, 86_400), TIMEOUT_SECONDS)
    .option('--first', 'stop at the first failure')
    .option('--fresh', 'begin from the start, also if an earlier run was stopped')
    .addHelpText(
      'after',
      '\nExit code 0: all checked images passed, 1: some did not. A run that is stopped goes on\n' +
        'where it was when it is started again; FILE.explore beside the recording keeps it.',
    );
}

async function explore(
  recording: Recording,
  checker: Checker,
  options: Options,
  interrupt: Interrupt,
  json: boolean,
): Promise<ExploreReport> {
  const { points, limit, sample, seed, budget, first, jobs } = options;
  const path = `${resolve(options.record)}.explore`;
  const { lengthBytes, header } = recording;
  const subject = { lengthBytes, ...header, check: options.check, points, limit, sample, seed };
  if (options.fresh) rmSync(path, { force: true });
  const { file, done } = StateFile.open(path, subject);
  if (done.checked.length > 0 && !json)
    tell(`going on where an earlier run was stopped: ${done.checked.length} images were checked`);
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-crash-'));
  const progress = startProgress('crash points', json);
  try {
    const exploration = new Exploration({
      recording,
      checker,
      points,
      limits: { exhaustUpTo: limit, sample, seed },
      limit,
      budget: budget ?? null,
      first,
      jobs,
      folder,
      stateFile: file,
      done,
      breathe: async () => {
        await interrupt.breathe();
      },
      onProgress: (now) => {
        progress.update(now.pointsDone, now.points, noteOf(now));
      },
    });
    return await exploration.run(interrupt.signal);
  } finally {
    progress.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function noteOf({ checked, failures, checksPerSecond }: ExploreProgress): string {
  const count = checked.toLocaleString('en-US');
  return `${count} images checked (${Math.round(checksPerSecond)}/s), ${failures} fail`;
}
