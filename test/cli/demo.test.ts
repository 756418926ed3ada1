// The demo and the stress, as a user starts them.

import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { failsWith, pinfold, start, succeeds, temporaryFolder } from './run.js';

const report = z.object({
  profile: z.string(),
  seed: z.number(),
  cpus: z.number(),
  devices: z.number(),
  seconds: z.number(),
  operations: z.record(z.string(), z.number()),
  pagesPinned: z.number(),
  pagesWrittenBack: z.number(),
  findings: z.array(z.object({ hazard: z.string().nullable(), count: z.number() })),
  verifiedCells: z.number(),
  ok: z.boolean(),
  unexpected: z.array(z.unknown()),
});

test.serial('the stress reports with stable fields, and is clean under best-known', async (t) => {
  const flags = ['--profile', 'best-known', '--seconds', '1', '--seed', '5', '--json'];
  const done = report.parse(JSON.parse(await succeeds(t, 'stress', ...flags)));
  t.is(done.seed, 5);
  t.true(done.verifiedCells > 0);
  t.deepEqual(done.unexpected, []);
});

test.serial('wrong options of the stress are named with their range', async (t) => {
  failsWith(t, await pinfold('stress', '--cpus', '0'), 2, 'EUSAGE', /--cpus.*'0'.*from 1 to/);
  failsWith(t, await pinfold('stress', '--seconds', 'x'), 2, 'EUSAGE', /--seconds.*'x'.*to 86400/);
  const profile = await pinfold('stress', '--profile', 'linux-9');
  failsWith(t, profile, 2, 'EUSAGE', /--profile.*'linux-9'.*best-known/);
});

test.serial('the demo cleans up after SIGINT', async (t) => {
  const folder = join(temporaryFolder(t), 'tmp');
  mkdirSync(folder);
  const demo = start({ TMPDIR: folder }, 'demo', '--seconds', '60');
  await demo.shows('every order');
  t.deepEqual(
    readdirSync(folder).map((name) => name.replace(/-.{6}$/, '')),
    ['pinfold-demo'],
  );
  demo.child.kill('SIGINT');
  const { exit, stderr } = await demo.ended;
  t.is(exit, 130, stderr);
  t.deepEqual(readdirSync(folder), []);
});
