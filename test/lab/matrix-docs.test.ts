// The committed matrix is that of this code, and what it says can be seen again.

import { readFileSync } from 'node:fs';
import test from 'ava';
import { profileByName, profileNames } from '../../engine/profile/profiles.js';
import { replay } from '../../lab/explore.js';
import { LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { HAZARDS, hazardByName, hazardNames } from '../../lab/hazards/index.js';
import { CELL_BUDGET } from '../../lab/matrix/cell.js';
import { matrixDigest } from '../../lab/matrix/digest.js';
import { formatMatrixMarkdown } from '../../lab/matrix/markdown.js';
import { parseMatrix } from '../../lab/matrix/stored.js';

const DOCS = new URL('../../../docs/', import.meta.url);
const file = new URL('matrix.json', DOCS).pathname;
const matrix = parseMatrix(readFileSync(file, 'utf8'), file);

test('the committed matrix is of this engine, these hazards and these profiles', (t) => {
  t.is(matrix.digest, matrixDigest(), 'out of date: npm run matrix');
  t.is(matrix.budget, CELL_BUDGET);
  t.deepEqual(matrix.hazards, hazardNames());
  t.deepEqual(matrix.profiles, profileNames());
  t.deepEqual(
    matrix.cells.map(({ hazard, profile }) => `${hazard} ${profile}`),
    matrix.hazards.flatMap((hazard) => matrix.profiles.map((profile) => `${hazard} ${profile}`)),
  );
});

test('the page says what the data say', (t) => {
  const page = readFileSync(new URL('matrix.md', DOCS), 'utf8');
  t.is(page, formatMatrixMarkdown(matrix, HAZARDS), 'out of date: npm run matrix');
});

test('each stored schedule shows what its cell says, and nothing else', (t) => {
  for (const { hazard, profile, verdict, schedule, failures } of matrix.cells) {
    t.is(verdict === 'unsafe', schedule !== null);
    if (schedule === null) continue;
    const rules = profileByName(profile);
    const program = hazardByName(hazard).program(rules, LAB_PAGE_BYTES);
    const { findings } = replay(program, rules, schedule);
    const unknown = findings.filter(({ kind }) => !failures.includes(kind));
    t.true(findings.length > 0, schedule);
    t.deepEqual(unknown, [], schedule);
  }
});
