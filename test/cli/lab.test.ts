// pinfold lab matrix and compare, and profiles of users, as their users meet them.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { z } from 'zod';
import { parseMatrix } from '../../lab/matrix/stored.js';
import { failsWith, pinfold, start, succeeds, temporaryFolder } from './run.js';

const FEW = ['--hazards', 'H1-c', '--budget', '2000'];

const CELL = z.strictObject({
  hazard: z.string(),
  profile: z.string(),
  verdict: z.string(),
  failures: z.array(z.string()),
  schedule: z.string().nullable(),
  exhaustive: z.boolean(),
  preemptionBound: z.number().nullable(),
  executions: z.number(),
  preemptions: z.number().nullable(),
  why: z.string().nullable(),
  sameAs: z.string().nullable(),
});
const MATRIX = z.strictObject({
  digest: z.string(),
  budget: z.number(),
  hazards: z.array(z.string()),
  profiles: z.array(z.string()),
  cells: z.array(CELL),
});

test.serial('the matrix is a table for people and an object for programs', async (t) => {
  const asked = ['lab', 'matrix', ...FEW, '--profiles', 'linux-6.12,linux-6.12+P7-bounce'];
  const text = await succeeds(t, ...asked);
  t.regex(text, /^ +H1\nPROFILE +c\nlinux-6\.12 +T\n.*P7-bounce +\?\n/);
  t.regex(text, / {2}T {2}unsafe, torn-write: /);
  const { cells, ...head } = MATRIX.parse(JSON.parse(await succeeds(t, ...asked, '--json')));
  t.deepEqual(head.hazards, ['H1-c']);
  t.deepEqual(head.profiles, ['linux-6.12', 'linux-6.12+P7-bounce']);
  t.deepEqual(cells.at(0)?.failures, ['torn-write']);
  t.regex(cells.at(0)?.schedule ?? '', /^pf1\/H1-c\/linux-6\.12\//);
});

test.serial('rules of a file stand beside the shipped ones, and are compared', async (t) => {
  const file = join(temporaryFolder(t), 'mine.yaml');
  writeFileSync(file, 'name: mine\nbase: linux-6.12\nrules:\n  directIoReference: get\n');
  const own = ['--profile-file', file];
  const text = await succeeds(t, 'lab', 'matrix', ...FEW, '--profiles', 'linux-5.2', ...own);
  t.regex(text, /\nlinux-5\.2 +T\nmine +T\n/);
  t.regex(
    await succeeds(t, 'profile', 'diff', 'linux-6.12', 'mine', ...own),
    /^directIoReference: how .*\n +linux-6\.12 +pin: by pins\n[\s\S]*\n +mine +get: by plain references\n +from mine\n$/,
  );
  t.regex(
    await succeeds(t, 'profile', 'diff', 'linux-6.4', 'mine', ...own),
    /longtermFilePin: [\s\S]*mine +refuse: are refused \(EFAULT\)\n +from linux-6\.5:/,
  );
  t.regex(await succeeds(t, 'lab', 'profile', 'show', 'mine', ...own), /^mine\nlinux-6\.12 with/);
  const wrong = join(temporaryFolder(t), 'wrong.yaml');
  writeFileSync(wrong, 'name: x\nbase: linux-6.12\nrules:\n  directIoReference: pins\n');
  const result = await pinfold('lab', 'matrix', '--profile-file', wrong);
  failsWith(
    t,
    result,
    3,
    'EINVAL',
    /directIoReference has no answer "pins" \(did you mean pin\?\)/,
  );
});

test.serial('SIGINT keeps what is done, and the same command goes on from there', async (t) => {
  const out = join(temporaryFolder(t), 'matrix.json');
  const html = `${out}.html`;
  const asked = ['lab', 'matrix', '--hazards', 'H1-c', '--jobs', '1', '--out', out, '--html', html];
  const few = [...asked, '--profiles', 'linux-5.2,linux-6.12,best-known', '--budget', '100000'];
  const first = start({}, ...few);
  const log = `${out}.searches`;
  const lines = (): number =>
    existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n').length : 0;
  while (lines() < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  first.child.kill('SIGINT');
  const stopped = await first.ended;
  t.is(stopped.exit, 130, stopped.stderr);
  t.regex(stopped.stderr, /goes on from there\.\npinfold: EINTR: stopped by SIGINT\n$/);
  t.false(existsSync(out));
  const kept = readFileSync(log, 'utf8').trimEnd().split('\n').slice(1);
  // What is kept is taken as it is, so that a mark in it comes through.
  const marked = readFileSync(log, 'utf8').replaceAll(/"executions":\d+/g, '"executions":7');
  writeFileSync(log, marked);
  await succeeds(t, ...few);
  const matrix = parseMatrix(readFileSync(out, 'utf8'), out);
  t.is(matrix.cells.filter((cell) => cell.executions === 7).length >= kept.length, true);
  t.is(matrix.cells.length, 3);
  t.false(existsSync(log));
  t.regex(readFileSync(html, 'utf8'), /^<!doctype html>/);
});

test.serial('two proposals are compared in words and as an object', async (t) => {
  const asked = ['lab', 'compare', 'P7-bounce', 'P7-bounce-early', '--hazards', 'H1-c'];
  const text = await succeeds(t, ...asked, '--budget', '60000');
  t.regex(text, /linux-6\.12\+P7-bounce, beside linux-6\.12\n {2}fixes:\n/);
  t.regex(text, /H1-c +torn-write -> safe/);
  t.regex(text, /Where they differ.*:\n(?:.*\n)* +H1-c +safe -> torn-write/);
  t.regex(text, /What they cost: /);
});

test('a hazard, profile or proposal that is not there is named, with what was meant', async (t) => {
  const cases = [
    [['matrix', '--hazards', 'H1-x'], /no hazard 'H1-x', did you mean H1-/],
    [['matrix', '--profiles', 'linux-6.13'], /no profile 'linux-6\.13', did you mean linux-6\.1/],
    [['matrix', '--profiles', 'linux-6.12+P7'], /no profile 'linux-6\.12\+P7'/],
    [['matrix', '--profiles', 'a,,b'], /names with commas/],
    [['matrix', '--jobs', '0'], /--jobs.*from 1 to 64/],
    [['matrix', '--budget', '0'], /--budget.*from 1 to/],
    [
      ['compare', 'P3-skip', 'P7-bounze'],
      /no profile or proposal "P7-bounze"; did you mean P7-bounce\?/,
    ],
  ] as const;
  for (const [words, says] of cases) {
    failsWith(t, await pinfold('lab', ...words), 2, 'EUSAGE', says);
  }
});
