// Claims of proposals, and comparisons, judged by a matrix that is made up.

import test from 'ava';
import { CLAIM_OUTCOMES, judgeClaims } from '../../lab/claims.js';
import { compare, contender, profilesOf } from '../../lab/compare.js';
import type { Cell } from '../../lab/matrix/cell.js';
import { formatMatrixMarkdown } from '../../lab/matrix/markdown.js';
import type { Matrix } from '../../lab/matrix/stored.js';
import { counterHazard } from '../support/counter-hazards.js';

const SAFE: Omit<Cell, 'hazard' | 'profile'> = {
  verdict: 'safe',
  failures: [],
  schedule: null,
  exhaustive: true,
  preemptionBound: 1,
  executions: 10,
  preemptions: null,
  why: null,
  sameAs: null,
};

/** Cells by hazard and profile: s(afe), u(nsafe), n(ot found), - (not applicable). */
function matrixOf(rows: Readonly<Record<string, Readonly<Record<string, string>>>>): Matrix {
  const hazards = Object.keys(rows);
  const profiles = [...new Set(hazards.flatMap((hazard) => Object.keys(rows[hazard])))];
  const cells = hazards.flatMap((hazard) =>
    Object.entries(rows[hazard]).map(([profile, mark]) => cell(hazard, profile, mark)),
  );
  return { digest: 'd', budget: 10, hazards, profiles, cells };
}

function cell(hazard: string, profile: string, mark: string): Cell {
  const place = { hazard, profile };
  switch (mark) {
    case 'u':
      return {
        ...SAFE,
        ...place,
        verdict: 'unsafe',
        failures: ['hang'],
        schedule: `pf1/${hazard}/${profile}/a1`,
        preemptions: 0,
      };
    case 'n':
      return { ...SAFE, ...place, verdict: 'not-found', exhaustive: false };
    case '-':
      return { ...SAFE, ...place, verdict: 'not-applicable', why: 'no such call' };
    default:
      return { ...SAFE, ...place };
  }
}

const BASE = 'linux-6.12';
// Claims H2-a and H2-b; denies H2-d, H2-e and H2-f.
const P13 = 'linux-6.12+P13-evict-under-locks';

function outcomeOf(hazard: string, before: string, after: string): string | undefined {
  const claims = judgeClaims(matrixOf({ [hazard]: { [BASE]: before, [P13]: after } }));
  return claims.at(0)?.outcome;
}

test('a claim is confirmed, refuted, moot or undecided', (t) => {
  t.is(outcomeOf('H2-a', 'u', 's'), 'confirmed');
  t.is(outcomeOf('H2-a', 'u', 'u'), 'refuted');
  t.is(outcomeOf('H2-a', 's', 'u'), 'refuted');
  t.is(outcomeOf('H2-a', 's', 's'), 'moot');
  t.is(outcomeOf('H2-a', '-', 's'), 'moot');
  t.is(outcomeOf('H2-a', 'u', '-'), 'not-posed');
  t.is(outcomeOf('H2-a', 'u', 'n'), 'undecided');
  t.is(outcomeOf('H2-a', 'n', 's'), 'undecided');
});

test('what was said not to be fixed is agreed, or better than that', (t) => {
  t.is(outcomeOf('H2-d', 'u', 'u'), 'agreed');
  t.is(outcomeOf('H2-d', 's', 'u'), 'agreed');
  t.is(outcomeOf('H2-d', 'u', 's'), 'better');
  t.is(outcomeOf('H2-d', 's', 's'), 'moot');
});

test('side effects are told, and only those', (t) => {
  t.is(outcomeOf('H4-a', 's', 'u'), 'brings');
  t.is(outcomeOf('H4-a', '-', 'u'), 'brings');
  t.is(outcomeOf('H4-a', 'u', 's'), 'fixes-too');
  t.is(outcomeOf('H4-a', 'u', 'u'), undefined);
  t.is(outcomeOf('H4-a', 's', 's'), undefined);
  t.is(outcomeOf('H4-a', 'n', 'u'), undefined);
});

test('a claim comes with the schedule that shows it', (t) => {
  const [refuted] = judgeClaims(matrixOf({ 'H2-a': { [BASE]: 'u', [P13]: 'u' } }));
  t.is(refuted.schedule, `pf1/H2-a/${P13}/a1`);
  const [confirmed] = judgeClaims(matrixOf({ 'H2-a': { [BASE]: 'u', [P13]: 's' } }));
  t.is(confirmed.schedule, `pf1/H2-a/${BASE}/a1`);
});

test('a claim that is moot on the newest kernel is judged on the older one', (t) => {
  const matrix = matrixOf({
    'H0-a': {
      [BASE]: 's',
      [`${BASE}+P3-skip`]: 's',
      'linux-5.17': 'u',
      'linux-5.17+P3-skip': 's',
    },
  });
  const claims = judgeClaims(matrix).map(({ proposal, base, outcome }) => ({
    proposal,
    base,
    outcome,
  }));
  t.deepEqual(claims, [{ proposal: 'P3-skip', base: 'linux-5.17', outcome: 'confirmed' }]);
});

test('the page has the refuted claims first, each with its schedule', (t) => {
  const matrix = matrixOf({
    'H2-a': { [BASE]: 'u', [P13]: 's' },
    'H2-b': { [BASE]: 'u', [P13]: 'u' },
    'H2-d': { [BASE]: 's', [P13]: 's' },
  });
  const page = formatMatrixMarkdown(
    matrix,
    matrix.hazards.map((id) => counterHazard(id, 'an-actor')),
  );
  t.true(page.indexOf('### Refuted') < page.indexOf('### Confirmed'));
  const rows = page.split('\n').map((line) => line.replaceAll(/ +/g, ' '));
  t.true(
    rows.includes(
      `| P13-evict-under-locks | H2-b | ${BASE} | hang | hang | \`pf1/H2-b/${P13}/a1\` |`,
    ),
  );
  t.true(rows.includes(`| P13-evict-under-locks | H2-d | denied | moot: ${CLAIM_OUTCOMES.moot} |`));
  t.true(rows.includes('| H2-a | H | two add to a counter |'));
});

test('two proposals are compared on their bases and with each other', (t) => {
  const a = contender('P13-evict-under-locks');
  const b = contender('linux-6.12+P14-break-final');
  t.deepEqual(
    profilesOf([a, b]).map(({ name }) => name),
    [BASE, P13, 'linux-6.12+P14-break-final'],
  );
  const row = (base: string, first: string, second: string) => ({
    [BASE]: base,
    [a.profile.name]: first,
    [b.profile.name]: second,
  });
  const matrix = matrixOf({
    'H2-a': row('u', 's', 's'),
    'H2-d': row('s', 'u', 's'),
    'H2-e': row('u', 'u', 'n'),
  });
  const cost = { profile: P13, unpinned: 1000, cells: [] };
  const { sides, between } = compare(matrix, a, b, [cost]);
  const ids = (differences: readonly { readonly hazard: string }[]): string[] =>
    differences.map(({ hazard }) => hazard);
  t.deepEqual(ids(sides[0].fixes), ['H2-a']);
  t.deepEqual(ids(sides[0].breaks), ['H2-d']);
  t.deepEqual(ids(sides[0].leaves), ['H2-e']);
  t.deepEqual(ids(sides[1].fixes), ['H2-a']);
  t.deepEqual(ids(sides[1].breaks), []);
  t.deepEqual(ids(between), ['H2-d', 'H2-e']);
  t.deepEqual([sides[0].cost, sides[1].cost], [cost, null]);
});

test('a kernel is compared with the one before it, and best-known with its base', (t) => {
  t.is(contender('linux-6.15').base?.name, 'linux-6.12');
  t.is(contender('linux-2.6.19').base, null);
  t.is(contender('best-known').base?.name, 'linux-6.12');
  t.is(contender('linux-5.2+P3-skip').base?.name, 'linux-5.2');
  t.throws(() => contender('P7-bouce'), { code: 'EINVAL', message: /did you mean P7-bounce\?/ });
});
