// Hazards as C programs: each one compiles without warnings, runs, and ends with one of its exit codes.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { exportable, exportC } from '../../lab/export/c.js';
import { UNMAPPED } from '../../lab/export/programs.js';
import { HAZARDS, hazardByName, hazardNames } from '../../lab/hazards/index.js';
import { requires } from '../support/requires.js';

const FLAGS = [
  '-std=gnu11',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wno-unused-function',
  '-O1',
  '-pthread',
];

/** A process that waits for itself, and one that gives its file away while others use it. */
const NOT_RUN = new Set(['H2-j']);

const folder = mkdtempSync(join(tmpdir(), 'pinfold-export-'));
test.after.always(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('each hazard has a program, or a reason why not', (t) => {
  const known = [...exportable(), ...Object.keys(UNMAPPED)];
  t.deepEqual(
    hazardNames().filter((name) => !known.includes(name)),
    [],
  );
  t.deepEqual(
    known.filter((name) => !hazardNames().includes(name)),
    [],
  );
});

for (const hazard of HAZARDS.filter(({ id }) => exportable().includes(id))) {
  test.serial(`${hazard.id} compiles, runs and ends`, (t) => {
    if (!requires(t, 'cc', 'gcc')) return;
    const source = join(folder, `${hazard.id}.c`);
    const program = join(folder, hazard.id);
    writeFileSync(source, exportC(hazard));
    execFileSync('cc', [...FLAGS, '-o', program, source]);
    t.is(spawnSync(program, []).status, 2, 'usage');
    if (NOT_RUN.has(hazard.id)) return;
    const run = spawnSync(program, [folder, '2', '7'], { encoding: 'utf8', timeout: 20_000 });
    t.log(run.stdout.trim(), run.stderr.trim());
    t.true(run.status === 0 || run.status === 1 || run.status === 3, `ended in ${run.status}`);
  });
}

test('a hazard whose actors are no system calls says why', (t) => {
  const hazard = { ...hazardByName('H1-c'), id: 'H2-e' };
  t.throws(() => exportC(hazard), { message: /EOPNOTSUPP: H2-e.*reclaim that waits/ });
});
