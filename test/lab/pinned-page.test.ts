// The hazards about cleaning a page that a pin dirties later, under the rules for which kernel.md
// says what happens.

import test from 'ava';
import { profileByName } from '../../engine/profile/profiles.js';
import { check } from '../../lab/checker.js';
import { explore, replay } from '../../lab/explore.js';
import { LAB_PAGE_BYTES } from '../../lab/hazard.js';
import { h0a } from '../../lab/hazards/h0-a.js';
import { hazardByName } from '../../lab/hazards/index.js';

/** Hazard, rules, and the kinds of finding; none: every schedule of up to three preemptions is safe. */
const OUTCOMES: readonly (readonly [string, string, readonly string[]])[] = [
  ['H0-a', 'linux-2.6.30', ['bug', 'warn']],
  ['H0-a', 'linux-5.2', ['bug', 'warn']],
  ['H0-a', 'linux-5.17', ['bug', 'warn']],
  ['H0-a', 'linux-5.17+P5-warn', ['lost-write', 'warn']],
  ['H0-a', 'linux-5.18', ['lost-write', 'warn']],
  // Reclaim leaves pinned pages alone from 6.4 on, but direct I/O pins only from 6.5 on.
  ['H0-a', 'linux-6.4', ['lost-write', 'warn']],
  ['H0-a', 'linux-6.5', []],
  ['H0-a', 'linux-5.2+P3-skip', []],
  ['H0-a', 'linux-5.2+W1-block-mkclean', []],
  ['H0-a', 'linux-5.2+W2-skip-and-bounce', []],
  ['H0-a', 'best-known', []],
  ['H0-b', 'linux-5.2', ['bug', 'lost-write', 'warn']],
  ['H0-b', 'linux-5.18', ['lost-write', 'warn']],
  ['H0-b', 'linux-6.12', ['lost-write']],
  ['H0-b', 'best-known', []],
  ['H0-c', 'linux-5.2', ['lost-write']],
  ['H0-c', 'linux-6.4', ['lost-write']],
  ['H0-c', 'linux-5.2+P1-mkwrite', ['lost-write']],
  ['H0-c', 'linux-5.2+P3-skip', ['lost-write']],
  ['H0-c', 'linux-6.12', []],
  ['H0-c', 'linux-5.2+P7-bounce', []],
  ['H0-c', 'linux-5.2+W2-skip-and-bounce', []],
  ['H0-c', 'linux-6.12+P9-odp', []],
  ['H0-c', 'linux-6.12+W3-copy-on-fsync', []],
  ['H0-c', 'best-known', []],
  ['H0-c', 'linux-5.2+W1-block-mkclean', ['hang']],
  ['H1-a', 'linux-5.2', ['bug', 'warn']],
  ['H1-a', 'linux-5.18', ['lost-write', 'warn']],
  ['H1-a', 'linux-6.4', []],
  ['H1-a', 'best-known', []],
  ['H1-b', 'linux-5.2', ['torn-write']],
  ['H1-b', 'linux-6.12', ['torn-write']],
  ['H1-b', 'linux-7.0', ['torn-write']],
  ['H1-b', 'linux-6.12+P3-skip', []],
  ['H1-b', 'linux-6.12+P7-bounce', []],
  ['H1-b', 'linux-5.2+P7-bounce', []],
  ['H1-b', 'linux-6.12+W2-skip-and-bounce', []],
  ['H1-b', 'linux-5.2+W1-block-mkclean', []],
  ['H1-b', 'linux-6.12+P9-odp', []],
  ['H1-b', 'linux-6.12+W3-copy-on-fsync', []],
  ['H1-b', 'best-known', []],
  ['H1-f', 'linux-5.2', ['lost-write']],
  ['H1-f', 'linux-6.4', ['lost-write']],
  ['H1-f', 'linux-5.2+P3-skip', ['lost-write']],
  ['H1-f', 'linux-5.2+W1-block-mkclean', []],
  ['H1-f', 'linux-6.12', []],
  ['H1-f', 'linux-6.12+P9-odp', []],
  ['H1-f', 'linux-6.12+P21-layout-lease', ['lost-write']],
  ['H1-f', 'linux-6.12+W3-copy-on-fsync', []],
  ['H1-f', 'best-known', []],
  ['leaked-dirty-accounting', 'linux-5.18', ['leak', 'warn']],
  ['leaked-dirty-accounting', 'linux-6.12', []],
  ['leaked-dirty-accounting', 'best-known', []],
  ['false-pin', 'linux-6.12', []],
  ['false-pin', 'linux-6.12+P3-skip', ['lost-write']],
  ['false-pin', 'linux-6.12+P7-bounce', []],
  ['false-pin', 'linux-6.12+W1-block-mkclean', []],
  ['false-pin', 'best-known', []],
];

for (const [id, name, kinds] of OUTCOMES) {
  const hazard = hazardByName(id);
  const profile = profileByName(name);
  const outcome = kinds.length === 0 ? 'safe' : kinds.join(' and ');
  test(`${id} under ${name}: ${outcome}`, (t) => {
    const program = hazard.program(profile, LAB_PAGE_BYTES);
    const result = explore(program, profile, { bounds: [0, 1, 2, 3], budget: 300_000 });
    const found = new Set(result.failures.map((failure) => failure.finding.kind));
    t.deepEqual([...found].sort(), kinds);
    t.is(result.verdict, kinds.length === 0 ? 'safe' : 'unsafe');
    t.true(result.exhaustive || result.preemptionBound === 3, 'within its budget');
    for (const { finding, schedule } of result.failures) {
      t.true(hazard.mayGoWrong.includes(finding.kind));
      const again = replay(program, profile, schedule).findings;
      t.true(
        again.some((one) => one.message === finding.message),
        schedule,
      );
    }
    t.deepEqual(check(program, profile, 1, 300), []);
  });
}

test('H0-a takes at most 60 steps on average, and all its schedules are tried', (t) => {
  for (const name of ['linux-5.2', 'linux-5.18', 'linux-6.12', 'best-known']) {
    const result = explore(h0a(), profileByName(name));
    t.true(result.exhaustive);
    t.true(result.steps / result.executions <= 60, name);
  }
});

test('a hazard that cannot be posed says why', (t) => {
  const why = (id: string, name: string): string | null | undefined =>
    hazardByName(id).notApplicable?.(profileByName(name));
  t.regex(why('H0-b', 'linux-2.6.30') ?? '', /no process_vm_writev/);
  t.regex(why('leaked-dirty-accounting', 'linux-5.17') ?? '', /not dropped: bug/);
  t.is(why('leaked-dirty-accounting', 'linux-5.18'), null);
});
