// Searches in a thread of their own: progress comes meanwhile, and a signal ends them.

import test from 'ava';
import { profileByName } from '../../engine/profile/profiles.js';
import { explore } from '../../lab/explore.js';
import { h1c } from '../../lab/hazards/h1-c.js';
import { exploreInThread } from '../../lab/search-thread.js';

const profile = profileByName('linux-6.12');

test('a search in a thread comes to what the same search comes to here', async (t) => {
  const options = { strategy: 'random', seed: 3, budget: 500 } as const;
  const here = explore(h1c(), profile, options);
  t.deepEqual(await exploreInThread({ hazard: 'H1-c', profile, options }), here);
});

test('a search that would never end tells its progress, and ends when it is told to', async (t) => {
  const stop = new AbortController();
  const seen: number[] = [];
  const search = exploreInThread({
    hazard: 'H1-c',
    profile,
    options: { strategy: 'random', budget: 10 ** 9 },
    signal: stop.signal,
    onProgress: (executions) => {
      if (executions === 0) return;
      seen.push(executions);
      stop.abort(new Error('enough'));
    },
  });
  await t.throwsAsync(search, { message: 'enough' });
  t.true(seen.length > 0 && seen[0] < 10 ** 9);
});
