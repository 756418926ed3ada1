// Power cuts at every point of mixed workloads of a volume, with requests in flight: each image that the
// rules allow (or each of a fair choice of them) recovers, fsck finds nothing, what a sync promised is
// there, and no file shows anything but its own bytes.

import test from 'ava';
import {
  type CrashCase,
  FORMATS,
  replayText,
  runOf,
  searchCase,
  textOf,
} from './power-cut/case.js';
import { explore, type Report } from './power-cut/explore.js';

const SEED = Number(process.env['PINFOLD_SEED'] ?? Date.now() % 1_000_000);

/** Failures, each with what replays it. */
function failuresOf(one: CrashCase, { failures }: Report): string[] {
  return failures.map(
    ({ point, state, problem, minimal }) =>
      `${problem}; ${minimal.words}; ${textOf(one, point, state)}`,
  );
}

for (const unitBytes of [4096, 512] as const) {
  for (const format of Object.keys(FORMATS)) {
    test(`every image of a short workload recovers (${format}, units of ${unitBytes} B)`, (t) => {
      for (const seed of [SEED, SEED + 1]) {
        const cap = unitBytes === 512 ? 256 : 1024;
        const one: CrashCase = {
          seed,
          operations: 40,
          format,
          unitBytes,
          cap,
          sample: 128,
          pairsUpTo: 32,
        };
        const report = searchCase(one);
        const { points, images, distinct, capped } = report;
        t.log(
          `seed ${seed} (PINFOLD_SEED): ${points} points, ${distinct} of ${images} images, ${capped} points capped`,
        );
        t.deepEqual(failuresOf(one, report), []);
        t.true(report.mounts > 1);
      }
    });
  }
}

test('planted: a disk whose flushes do nothing loses what was promised, and the image is found again', (t) => {
  const one: CrashCase = { seed: 3, operations: 40, format: 'plain', unitBytes: 4096, cap: 64 };
  const run = runOf(one);
  for (const [at, event] of run.trace.events.entries())
    if (event.kind === 'flushed') run.trace.events[at] = { ...event, ok: false };
  const options = {
    seed: 3,
    unitBytes: 4096,
    cap: 64,
    sample: 64,
    pairsUpTo: 0,
    failuresMax: 3,
  } as const;
  const { failures, failed } = explore(run, options);
  t.true(failed > 0);
  const [{ point, state, minimal }] = failures;
  t.true(minimal.lost > 0);
  t.regex(minimal.words, /^lost: write #\d+/);
  // The same image of the run as it was is not a legal one, and the text says so.
  t.throws(() => replayText(textOf(one, point, state)), { message: /state/ });
});
