// A campaign: at every crash point of mixed workloads of 200 operations on a volume, every image that a
// power cut may leave recovers, with everything that was synced; where a point has more images than the
// cap, those with at most two units lost, those with at most two kept, and a sample.
//
//   npm run campaign:volume-crash -- [--seed 1] [--seeds 3] [--ops 200] [--cap 4096] [--sample 1024]
//     [--pairs 512] [--formats plain,inline,all] [--units 4096,512] [--jobs 2] [--json]
//   npm run campaign:volume-crash -- --replay TEXT     one image again, as a failure told it

import { parseArgs } from 'node:util';
import { Piscina } from 'piscina';
import { type CrashCase, FORMATS, replayText, textOf } from '../fs/power-cut/case.js';
import type { CaseResult } from './volume-crash-worker.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '3' },
    ops: { type: 'string', default: '200' },
    cap: { type: 'string', default: '4096' },
    sample: { type: 'string', default: '1024' },
    pairs: { type: 'string', default: '512' },
    formats: { type: 'string', default: Object.keys(FORMATS).join() },
    units: { type: 'string', default: '4096,512' },
    jobs: { type: 'string', default: '2' },
    replay: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

function numberOf(name: 'seed' | 'seeds' | 'ops' | 'cap' | 'sample' | 'pairs' | 'jobs'): number {
  const number = Number(values[name]);
  if (Number.isSafeInteger(number) && number >= 0) return number;
  throw new RangeError(`--${name} ${values[name]}: give a whole number`);
}

function casesOf(): CrashCase[] {
  const cases: CrashCase[] = [];
  for (let i = 0; i < numberOf('seeds'); i++) {
    for (const format of values.formats.split(',')) {
      if (!(format in FORMATS))
        throw new RangeError(`--formats ${format}: known are ${Object.keys(FORMATS).join()}`);
      for (const unit of values.units.split(',')) {
        if (unit !== '512' && unit !== '4096')
          throw new RangeError(`--units ${unit}: known are 512 and 4096`);
        cases.push({
          seed: numberOf('seed') + i,
          operations: numberOf('ops'),
          format,
          unitBytes: unit === '512' ? 512 : 4096,
          cap: numberOf('cap'),
          sample: numberOf('sample'),
          pairsUpTo: numberOf('pairs'),
        });
      }
    }
  }
  return cases;
}

/** A case as JSON has it. */
function plain({ one, report, seconds }: CaseResult) {
  const failures = report.failures.map(({ point, state, problem, minimal }) => ({
    point,
    problem,
    lost: minimal.words,
    replay: textOf(one, point, state),
  }));
  const choices = report.choices.toString();
  return { ...one, ...report, choices, images: report.images.toString(), failures, seconds };
}

function tell(result: CaseResult): void {
  const { one, report, seconds } = result;
  const { points, capped, withoutPairs, looked, distinct, recovered, mounts, failed } = report;
  const images = report.images < 10n ** 9n ? report.images : report.images.toString().length;
  const how =
    capped === 0
      ? 'exhaustive'
      : `${capped} points capped${withoutPairs === 0 ? '' : `, ${withoutPairs} of them without pairs`}`;
  process.stdout.write(
    `seed ${one.seed} ${one.format} ${one.unitBytes} B: ${points} points, ` +
      `${typeof images === 'bigint' ? images : `1e${images - 1}`} images, ${looked} looked at, ` +
      `${distinct} distinct, ${recovered} recovered volumes, ${mounts} mounts; ${how}; ` +
      `${failed} failed; ${seconds.toFixed(1)} s\n`,
  );
  for (const failure of plain(result).failures)
    process.stdout.write(`  ${failure.problem}\n    ${failure.lost}\n    ${failure.replay}\n`);
}

async function campaign(): Promise<void> {
  const pool = new Piscina<CrashCase, CaseResult>({
    filename: new URL('./volume-crash-worker.js', import.meta.url).href,
    minThreads: 1,
    maxThreads: Math.max(1, numberOf('jobs')),
  });
  const results = await Promise.all(
    casesOf().map(async (one) => {
      const result = await pool.run(one);
      if (!values.json) tell(result);
      return result;
    }),
  );
  await pool.destroy();
  if (values.json) process.stdout.write(`${JSON.stringify(results.map(plain), null, 2)}\n`);
  if (results.some(({ report }) => report.failed > 0)) process.exitCode = 1;
}

if (values.replay === undefined) await campaign();
else {
  const problem = replayText(values.replay);
  process.stdout.write(`${problem ?? 'recovers as promised'}\n`);
  process.exitCode = problem === null ? 0 : 1;
}
