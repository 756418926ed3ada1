// pinfold lab list, show, run, explore and profile: what they print, and how they refuse.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { hazardNames } from '../../lab/hazards/index.js';
import { failsWith, pinfold, succeeds, temporaryFolder } from './run.js';

const FINDING = z.object({
  kind: z.string(),
  hazard: z.string(),
  task: z.string(),
  message: z.string(),
});

const DIAGRAM = z.strictObject({
  from: z.enum(['given', 'found', 'plain']),
  program: z.string(),
  title: z.string(),
  profile: z.string(),
  schedule: z.string(),
  ending: z.string(),
  steps: z.number(),
  preemptions: z.number(),
  actors: z.array(z.string()),
  lines: z.array(
    z.strictObject({
      number: z.number(),
      actor: z.number(),
      kind: z.enum(['step', 'sleep', 'finding', 'power-cut']),
      text: z.string(),
      function: z.string().nullable(),
      preempted: z.boolean(),
      pages: z.array(
        z.strictObject({
          pfn: z.number(),
          file: z.strictObject({ inode: z.number(), index: z.number() }).nullable(),
          free: z.boolean(),
          flags: z.array(z.string()),
          pins: z.number(),
          gets: z.number(),
          mapped: z.enum(['no', 'ro', 'rw']),
        }),
      ),
      locks: z.array(z.strictObject({ lock: z.string(), holders: z.array(z.string()) })),
      finding: FINDING.nullable(),
    }),
  ),
  broken: z.array(
    z.strictObject({
      finding: FINDING,
      line: z.number().nullable(),
      why: z.array(z.strictObject({ text: z.string(), lines: z.array(z.number()) })),
    }),
  ),
});

const EXPLORATION = z.strictObject({
  hazard: z.string(),
  strategy: z.string(),
  program: z.string(),
  profile: z.string(),
  verdict: z.enum(['safe', 'unsafe', 'not-found']),
  exhaustive: z.boolean(),
  preemptionBound: z.number().nullable(),
  executions: z.number(),
  states: z.number(),
  reduction: z.object({ traces: z.number(), blocked: z.number() }).nullable(),
  steps: z.number(),
  failures: z.array(
    z.strictObject({ finding: FINDING, schedule: z.string(), preemptions: z.number() }),
  ),
});

test('list names every hazard, show tells its story', async (t) => {
  const { hazards } = z
    .object({ hazards: z.array(z.object({ id: z.string(), title: z.string() })) })
    .parse(JSON.parse(await succeeds(t, 'lab', 'list', '--json')));
  t.deepEqual(
    hazards.map(({ id }) => id),
    hazardNames(),
  );
  t.regex(await succeeds(t, 'lab', 'list'), /H1-c +torn-write.* a short pin/);
  const story = await succeeds(t, 'lab', 'show', 'H1-c');
  t.regex(story, /O_DIRECT/);
  t.regex(story, /Actors: +flusher, direct I\/O, device\nMay go wrong: +torn-write\b/);
  const { hazard } = z
    .object({ hazard: z.object({ actors: z.array(z.string()), story: z.string() }) })
    .parse(JSON.parse(await succeeds(t, 'lab', 'show', 'H1-c', '--json')));
  t.deepEqual(hazard.actors, ['flusher', 'direct I/O', 'device']);
});

test('run finds a run that breaks, draws it, and its schedule replays it', async (t) => {
  const folder = temporaryFolder(t);
  const svg = join(folder, 'race.svg');
  const html = join(folder, 'race.html');
  const args = ['lab', 'run', 'H1-c', '--profile', 'linux-6.12'];
  const found = await pinfold(...args, '--svg', svg, '--html', html);
  t.is(found.exit, 1, found.stderr);
  t.regex(found.stdout, /\*\*\* torn-write/);
  t.regex(found.stderr, /first run that broke something/);
  t.true(readFileSync(svg, 'utf8').startsWith('<svg '));
  t.true(readFileSync(html, 'utf8').startsWith('<!DOCTYPE html>'));
  const made = DIAGRAM.parse(JSON.parse((await pinfold(...args, '--json')).stdout));
  t.is(made.from, 'found');
  const again = await pinfold('lab', 'run', 'H1-c', '--schedule', made.schedule, '--json');
  t.is(again.exit, 1);
  t.deepEqual(DIAGRAM.parse(JSON.parse(again.stdout)), { ...made, from: 'given' });
});

test('run says so where nothing broke', async (t) => {
  const { exit, stdout, stderr } = await pinfold('lab', 'run', 'H4-b', '--profile', 'linux-5.2');
  t.is(exit, 0, stderr);
  t.regex(stdout, /Nothing broke in this run/);
  t.regex(stderr, /No run was found that breaks anything: all schedules/);
});

test('explore tells the verdict and what it rests on', async (t) => {
  const args = ['lab', 'explore', 'H1-c', '--profile', 'linux-6.12'];
  const unsafe = await pinfold(...args, '--bound', '1');
  t.is(unsafe.exit, 1, unsafe.stderr);
  t.regex(unsafe.stdout, /H1-c under linux-6\.12: unsafe\nall schedules of up to 1 preemptions/);
  const schedule = /pf1\/\S+/.exec(unsafe.stdout)?.[0] ?? '';
  t.regex(unsafe.stdout, new RegExp(`pinfold lab run H1-c --schedule ${schedule}`));
  const draw = [...args, '--strategy', 'random', '--seed', '5', '--budget', '300', '--json'];
  const [one, two] = [await pinfold(...draw), await pinfold(...draw)];
  t.is(one.stdout, two.stdout);
  const drawn = EXPLORATION.parse(JSON.parse(one.stdout));
  t.is(drawn.executions, 300);
  t.false(drawn.exhaustive);
  const none = await pinfold(
    ...draw.slice(0, 4),
    'linux-6.12+P7-bounce',
    '--budget',
    '50',
    '--json',
  );
  t.is(none.exit, 0, none.stderr);
  t.is(EXPLORATION.parse(JSON.parse(none.stdout)).verdict, 'not-found');
});

test('profile diff says which rules differ, in words, and where each comes from', async (t) => {
  const text = await succeeds(t, 'lab', 'profile', 'diff', 'linux-5.17', 'linux-5.18');
  t.regex(text, /dirtyWithoutBuffers: writeback of a dirty page without buffers/);
  t.regex(text, /linux-5\.17 +bug: BUG/);
  t.regex(text, /from linux-5\.18:\n +warn, clear dirty, skip \(cc5095747edf/);
  const { rules } = z
    .object({
      rules: z.array(
        z.strictObject({
          rule: z.string(),
          question: z.string(),
          first: z.union([z.string(), z.boolean()]),
          second: z.union([z.string(), z.boolean()]),
          firstInWords: z.string(),
          secondInWords: z.string(),
          firstFrom: z.strictObject({ from: z.string(), sources: z.array(z.string()) }),
          secondFrom: z.strictObject({ from: z.string(), sources: z.array(z.string()) }),
        }),
      ),
    })
    .parse(
      JSON.parse(
        await succeeds(t, 'profile', 'diff', 'linux-6.12', 'linux-6.12+P7-bounce', '--json'),
      ),
    );
  t.true(
    rules.some(
      ({ rule, secondFrom }) => rule === 'pinnedSyncAll' && secondFrom.from === 'P7-bounce',
    ),
  );
  t.regex(await succeeds(t, 'profile', 'diff', 'linux-5.15', 'linux-5.17'), /alike/);
});

for (const [what, args, code, exit, says] of [
  [
    'hazard',
    ['run', 'H1-x', '--profile', 'linux-6.12'],
    'EUSAGE',
    2,
    /no hazard 'H1-x', did you mean H1-\w\?; allowed are H0-a/,
  ],
  [
    'profile',
    ['run', 'H1-c', '--profile', 'linux-6.13'],
    'EUSAGE',
    2,
    /no profile 'linux-6\.13', did you mean linux-6\.12\?/,
  ],
  [
    'proposal',
    ['run', 'H1-c', '--profile', 'linux-6.12+P99'],
    'EUSAGE',
    2,
    /no profile 'linux-6\.12\+P99'/,
  ],
  ['lack of a profile', ['run', 'H1-c'], 'EUSAGE', 2, /give --profile or --schedule/],
  [
    'strategy',
    ['explore', 'H1-c', '--profile', 'linux-6.12', '--strategy', 'luck'],
    'EUSAGE',
    2,
    /'luck' is invalid. Allowed choices are dfs, dpor, random, pct/,
  ],
  [
    'bound with random',
    ['explore', 'H1-c', '--profile', 'linux-6.12', '--strategy', 'random', '--bound', '2'],
    'EUSAGE',
    2,
    /--bound means nothing to --strategy random/,
  ],
  [
    'seed with dfs',
    ['explore', 'H1-c', '--profile', 'linux-6.12', '--seed', '2'],
    'EUSAGE',
    2,
    /--seed means nothing to --strategy dfs/,
  ],
  [
    'budget',
    ['explore', 'H1-c', '--profile', 'linux-6.12', '--budget', '0'],
    'EUSAGE',
    2,
    /'0' is invalid. Allowed are whole numbers from 1/,
  ],
  [
    'width',
    ['run', 'H1-c', '--profile', 'linux-6.12', '--width', '79'],
    'EUSAGE',
    2,
    /from 80 to 120/,
  ],
  [
    'format of a schedule',
    ['run', 'H1-c', '--schedule', 'pf9/H1-c/linux-6.12/a1'],
    'EINVAL',
    3,
    /format "pf9"; this version reads pf1: search again/,
  ],
  [
    'shape of a schedule',
    ['run', 'H1-c', '--schedule', 'abc'],
    'EINVAL',
    3,
    /"abc" is not of the form pf1\/PROGRAM\/PROFILE/,
  ],
  [
    'hazard of a schedule',
    ['run', 'H1-c', '--schedule', 'pf1/H0-a/linux-6.12/a1'],
    'EINVAL',
    3,
    /schedule of H0-a under linux-6\.12, not of H1-c/,
  ],
  [
    'profile of a schedule',
    ['run', 'H1-c', '--profile', 'linux-5.2', '--schedule', 'pf1/H1-c/linux-6.12/a1'],
    'EINVAL',
    3,
    /under linux-6\.12, not of H1-c under linux-5\.2/,
  ],
  [
    'schedule that does not fit',
    ['run', 'H1-c', '--schedule', 'pf1/H1-c/linux-6.12/h1'],
    'EINVAL',
    3,
    /does not fit H1-c: decision 0/,
  ],
  [
    'hazard that cannot be posed',
    ['run', 'H4-a', '--profile', 'linux-2.6.19'],
    'EINVAL',
    3,
    /H4-a can't be posed under linux-2\.6\.19: /,
  ],
] as const) {
  test(`a wrong ${what} is refused by name, with what to do`, async (t) => {
    failsWith(t, await pinfold('lab', ...args), exit, code, says);
  });
}
