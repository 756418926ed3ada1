// pinfold bench: figures beside their limits, measured in the same run.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Argument, type Command } from 'commander';
import { z } from 'zod';
import {
  type BenchResult,
  drawCurves,
  formatCosts,
  listBenches,
  RUNS_DEFAULT,
  RUNS_MAX,
  RUNS_MIN,
  runBenches,
  SECONDS_DEFAULT,
  SECONDS_MAX,
  SECONDS_MIN,
} from '../../../bench/index.js';
import { makeCommand, optionsOf } from '../frame/command.js';
import { usageError } from '../frame/errors.js';
import { formatTable, print, printJson } from '../frame/output.js';
import { startSpinner } from '../frame/progress.js';
import { integer, seconds as secondsOf } from '../frame/values.js';

/** The bench that has curves. */
const CURVES = 'writeback-vs-pin';

const SHAPE = {
  runs: z.number(),
  list: z.boolean().default(false),
  figures: z.string().optional(),
  cells: z.string().default(''),
  seconds: z.number(),
};

export function benchCommand(): Command {
  const names = listBenches().map((bench) => bench.name);
  const command = makeCommand(
    'bench',
    'measure how fast the machine is, each figure beside its limit',
    [
      ['pinfold bench', `all of them: ${names.join(', ')}`],
      ['pinfold bench pin dma', 'only these two'],
      [
        'pinfold bench pin --runs 9 --json',
        'benches[] with name, value, unit, against, ratio, runs[]',
      ],
      [
        'pinfold bench nbd --cells randread,128KiB --seconds 2',
        'only some cells, and longer runs of each',
      ],
      ['pinfold bench --list', 'what each one measures'],
    ],
  )
    .addArgument(new Argument('[name...]', 'which benches; all if none is named').choices(names))
    .option(
      '--runs <n>',
      `runs of each bench, ${RUNS_MIN} to ${RUNS_MAX}`,
      integer(RUNS_MIN, RUNS_MAX),
      RUNS_DEFAULT,
    )
    .option('--list', 'name the benches instead of running them')
    .option(
      '--figures <folder>',
      'write what writeback-vs-pin found there: its curves and its data',
    )
    .option('--cells <words>', 'only the cells of nbd that have all of these in their names')
    .option(
      '--seconds <s>',
      `length of one run of nbd, ${SECONDS_MIN} to ${SECONDS_MAX}`,
      secondsOf(SECONDS_MIN, SECONDS_MAX),
      SECONDS_DEFAULT,
    );
  return command.action(async (chosen: string[]) => {
    const { json, runs, list, figures, cells, seconds } = optionsOf(command, SHAPE);
    if (list) {
      printList(json);
      return;
    }
    if (figures !== undefined && chosen.length > 0 && !chosen.includes(CURVES)) {
      throw usageError(`--figures needs the bench ${CURVES}`);
    }
    const spinner = startSpinner(json);
    try {
      const results = await runBenches(chosen, {
        runs,
        cells: cells.split(',').filter((word) => word !== ''),
        seconds,
        onProgress: (what) => spinner.say(what),
      });
      spinner.stop();
      printResults(results, json);
      if (figures !== undefined) writeFigures(figures, results);
    } finally {
      spinner.stop();
    }
  });
}

function writeFigures(folder: string, results: readonly BenchResult[]): void {
  const of = results.filter(({ name }) => name.startsWith(`${CURVES}@`));
  writeFileSync(join(folder, `${CURVES}.svg`), drawCurves(of));
  writeFileSync(join(folder, `${CURVES}.json`), formatCosts(of));
}

function printList(json: boolean): void {
  const benches = listBenches().map(({ name, title }) => ({ name, title }));
  if (json) printJson({ benches });
  else
    print(
      formatTable(
        ['BENCH', 'MEASURES'],
        benches.map((b) => [b.name, b.title]),
      ),
    );
}

function printResults(results: readonly BenchResult[], json: boolean): void {
  if (json) {
    printJson({
      benches: results.map(
        ({ name, value, unit, against, ratio, runs, reach, reached, details }) => ({
          name,
          value,
          unit,
          against: against === null ? null : { ...against },
          ratio,
          runs: runs.map((run) => ({ ...run })),
          reach,
          reached,
          details: { ...details },
        }),
      ),
    });
    return;
  }
  const rows = results.map((result) => [
    result.name,
    `${figure(result.value)} ${result.unit}`,
    spread(result),
    result.against === null
      ? '-'
      : `${figure(result.against.value)} ${result.unit} (${result.against.what})`,
    result.ratio === null ? '-' : result.ratio.toFixed(2),
    result.reach ?? '-',
    result.reached === null ? '-' : result.reached ? 'yes' : 'no',
  ]);
  print(formatTable(['BENCH', 'MEDIAN', 'SPREAD', 'AGAINST', 'RATIO', 'REACH', 'REACHED'], rows));
}

function spread({ runs }: BenchResult): string {
  const values = runs.map((run) => run.value);
  return values.length === 0
    ? '-'
    : `${figure(Math.min(...values))}..${figure(Math.max(...values))}`;
}

function figure(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString('en-US')
    : String(Number(value.toPrecision(3)));
}
