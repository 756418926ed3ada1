// The matrix: searches that are shared lose nothing, and a run that was stopped goes on.

import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Profile } from '../../engine/profile/profile.js';
import { profileByName, profileNames } from '../../engine/profile/profiles.js';
import { replay } from '../../lab/explore.js';
import { type Hazard, LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { AskedRules, answersAlike } from '../../lab/matrix/asked.js';
import { type Cell, cellOf, type Searched, searchCell } from '../../lab/matrix/cell.js';
import { codeFrom, matrixDigest } from '../../lab/matrix/digest.js';
import { formatMatrixHtml } from '../../lab/matrix/html.js';
import { computeMatrix } from '../../lab/matrix/matrix.js';
import { fillMatrix } from '../../lab/matrix/run.js';
import { formatMatrix, type Matrix, parseMatrix, SearchLog } from '../../lab/matrix/stored.js';
import { formatMatrixText } from '../../lab/matrix/text.js';
import { counterHazard } from '../support/counter-hazards.js';

const HAZARDS: readonly Hazard[] = [
  counterHazard('H8-a', 'an-actor'),
  counterHazard('H8-b', 'its-program'),
  counterHazard('H9-a', 'whether-posed'),
];
const IDS = HAZARDS.map(({ id }) => id);
const PROFILES = profileNames().map(profileByName);
const BUDGET = 1000;

function hazardOf(id: string): Hazard {
  const hazard = HAZARDS.find((one) => one.id === id);
  if (hazard === undefined) throw new Error(`no hazard ${id}`);
  return hazard;
}

/** Searches in this thread; each takes a random while. */
async function search(id: string, profile: Profile): Promise<Searched> {
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
  return searchCell(hazardOf(id), profile, BUDGET);
}

async function fill(jobs: number, known: readonly Searched[] = []) {
  const searched: Searched[] = [];
  const cells = await fillMatrix({
    hazards: IDS,
    profiles: PROFILES,
    jobs,
    search,
    known,
    onSearched: (one) => searched.push(one),
  });
  return { cells, searched };
}

function matrixOf(cells: readonly Cell[]): Matrix {
  const profiles = PROFILES.map(({ name }) => name);
  return { digest: 'd', budget: BUDGET, hazards: IDS, profiles, cells };
}

function temporaryFolder(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'pinfold-matrix-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('shared cells are those that a search of their own comes to', async (t) => {
  const { cells, searched } = await fill(1);
  t.is(cells.length, IDS.length * PROFILES.length);
  t.true(searched.length < 20, `${searched.length} searches`);
  const own = IDS.flatMap((id) =>
    PROFILES.map((profile) => cellOf(searchCell(hazardOf(id), profile, BUDGET), profile.name)),
  );
  t.deepEqual(
    cells.map((cell) => ({ ...cell, sameAs: null })),
    own,
  );
  for (const verdict of ['safe', 'unsafe', 'not-applicable'] as const) {
    t.true(
      cells.some((cell) => cell.verdict === verdict && cell.sameAs !== null),
      verdict,
    );
  }
});

test('a schedule of a shared cell replays under its own profile', async (t) => {
  const { cells } = await fill(2);
  for (const { hazard, profile, schedule, failures } of cells) {
    if (schedule === null) continue;
    const rules = profileByName(profile);
    const program = hazardOf(hazard).program(rules, LAB_PAGE_BYTES);
    const kinds = replay(program, rules, schedule).findings.map(({ kind }) => kind);
    t.deepEqual(kinds, [...failures], `${hazard} under ${profile}`);
  }
});

test('the result does not depend on how many search, nor on who is first', async (t) => {
  const { cells } = await fill(1);
  t.deepEqual((await fill(3)).cells, cells);
  t.deepEqual((await fill(8)).cells, cells);
});

test('what an earlier run has searched is not searched again', async (t) => {
  const first = await fill(2);
  const again = await fill(2, first.searched);
  t.deepEqual(again.searched, []);
  t.deepEqual(again.cells, first.cells);
});

test('a search that breaks is named, and the others are made', async (t) => {
  const made: string[] = [];
  const filling = fillMatrix({
    hazards: IDS,
    profiles: PROFILES.slice(0, 3),
    jobs: 2,
    search: (id, profile) =>
      id === 'H8-b' ? Promise.reject(new Error('set-up ended')) : search(id, profile),
    onSearched: ({ hazard }) => made.push(hazard),
  });
  await t.throwsAsync(filling, { code: 'EIO', message: /H8-b under linux-2.6.19: set-up ended/ });
  t.deepEqual([...new Set(made)].sort(), ['H8-a', 'H9-a']);
});

test('a signal stops it', async (t) => {
  const controller = new AbortController();
  const filling = fillMatrix({
    hazards: IDS,
    profiles: PROFILES,
    jobs: 2,
    search,
    signal: controller.signal,
    onSearched: () => controller.abort(new Error('enough')),
  });
  await t.throwsAsync(filling, { message: 'enough' });
});

test('a profile notes what is read of it, also by a copy', (t) => {
  const linux = profileByName('linux-6.12');
  const rules = new AskedRules(linux);
  t.deepEqual(rules.asked(), {});
  t.is(rules.profile.pinnedSyncAll, 'proceed');
  t.deepEqual(rules.asked(), { pinnedSyncAll: 'proceed' });
  t.true(answersAlike(linux, rules.asked()));
  t.false(answersAlike({ ...linux, pinnedSyncAll: 'wait' }, rules.asked()));
  t.deepEqual({ ...rules.profile }, linux);
  t.is(Object.keys(rules.asked()).length, Object.keys(linux).length - 2);
});

test('threads come to the same as this one', async (t) => {
  const profiles = ['linux-5.2', 'linux-6.12+P3-skip'].map(profileByName);
  const { cells, digest } = await computeMatrix({
    hazards: ['H1-c'],
    profiles,
    jobs: 2,
    budget: 2000,
  });
  t.is(digest, matrixDigest());
  t.deepEqual(
    cells.map(({ verdict, executions, sameAs }) => ({ verdict, executions, sameAs })),
    [
      { verdict: 'unsafe', executions: 2000, sameAs: null },
      { verdict: 'not-found', executions: 2000, sameAs: null },
    ],
  );
});

test('the log of searches survives a kill, and is begun anew for other code', async (t) => {
  const path = join(temporaryFolder(t), 'log');
  const { searched } = await fill(2);
  const log = new SearchLog(path, 'digest', BUDGET);
  t.deepEqual(log.known, []);
  for (const one of searched) log.add(one);
  appendFileSync(path, '{"hazard":"H8-a","pro');
  t.deepEqual(new SearchLog(path, 'digest', BUDGET).known, searched);
  t.regex(readFileSync(path, 'utf8'), /\}\n$/);
  t.deepEqual(new SearchLog(path, 'digest', BUDGET + 1).known, []);
  t.deepEqual(new SearchLog(path, 'digest', BUDGET).known, []);
  writeFileSync(path, 'no log');
  t.deepEqual(new SearchLog(path, 'digest', BUDGET).known, []);
});

test('a stored matrix is read back as it was; anything else is refused by name', async (t) => {
  const matrix = matrixOf((await fill(2)).cells);
  t.deepEqual(parseMatrix(formatMatrix(matrix), 'x'), matrix);
  for (const text of ['', '{}', '[1]', formatMatrix(matrix).replace('"unsafe"', '"bad"')]) {
    t.throws(() => parseMatrix(text, 'x.json'), { code: 'EINVAL', message: /x\.json/ });
  }
});

test('the digest covers all that a search runs, and nothing else', (t) => {
  const entry = new URL('../../lab/matrix/worker.js', import.meta.url);
  const paths = codeFrom(entry).map(({ path }) => path);
  for (const path of [
    'engine/mm/writeback.js',
    'engine/mm/gup.js',
    'engine/sched/lab-driver.js',
    'engine/memory/word.js',
    'lab/explore.js',
    'lab/hazards/h1-c.js',
    'lab/matrix/cell.js',
  ]) {
    t.true(paths.includes(path), path);
  }
  t.false(paths.some((path) => /^(?:engine\/fs|clients|test|bench)\//.test(path)));
  t.false(codeFrom(entry).some(({ code }) => /^\s*\/\//m.test(code)));
  t.regex(matrixDigest(), /^[0-9a-f]{16}$/);
});

test('the table fits the terminal, and explains the symbols that it uses', async (t) => {
  const matrix = matrixOf((await fill(2)).cells);
  const wide = formatMatrixText(matrix, 120).split('\n');
  t.regex(wide[0], /^ +H8 {3}H9$/);
  t.regex(wide[1], /^PROFILE +a b {2}a$/);
  t.regex(wide.find((line) => line.startsWith('linux-6.12 ')) ?? '', / ✓ ✓ {2}L$/);
  const narrow = formatMatrixText(matrix, 45).split('\n');
  t.is(narrow.filter((line) => line.startsWith('linux-6.12 ')).length, 2);
  const legend = wide.slice(-4).join('\n');
  t.regex(legend, /✓ {2}safe.*\n.*·.*\n.*L {2}unsafe, lost-write/);
  t.notRegex(legend, /torn-write/);
});

test('each unsafe cell of the page leads to a run that it has', async (t) => {
  const html = formatMatrixHtml(matrixOf((await fill(2)).cells), HAZARDS, PROFILES);
  const targets = [...html.matchAll(/href="#([^"]+)"/g)].map((match) => match[1]);
  t.true(targets.length > PROFILES.length);
  for (const target of targets) t.true(html.includes(`id="${target}"`), target);
  t.regex(html, /schedule pf1\/H8-b\/linux-2\.6\.19/);
  t.regex(html, /BROKEN: lost-write/);
});
