// A failing schedule is made as short as it can be, and fails as before.

import test from 'ava';
import { profileByName } from '../../engine/profile/profiles.js';
import { explore, replay } from '../../lab/explore.js';
import { h1c } from '../../lab/hazards/h1-c.js';
import { minimise } from '../../lab/minimise.js';
import { SMALL_PROGRAMS } from '../../lab/search/programs.js';

const profile = profileByName('linux-6.12');

test('a schedule drawn at random comes down to the fewest preemptions that can fail', (t) => {
  const options = { strategy: 'random', stopAtFirst: true } as const;
  const [failure] = explore(h1c(), profile, options).failures;
  const shortest = minimise(h1c(), profile, failure);
  t.is(shortest.achieved, 'minimal');
  t.is(shortest.preemptions, 1);
  t.true(shortest.preemptions < failure.preemptions);
  t.true(shortest.schedule.length < failure.schedule.length);
  const { findings } = replay(h1c(), profile, shortest.schedule);
  t.deepEqual(findings, [failure.finding]);
});

test('without a budget for all schedules it is shrunk, and fails all the same', (t) => {
  const options = { strategy: 'random', stopAtFirst: true } as const;
  const [failure] = explore(h1c(), profile, options).failures;
  const shrunk = minimise(h1c(), profile, failure, 0);
  t.is(shrunk.achieved, 'shrunk');
  t.true(shrunk.preemptions < failure.preemptions);
  t.deepEqual(replay(h1c(), profile, shrunk.schedule).findings, [failure.finding]);
});

for (const program of SMALL_PROGRAMS.filter(({ finds }) => finds.length > 0)) {
  test(`${program.name}: what is minimal has as few preemptions as the search found`, (t) => {
    for (const failure of explore(program, profile).failures) {
      const shortest = minimise(program, profile, failure);
      t.is(shortest.achieved, 'minimal');
      t.true(shortest.preemptions <= failure.preemptions, failure.schedule);
      const again = replay(program, profile, shortest.schedule).findings;
      t.true(again.some(({ kind }) => kind === failure.finding.kind));
    }
  });
}

test('a schedule that does not fit, or does not fail, is refused', (t) => {
  const [{ finding }] = explore(h1c(), profile, { stopAtFirst: true }).failures;
  const other = { finding, schedule: 'pf1/H2-a/linux-6.12/a1' };
  t.throws(() => minimise(h1c(), profile, other), { code: 'EINVAL' });
  const fine = { finding, schedule: 'pf1/H1-c/linux-6.12/a1' };
  t.throws(() => minimise(h1c(), profile, fine), { message: /shows no torn-write/ });
});
